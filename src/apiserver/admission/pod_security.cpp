// PodSecurity: pods that violate what their namespace enforces are refused; templates, and pods under a level to warn
// of, get a warning; a namespace that becomes stricter tells which of its pods would not be let in again. (KEP-2579.)
#include "apiserver/admission/pod_security.h"

#include <algorithm>
#include <map>

#include "apiserver/admission/plugins.h"

namespace k8lite::apiserver::admission {
namespace {

constexpr std::string_view kLevels[] = {"privileged", "baseline", "restricted"};
constexpr std::string_view kPrefix = "pod-security.kubernetes.io/";

Result<PodLevel> parse_level(const std::string& text) {
  for (size_t i = 0; i < std::size(kLevels); ++i)
    if (text == kLevels[i]) return static_cast<PodLevel>(i);
  return bad_request("must be one of privileged, baseline, restricted");
}

Result<int> parse_version(const std::string& text) {
  if (text == "latest") return kLatestMinor;
  std::string digits = text.starts_with("v1.") ? text.substr(3) : "";
  bool good = !digits.empty() && digits.size() < 5 && digits.find_first_not_of("0123456789") == digits.npos &&
              (digits.size() == 1 || digits[0] != '0');
  if (!good) return bad_request("must be \"latest\" or \"v1.x\"");
  return static_cast<int>(*parse_int(digits));
}

std::string error_text(const std::vector<Cause>& causes) {
  std::vector<std::string> all;
  for (const auto& c : causes) all.push_back(c.field + ": " + c.message);
  return joined_errors(all);
}

// Where a kind keeps the pods it makes; null: it makes none.
const char* template_path(const AdmissionRequest& r) {
  if (!r.subresource.empty()) return nullptr;
  if (r.is("", "podtemplates")) return "template";
  if (r.is("batch", "cronjobs")) return "spec.jobTemplate.spec.template";
  for (auto [group, plural] : {std::pair{"", "replicationcontrollers"},
                               {"apps", "replicasets"},
                               {"apps", "deployments"},
                               {"apps", "daemonsets"},
                               {"apps", "statefulsets"},
                               {"batch", "jobs"}})
    if (r.is(group, plural)) return "spec.template";
  return nullptr;
}

// Updates of pods can change little; what cannot make a pod worse is not looked at again.
bool significant(const Node& pod, json::Value old) {
  constexpr const char* kSeccomp = "seccomp.security.alpha.kubernetes.io/pod";
  if (pod.path("metadata.annotations").get(kSeccomp).str() != old.path("metadata.annotations")[kSeccomp].str())
    return true;
  for (const char* list : kContainerLists) {
    const auto& now = pod.get("spec").get(list).items();
    if (now.size() != old["spec"][list].size()) return true;
    for (size_t i = 0; i < now.size(); ++i)
      if (!old["spec"][list].at(i)["image"].equals(now[i].get("image").str()) ||
          !old["spec"][list].at(i)["name"].equals(now[i].get("name").str()))
        return true;
  }
  return false;
}

Result<> check_pod(const Admission& a, AdmissionRequest& r, const Node& meta, const Node& spec, bool enforce) {
  PodPolicy policy = read_policy(a.find("", "namespaces", "", r.ns).path("metadata.labels"));
  bool enforces = enforce && policy.enforce.level != PodLevel::Privileged,
       warns = policy.warn.level != PodLevel::Privileged;
  if (!enforces && !warns) return {};
  json::Doc pod = json::Doc::from(Node::obj({{"metadata", meta}, {"spec", spec}}));
  if (enforces)
    if (std::string wrong = pod_violations(policy.enforce, pod["metadata"], pod["spec"]); !wrong.empty())
      return forbidden(r, "violates PodSecurity " + json::quoted(policy.enforce.text()) + ": " + wrong);
  if (std::string wrong = pod_violations(policy.warn, pod["metadata"], pod["spec"]); !wrong.empty())
    r.warn("would violate PodSecurity " + json::quoted(policy.warn.text()) + ": " + wrong);
  return {};
}

void warn_of_pods(const Admission& a, const AdmissionRequest& r, const std::string& ns, const LevelVersion& enforce) {
  constexpr size_t kMostPods = 3000;  // as Kubernetes: a warning is not worth more time
  auto pods = a.list("", "pods", ns);
  std::map<std::string, std::vector<std::string>> wrong;  // reasons -> pods, sorted by name as they are stored
  for (size_t i = 0; i < pods.size() && i < kMostPods; ++i)
    if (std::string reasons = pod_violations(enforce, pods[i]->doc["metadata"], pods[i]->doc["spec"], false);
        !reasons.empty())
      wrong[reasons].push_back(pods[i]->doc.path("metadata.name").str());
  if (pods.size() > kMostPods)
    r.warn("new PodSecurity enforce level only checked against the first " + std::to_string(kMostPods) + " of " +
           std::to_string(pods.size()) + " existing pods");
  if (wrong.empty()) return;
  r.warn("existing pods in namespace " + json::quoted(ns) + " violate the new PodSecurity enforce level " +
         json::quoted(enforce.text()));
  std::vector<std::string> lines;
  for (const auto& [reasons, names] : wrong) {
    std::string others = names.size() == 1   ? ""
                         : names.size() == 2 ? " (and 1 other pod)"
                                             : " (and " + std::to_string(names.size() - 1) + " other pods)";
    lines.push_back(names[0] + others + ": " + reasons);
  }
  std::sort(lines.begin(), lines.end());
  for (const auto& line : lines) r.warn(line);
}

Result<> check_namespace_labels(const Admission& a, AdmissionRequest& r) {
  std::vector<Cause> causes, before;
  json::Doc labels =
      json::Doc::from(r.object->path("metadata.labels").exists() ? r.object->path("metadata.labels") : Node::object());
  PodPolicy now = read_policy(labels.root(), &causes);
  if (r.create) return causes.empty() ? Result<>() : Result<>(invalid(r, std::move(causes)));
  if (!r.old) return {};
  PodPolicy was = read_policy(r.old->path("metadata.labels"), &before);
  if (!causes.empty() && (before.empty() || error_text(causes) != error_text(before)))
    return invalid(r, std::move(causes));
  bool stricter = !(now.enforce == was.enforce) && now.enforce.level != PodLevel::Privileged &&
                  !(now.enforce.minor == was.enforce.minor && now.enforce.level <= was.enforce.level);
  if (stricter) warn_of_pods(a, r, r.object->path("metadata.name").str(), now.enforce);
  return {};
}

}  // namespace

std::string LevelVersion::text() const {
  return std::string(kLevels[static_cast<size_t>(level)]) + ":" +
         (minor == kLatestMinor ? "latest" : "v1." + std::to_string(minor));
}

PodPolicy read_policy(json::Value labels, std::vector<Cause>* causes) {
  PodPolicy p;
  bool has_warn_level = false, has_warn_version = false;
  for (auto [name, slot] :
       {std::pair<const char*, LevelVersion*>{"enforce", &p.enforce}, {"audit", &p.audit}, {"warn", &p.warn}}) {
    auto wrong = [&](const std::string& label, const std::string& value, const Status& why) {
      if (causes)
        causes->push_back({"FieldValueInvalid", "Invalid value: " + json::quoted(value) + ": " + why.message(),
                           "metadata.labels[" + label + "]"});
    };
    std::string label = std::string(kPrefix) + name;
    if (json::Value v = labels[label]) {
      auto level = parse_level(v.str());
      if (!level.ok()) wrong(label, v.str(), level.status());
      slot->level = level.ok() ? *level : slot == &p.enforce ? PodLevel::Restricted : PodLevel::Privileged;
      has_warn_level |= slot == &p.warn;
    }
    if (json::Value v = labels[label + "-version"]) {
      auto minor = parse_version(v.str());
      if (!minor.ok())
        wrong(label + "-version", v.str(), minor.status());
      else
        slot->minor = *minor;
      has_warn_version |= slot == &p.warn;
    }
  }
  // Who enforces and says nothing of warnings wants to hear of templates whose pods will be refused.
  if (!has_warn_level && p.enforce.level > p.warn.level) {
    p.warn.level = p.enforce.level;
    if (!has_warn_version) p.warn.minor = p.enforce.minor;
  }
  return p;
}

Result<> pod_security(const Admission& a, AdmissionRequest& r) {
  if (r.is("", "namespaces")) return r.subresource.empty() ? check_namespace_labels(a, r) : Result<>();
  if (r.is("", "pods")) {
    if (!r.subresource.empty() && r.subresource != "ephemeralcontainers" && r.subresource != "resize") return {};
    if (!r.create && r.old && !significant(*r.object, r.old->root())) return {};
    return check_pod(a, r, r.object->get("metadata"), r.object->get("spec"), true);
  }
  const char* path = template_path(r);
  if (!path) return {};
  const Node& pod = r.object->path(path);
  return pod.is_object() ? check_pod(a, r, pod.get("metadata").is_object() ? pod.get("metadata") : Node::object(),
                                     pod.get("spec"), false)
                         : Result<>();
}

}  // namespace k8lite::apiserver::admission
