// resource.k8s.io: claims for devices, their classes and the slices that publish them. CEL selectors are taken as they
// are.
#include <set>

#include "api/rules/check.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

void check_mode(Check& c, const Node& r, const Node&) {
  const Node &mode = r.get("allocationMode"), &count = r.get("count");
  if (mode.str() == "All" && count.int_or(0) != 0)
    c.invalid("count", count, "must not be specified when allocationMode is 'All'");
  if (mode.str() == "ExactCount" && count.int_or(0) <= 0)
    c.invalid("count", Node(count.int_or(0)), "must be greater than zero");
}

void check_selector(Check& c, const Node& s, const Node&) {
  if (!s.get("cel").exists()) c.required("cel");
}

void check_request(Check& c, const Node& r, const Node&) {
  std::set<std::string> names;
  const auto& subs = r.get("firstAvailable").items();
  if (subs.size() > 8) c.too_many("firstAvailable", subs.size(), 8);
  for (size_t i = 0; i < subs.size(); ++i)
    if (!names.insert(subs[i].get("name").str()).second) c.duplicate(item("firstAvailable", i), subs[i].get("name"));
}

// "request" or "request/subrequest" of this claim.
void check_references(Check& c, std::string_view child, const Node& names, const Node& claim) {
  if (names.size() > 32) return c.too_many(child, names.size(), 32);
  for (size_t i = 0; i < names.items().size(); ++i) {
    auto parts = split(names.items()[i].str(), '/');
    bool known = false;
    for (const Node& r : claim.get("requests").items()) {
      if (r.get("name").str() != parts[0]) continue;
      known |= parts.size() == 1;
      for (const Node& sub : r.get("firstAvailable").items())
        known |= parts.size() == 2 && sub.get("name").str() == parts[1];
    }
    if (!known)
      c.invalid(
          item(child, i), names.items()[i],
          "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'");
  }
}

void check_attribute(Check& c, std::string_view child, const Node& name) {
  const std::string& t = name.str();
  size_t slash = t.find('/');
  if (t.empty()) return c.required(child);
  if (slash == t.npos) return c.invalid(child, name, "must include a domain");
  if (slash > 63) c.too_long(child, 63);
  for (const auto& why : mistakes(Format::Subdomain, t.substr(0, slash)))
    c.invalid(child, Node(t.substr(0, slash)), why);
  for (const auto& why : mistakes(Format::CIdentifier, t.substr(slash + 1)))
    c.invalid(child, Node(t.substr(slash + 1)), why);
}

void check_claim(Check& c, const Node& claim, const Node&) {
  for (const char* list : {"requests", "constraints", "config"})
    if (claim.get(list).size() > 32) return;  // said by the table
  for (size_t i = 0; i < claim.get("constraints").items().size(); ++i) {
    const Node& k = claim.get("constraints").items()[i];
    std::string here = item("constraints", i);
    check_references(c, here + ".requests", k.get("requests"), claim);
    if (k.get("matchAttribute").exists())
      check_attribute(c, here + ".matchAttribute", k.get("matchAttribute"));
    else if (k.get("distinctAttribute").exists())
      check_attribute(c, here + ".distinctAttribute", k.get("distinctAttribute"));
    else
      c.required(here,
                 "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set");
  }
  for (size_t i = 0; i < claim.get("config").items().size(); ++i) {
    check_references(c, item("config", i) + ".requests", claim.get("config").items()[i].get("requests"), claim);
    if (!claim.get("config").items()[i].get("opaque").exists()) c.required(item("config", i) + ".opaque");
  }
}

void check_frozen_spec(Check& c, const Node& o, const Node& before) {
  if (c.old && !(o.get("spec") == before.get("spec"))) c.invalid("spec", o.get("spec"), "field is immutable");
}

void check_template(Check& c, const Node& o, const Node& before) {
  c.annotations("spec.metadata.annotations", o.path("spec.metadata.annotations"));
  c.labels("spec.metadata.labels", o.path("spec.metadata.labels"));
  for (const auto& [name, value] : o.path("spec.metadata").members())
    if (name != "annotations" && name != "labels" && !value.empty())
      c.forbidden("spec.metadata." + name, "cannot be set");
  check_frozen_spec(c, o, before);
}

void check_opaque(Check& c, const Node& o, const Node&) {
  if (o.get("parameters").exists() && !o.get("parameters").is_object())
    c.invalid("parameters", Node("<value omitted>"), "must be a valid JSON object");
  if (o.get("parameters").dump().size() > 10 * 1024) c.too_long("parameters", 10 * 1024);
}

void check_toleration(Check& c, const Node& t, const Node&) {
  const std::string& op = t.get("operator").str();
  if (t.get("key").str().empty() && op == "Equal")
    c.invalid("operator", t.get("operator"), "must be 'Exists' when key is empty");
  if (op == "Exists" && !t.get("value").str().empty())
    c.invalid("value", t.get("value"), "must be empty for operator `Exists`");
  if (op == "Equal") c.format("value", t.get("value"), Format::LabelValue);
}

void check_pool(Check& c, const Node& p, const Node&) {
  for (std::string_view part : split(p.get("name").str(), '/'))
    if (given(p.get("name")))
      for (const auto& why : mistakes(Format::Subdomain, part)) c.invalid("name", Node(part), why);
}

void check_slice(Check& c, const Node& spec, const Node& before) {
  int n = given(spec.get("nodeName")) + spec.get("nodeSelector").exists() + spec.get("allNodes").bool_or(false) +
          spec.get("perDeviceNodeSelection").bool_or(false);
  constexpr std::string_view kWhy =
      "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
  if (n == 0) c.required("", kWhy);
  if (n > 1) c.invalid("", Node(), std::string(kWhy) + ", but multiple fields are set");
  if (spec.path("nodeSelector.nodeSelectorTerms").size() > 1)
    c.invalid("nodeSelector.nodeSelectorTerms", spec.path("nodeSelector.nodeSelectorTerms"),
              "must have exactly one node selector term");
  if (c.old) c.unchanged("pool.name", spec.path("pool.name"), before.path("pool.name"));
}

void check_device(Check& c, const Node& d, const Node&) {
  size_t n = d.get("attributes").size() + d.get("capacity").size();
  if (n > 32) c.invalid("", Node(n), "the total number of attributes and capacities must not exceed 32");
  for (const char* map : {"attributes", "capacity"})
    for (const auto& [key, value] : d.get(map).members()) {
      std::string name = key.substr(key.find('/') == key.npos ? 0 : key.find('/') + 1);
      for (const auto& why : mistakes(Format::CIdentifier, name)) c.invalid(map, Node(name), why);
      if (std::string_view(map) == "attributes" && value.size() != 1) {
        if (value.size() == 0)
          c.required(key_of(map, key), "exactly one value must be specified");
        else
          c.invalid(key_of(map, key), value, "exactly one value must be specified");
      }
      if (value.get("string").str().size() > 64) c.too_long(key_of(map, key) + ".string", 64);
    }
}

constexpr TypeHook kHooks[] = {
    {"resource/v1.ExactDeviceRequest", check_mode},
    {"resource/v1.DeviceSubRequest", check_mode},
    {"resource/v1.DeviceSelector", check_selector},
    {"resource/v1.DeviceRequest", check_request},
    {"resource/v1.DeviceClaim", check_claim},
    {"resource/v1.ResourceClaim", check_frozen_spec},
    {"resource/v1.ResourceClaimTemplate", check_template},
    {"resource/v1.OpaqueDeviceConfiguration", check_opaque},
    {"resource/v1.DeviceToleration", check_toleration},
    {"resource/v1.ResourcePool", check_pool},
    {"resource/v1.ResourceSliceSpec", check_slice},
    {"resource/v1.Device", check_device},
};

}  // namespace

Hooks device_hooks() { return kHooks; }

}  // namespace k8lite::api::rules
