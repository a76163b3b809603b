#include "apiserver/reviews.h"

#include <algorithm>

namespace k8lite::apiserver {
namespace {

using json::Node;

Status invalid(std::string_view kind, std::vector<Cause> causes) {
  std::string text = std::string(kind) + ".authorization.k8s.io \"\" is invalid: ";
  if (causes.size() > 1) text += "[";
  for (size_t i = 0; i < causes.size(); ++i) text += (i ? ", " : "") + causes[i].field + ": " + causes[i].message;
  if (causes.size() > 1) text += "]";
  Status s(Reason::Invalid, text);
  StatusDetails d;
  d.group = "authorization.k8s.io";
  d.kind = kind;
  d.causes = std::move(causes);
  return s.set_details(std::move(d));
}

void cause(std::vector<Cause>& causes, std::string field, const Node& value, std::string why) {
  std::string shown = value.exists() && !value.is_null() ? value.dump() : "null";
  causes.push_back({"FieldValueInvalid", "Invalid value: " + shown + ": " + why, std::move(field)});
}

RequestInfo attributes_of(const Node& spec) {
  RequestInfo info;
  if (const Node& r = spec.get("resourceAttributes"); r.is_object()) {
    info.is_resource = true;
    info.verb = r.get("verb").str();
    info.group = r.get("group").str();
    info.version = r.get("version").str();
    info.resource = r.get("resource").str();
    info.subresource = r.get("subresource").str();
    info.ns = r.get("namespace").str();
    info.name = r.get("name").str();
  } else {
    info.verb = spec.get("nonResourceAttributes").get("verb").str();
    info.path = spec.get("nonResourceAttributes").get("path").str();
  }
  return info;
}

std::vector<std::string> texts(const Node& list) {
  std::vector<std::string> out;
  for (const Node& v : list.items()) out.push_back(v.str());
  return out;
}

Node list_of(const std::vector<std::string>& values) {
  Node out = Node::array();
  for (const auto& v : values) out.append(v);
  return out;
}

Node rules_status(const std::vector<authz::PolicyRule>& rules, bool incomplete) {
  Node status = Node::obj({{"resourceRules", Node::array()}, {"nonResourceRules", Node::array()}, {"incomplete", incomplete}});
  for (const auto& r : rules) {
    if (!r.non_resource_urls.empty()) status["nonResourceRules"].append(Node::obj({{"verbs", list_of(r.verbs)}, {"nonResourceURLs", list_of(r.non_resource_urls)}}));
    if (r.resources.empty()) continue;
    Node rule = Node::obj({{"verbs", list_of(r.verbs)}, {"apiGroups", list_of(r.api_groups)}, {"resources", list_of(r.resources)}});
    if (!r.resource_names.empty()) rule.set("resourceNames", list_of(r.resource_names));
    status["resourceRules"].append(std::move(rule));
  }
  if (incomplete) status.set("evaluationError", "node authorizer does not support user rule resolution");
  return status;
}

Result<Node> token_review(const Node& spec, const ReviewContext& c) {
  if (spec.get("token").str().empty()) return bad_request("token is required for TokenReview in authentication");
  auto found = c.check_token(spec.get("token").str(), texts(spec.get("audiences")));
  if (!found.ok()) return Node::obj({{"user", Node::object()}, {"error", "[invalid bearer token, " + found.status().message() + "]"}});
  return Node::obj({{"authenticated", true}, {"user", authn::user_info(found->identity)}, {"audiences", list_of(found->audiences)}});
}

Result<Node> rules_review(const Node& spec, const ReviewContext& c) {
  std::string ns = spec.get("namespace").str();
  if (ns.empty()) return bad_request("no namespace on request");
  // What the node authoriser allows depends on pods, and cannot be told as rules.
  return rules_status(c.rules_of(c.caller.user, ns), !authz::node_name_of(c.caller.user).empty());
}

// fieldSelector and labelSelector of resourceAttributes: roles do not look at them, and one that says nothing clear is refused.
void check_selector(const Node& selector, const std::string& path, std::vector<Cause>& causes) {
  if (!selector.is_object()) return;
  const std::string& raw = selector.get("rawSelector").str();
  const auto& requirements = selector.get("requirements").items();
  auto required = [&causes](std::string field, const std::string& why) { causes.push_back({"FieldValueRequired", "Required value: " + why, std::move(field)}); };
  if (!raw.empty() && !requirements.empty()) cause(causes, path + ".rawSelector", Node(raw), "may not specified at the same time as requirements");
  if (raw.empty() && requirements.empty()) required(path + ".requirements", "when " + path + " is specified, requirements or rawSelector is required");
  for (size_t i = 0; i < requirements.size(); ++i) {
    const Node& r = requirements[i];
    std::string at = path + ".requirements[" + std::to_string(i) + "]", op = r.get("operator").str();
    bool list = op == "In" || op == "NotIn", none = op == "Exists" || op == "DoesNotExist";
    if (r.get("key").str().empty()) required(at + ".key", "must be specified");
    if (list && r.get("values").size() == 0) required(at + ".values", "must be specified when `operator` is 'In' or 'NotIn'");
    if (none && r.get("values").size()) causes.push_back({"FieldValueForbidden", "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'", at + ".values"});
    if (!list && !none) causes.push_back({"FieldValueNotSupported", "Unsupported value: " + json::quoted(op) + ": supported values: \"DoesNotExist\", \"Exists\", \"In\", \"NotIn\"", at + ".operator"});
  }
}

Result<Node> access_review(std::string_view kind, const Node& spec, const ReviewContext& c) {
  bool self = kind == "SelfSubjectAccessReview", local = kind == "LocalSubjectAccessReview";
  const Node &resource = spec.get("resourceAttributes"), &url = spec.get("nonResourceAttributes");
  std::vector<Cause> causes;
  if (resource.is_object() && url.is_object()) cause(causes, "spec.nonResourceAttributes", url, "cannot be specified in combination with resourceAttributes");
  if (!resource.is_object() && !url.is_object()) cause(causes, "spec.resourceAttributes", Node(), "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  for (const char* selector : {"fieldSelector", "labelSelector"}) check_selector(resource.get(selector), std::string("spec.resourceAttributes.") + selector, causes);
  authz::User user = c.caller.user;
  if (!self) {
    user = {spec.get("user").str(), texts(spec.get("groups"))};
    if (user.name.empty() && user.groups.empty()) cause(causes, "spec.user", Node(""), "at least one of user or group must be specified");
  }
  if (local && resource.is_object() && resource.get("namespace").str() != c.ns) cause(causes, "spec.resourceAttributes.namespace", Node(resource.get("namespace").str()), "must match metadata.namespace");
  if (local && url.is_object()) cause(causes, "spec.nonResourceAttributes", url, "disallowed on this kind of request");
  if (!causes.empty()) return invalid(kind, std::move(causes));
  authz::Verdict verdict = c.decide(user, attributes_of(spec));
  Node status = Node::obj({{"allowed", verdict.allowed}});
  if (!verdict.reason.empty()) status.set("reason", verdict.reason);
  return status;
}

}  // namespace

Result<Node> review(std::string_view kind, Node object, const ReviewContext& c) {
  if (!object["metadata"].is_object()) object["metadata"] = Node::object();
  const Node spec = object.get("spec").exists() ? object.get("spec") : Node::object();
  Result<Node> status = bad_request("no review of kind " + std::string(kind));
  if (kind == "SelfSubjectReview") status = Node::obj({{"userInfo", authn::user_info(c.caller)}});
  else if (kind == "TokenReview") status = token_review(spec, c);
  else if (kind == "SelfSubjectRulesReview") status = rules_review(spec, c);
  else if (kind.ends_with("AccessReview")) status = access_review(kind, spec, c);
  if (!status.ok()) return std::move(status).status();
  object.set("status", std::move(status).value());
  return object;
}

}  // namespace k8lite::apiserver
