// ObjectMeta of every kind: names, labels, annotations, owners, finalizers. (apimachinery, "ObjectMeta".)
#include "api/rules/check.h"
#include "api/rules/rules.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

Format name_format(const KindRow& kind) {
  if (kind.name_is_path_segment || kind.plural == "apiservices" ||
      (kind.plural == "certificatesigningrequests" && kind.group == "certificates.k8s.io"))
    return Format::PathSegment;
  if (kind.name_is_label || (kind.plural == "statefulsets" && kind.group == "apps")) return Format::Label;
  return Format::Subdomain;
}

void check_name(Check& c) {
  if (c.kind.plural == "ipaddresses" && c.kind.group == "networking.k8s.io") return;  // says it itself
  const Node &name = c.root.path("metadata.name"), &prefix = c.root.path("metadata.generateName");
  Format format = name_format(c.kind);
  if (given(prefix) && !c.old) {  // what is put behind it makes up for a dash at the end
    std::string masked = prefix.str();
    if (masked.size() > 1 && masked.back() == '-') masked.replace(masked.size() - 2, 2, "a");
    for (const auto& why : mistakes(format, masked)) c.invalid("metadata.generateName", prefix, why);
  }
  if (name.str().empty())
    c.required("metadata.name", "name or generateName is required");
  else
    c.format("metadata.name", name, format);
}

void check_owners(Check& c, const Node& owners) {
  std::string controller;
  for (const Node& o : owners.items()) {
    const std::string& version = o.get("apiVersion").str();
    if (version.empty() || version.ends_with('/'))
      c.invalid("metadata.ownerReferences.apiVersion", Node(version), "version must not be empty");
    for (const char* f : {"kind", "name", "uid"})
      if (o.get(f).str().empty())
        c.invalid("metadata.ownerReferences." + std::string(f), Node(""), "must not be empty");
    if (version == "v1" && o.get("kind").str() == "Event")
      c.invalid("metadata.ownerReferences", o, "/v1, Kind=Event is disallowed from being an owner");
    if (!o.get("controller").bool_or(false)) continue;
    std::string own = o.get("kind").str() + "/" + o.get("name").str();
    if (!controller.empty())
      c.invalid("metadata.ownerReferences", owners,
                "Only one reference can have Controller set to true. Found \"true\" in references for " + controller +
                    " and " + own);
    else
      controller = own;
  }
}

void check_finalizers(Check& c, const Node& finalizers) {
  bool orphan = false, foreground = false;
  for (const Node& f : finalizers.items()) {
    c.format("metadata.finalizers", f, Format::Qualified);
    orphan |= f.str() == "orphan";
    foreground |= f.str() == "foregroundDeletion";
  }
  if (orphan && foreground)
    c.invalid("metadata.finalizers", finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
  // Kinds of the core group and their like want a domain in front of any name that is not Kubernetes' own.
  if (!c.kind.custom &&
      !listed(c.kind.group, "apiextensions.k8s.io,apiregistration.k8s.io,admissionregistration.k8s.io"))
    for (size_t i = 0; i < finalizers.items().size(); ++i)
      if (const Node& f = finalizers.items()[i];
          f.str().find('/') == std::string::npos && !listed(f.str(), "kubernetes,orphan,foregroundDeletion"))
        c.invalid(item("metadata.finalizers", i), f,
                  "name is neither a standard finalizer name nor is it fully qualified");
}

}  // namespace

void check_metadata(Check& c) {
  const Node& metadata = c.root.get("metadata");
  check_name(c);
  if (c.kind.namespaced && given(metadata.get("namespace")))
    c.format("metadata.namespace", metadata.get("namespace"), Format::Label);
  c.labels("metadata.labels", metadata.get("labels"));
  c.annotations("metadata.annotations", metadata.get("annotations"));
  check_owners(c, metadata.get("ownerReferences"));
  check_finalizers(c, metadata.get("finalizers"));
}

}  // namespace k8lite::api::rules

namespace k8lite::api {

std::vector<std::string> name_mistakes(std::string_view name, bool path_segment, bool label) {
  return rules::mistakes(path_segment ? rules::Format::PathSegment
                         : label      ? rules::Format::Label
                                      : rules::Format::Subdomain,
                         name);
}

}  // namespace k8lite::api
