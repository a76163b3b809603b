// LimitRanger: default requests and limits of containers, and the bounds of a namespace for containers, pods and
// claims. (Kubernetes documentation, "Limit Ranges".)
#include <map>

#include "api/usage.h"
#include "apiserver/admission/plugins.h"

namespace k8lite::apiserver::admission {
namespace {

bool concerns(const AdmissionRequest& r) {
  if (r.old && r.old->path("metadata.deletionTimestamp")) return false;
  if (r.is("", "pods")) return (r.create && r.subresource.empty()) || (!r.create && r.subresource == "resize");
  return r.is("", "persistentvolumeclaims") && r.subresource.empty();
}

std::vector<json::Doc> ranges(const Admission& a, const std::string& ns) {
  std::vector<json::Doc> out;
  for (const auto& o : a.list("", "limitranges", ns)) out.push_back(o->doc);
  return out;
}

// What a container gets that says nothing: the limit is "default", else the maximum; the request "defaultRequest", else
// that limit, else the minimum.
struct Defaults {
  std::map<std::string, std::string> requests, limits;
};
Defaults defaults_of(json::Value range) {
  Defaults out;
  for (json::Value item : range.path("spec.limits").items()) {
    if (!item["type"].equals("Container")) continue;
    std::map<std::string, std::string> limits, requests;
    for (const char* field : {"default", "max"})
      for (auto m : item[field].members()) limits.emplace(m.key(), m.value.str());
    for (auto m : item["defaultRequest"].members()) requests.emplace(m.key(), m.value.str());
    for (const auto& [name, q] : limits) requests.emplace(name, q);
    for (auto m : item["min"].members()) requests.emplace(m.key(), m.value.str());
    for (const auto& [name, q] : limits) out.limits[name] = q;
    for (const auto& [name, q] : requests) out.requests[name] = q;
  }
  return out;
}

std::string fill(Node& container, const char* side, const std::map<std::string, std::string>& defaults) {
  std::string names;
  for (const auto& [name, q] : defaults) {
    if (container.get("resources").get(side).get(name).exists()) continue;
    container["resources"][side].set(name, q);
    names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

struct Bounds {
  std::string type;  // Container, Pod, PersistentVolumeClaim
  api::Usage requests, limits;
  std::vector<std::string>& errors;

  void say(const std::string& text) { errors.push_back(text); }
  std::string usage(const char* which, const std::string& name) const {
    return std::string(which) + " " + name + " usage per " + type + " is ";
  }

  void at_least(const std::string& name, const Quantity& bound) {
    auto request = requests.find(name), limit = limits.find(name);
    std::string head = usage("minimum", name) + bound.str();
    if (request == requests.end())
      say(head + ".  No request is specified");
    else if (request->second < bound)
      say(head + ", but request is " + request->second.str());
    else if (limit != limits.end() && limit->second < bound)
      say(head + ", but limit is " + limit->second.str());
  }
  void at_most(const std::string& name, const Quantity& bound) {
    auto request = requests.find(name), limit = limits.find(name);
    std::string head = usage("maximum", name) + bound.str();
    bool claim = type == "PersistentVolumeClaim";  // has no limits
    if (claim && request == requests.end())
      say(head + ".  No request is specified");
    else if (!claim && limit == limits.end())
      say(head + ".  No limit is specified");
    else if (!claim && limit->second > bound)
      say(head + ", but limit is " + limit->second.str());
    else if (request != requests.end() && request->second > bound)
      say(head + ", but request is " + request->second.str());
  }
  void ratio(const std::string& name, const Quantity& bound) {
    auto request = requests.find(name), limit = limits.find(name);
    std::string head = name + " max limit to request ratio per " + type + " is " + bound.str();
    if (request == requests.end() || request->second.is_zero())
      return say(head + ", but no request is specified or request is 0");
    if (limit == limits.end() || limit->second.is_zero())
      return say(head + ", but no limit is specified or limit is 0");
    double provided = limit->second.as_double() / request->second.as_double();
    if (provided <= bound.as_double()) return;
    char number[64];
    std::snprintf(number, sizeof number, "%f", provided);
    say(head + ", but provided ratio is " + number);
  }
  void check(json::Value item) {
    for (const auto& [name, bound] : api::read_usage(item["min"])) at_least(name, bound);
    for (const auto& [name, bound] : api::read_usage(item["max"])) at_most(name, bound);
    for (const auto& [name, bound] : api::read_usage(item["maxLimitRequestRatio"])) ratio(name, bound);
  }
};

void check_item(json::Value item, const AdmissionRequest& r, json::Value object, std::vector<std::string>& errors) {
  std::string type = item["type"].str();
  bool pod = r.is("", "pods");
  if (pod && type == "Container") {
    for (const char* list : {"containers", "initContainers"})
      for (json::Value c : object["spec"][list].items())
        Bounds{type, api::read_usage(c["resources"]["requests"]), api::read_usage(c["resources"]["limits"]), errors}
            .check(item);
  } else if (pod && type == "Pod") {
    Bounds{type, api::pod_usage(object["spec"], api::PodSide::Requests, false),
           api::pod_usage(object["spec"], api::PodSide::Limits, false), errors}
        .check(item);
  } else if (!pod && type == "PersistentVolumeClaim") {
    Bounds{type, api::read_usage(object.path("spec.resources.requests")), {}, errors}.check(item);
  }
}

}  // namespace

Result<> limit_defaults(const Admission& a, AdmissionRequest& r) {
  if (!concerns(r) || !r.is("", "pods")) return {};
  for (const json::Doc& range : ranges(a, r.ns)) {
    Defaults defaults = defaults_of(range.root());
    std::string said;
    for (auto [list, what] : {std::pair{"containers", "container "}, {"initContainers", "init container "}}) {
      Node* containers = (*r.object)["spec"].find(list);
      if (!containers) continue;
      for (Node& c : containers->items()) {
        std::string limits = fill(c, "limits", defaults.limits), requests = fill(c, "requests", defaults.requests);
        for (const auto& [names, side] : {std::pair{requests, " request for "}, {limits, " limit for "}})
          if (!names.empty()) said += (said.empty() ? "" : "; ") + names + side + what + c.get("name").str();
      }
    }
    if (!said.empty())
      (*r.object)["metadata"]["annotations"].set("kubernetes.io/limit-ranger", "LimitRanger plugin set: " + said);
  }
  return {};
}

Result<> limit_bounds(const Admission& a, AdmissionRequest& r) {
  if (!concerns(r)) return {};
  auto all = ranges(a, r.ns);
  if (all.empty()) return {};
  json::Doc object = json::Doc::from(*r.object);
  for (const json::Doc& range : all) {
    std::vector<std::string> errors;
    for (json::Value item : range.path("spec.limits").items()) check_item(item, r, object.root(), errors);
    if (!errors.empty()) return forbidden(r, joined_errors(std::move(errors)));
  }
  return {};
}

}  // namespace k8lite::apiserver::admission
