// Config maps, secrets, service accounts, namespaces and their limits.
#include <algorithm>

#include "base/quantity.h"
#include "base/strings.h"
#include "kubectl/describe/describe.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

size_t decoded_size(const Node& data) {
  auto bytes = base64_decode(data.str());
  return bytes ? bytes->size() : 0;
}

// "Resource  Used  Hard" of one quota.
void put_quota_rows(Page& page, int level, const Node& quota) {
  const Node& hard = quota.path("status.hard");
  for (const std::string& name : sorted_names(hard)) page.line(level, name + "\t" + (quota.path("status.used")[name].exists() ? value_text(quota.path("status.used")[name]) : "0") + "\t" + value_text(hard[name]));
}

void put_scopes(Page& page, int level, std::string_view bullet, const Node& quota) {
  static const std::map<std::string, std::string_view> meaning = {
      {"Terminating", "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system."},
      {"NotTerminating", "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate."},
      {"BestEffort", "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service."},
      {"NotBestEffort", "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service."}};
  const Node& scopes = quota.path("spec.scopes");
  if (scopes.empty()) return;
  std::vector<std::string> names;
  for (const Node& x : scopes.items()) names.push_back(x.str());
  std::sort(names.begin(), names.end());
  page.field(level, "Scopes", join(names, ", "));
  for (const std::string& n : names)
    if (auto it = meaning.find(n); it != meaning.end()) page.line(level, std::string(bullet) + std::string(it->second));
}

void put_limit_rows(Page& page, const std::string& indent, const Node& range) {
  static const char* const columns[] = {"min", "max", "defaultRequest", "default", "maxLimitRequestRatio"};
  for (const Node& l : range.path("spec.limits").items()) {
    std::vector<std::string> names;
    for (const char* c : columns)
      for (const std::string& n : sorted_names(l[c]))
        if (std::find(names.begin(), names.end(), n) == names.end()) names.push_back(n);
    std::sort(names.begin(), names.end());
    for (const std::string& n : names) {
      std::string row = indent + l["type"].str() + "\t" + n;
      for (const char* c : columns) row += "\t" + (l[c][n].exists() ? value_text(l[c][n]) : "-");
      page.line(0, row);
    }
  }
}

}  // namespace

void describe_config_map(Page& page, const Subject& s) {
  put_metadata(page, s.object);
  page.raw("\nData\n====\n");
  for (const std::string& k : sorted_names(s.object["data"])) page.raw(k + ":\n----\n" + s.object["data"][k].str() + "\n\n");
  page.raw("\nBinaryData\n====\n");
  for (const std::string& k : sorted_names(s.object["binaryData"])) page.raw(k + ": " + std::to_string(decoded_size(s.object["binaryData"][k])) + " bytes\n");
  page.raw("\n");
}

void describe_secret(Page& page, const Subject& s) {
  put_metadata(page, s.object);
  page.raw("\nType:\t" + s.object["type"].str() + "\n\nData\n====\n");
  bool token = s.object["type"].str() == "kubernetes.io/service-account-token";
  for (const std::string& k : sorted_names(s.object["data"])) {
    if (token && k == "token") page.field(0, k, base64_decode(s.object["data"][k].str()).value_or(""));
    else page.field(0, k, std::to_string(decoded_size(s.object["data"][k])) + " bytes");
  }
}

void describe_service_account(Page& page, const Subject& s) {
  put_metadata(page, s.object);
  std::string lead = "Image pull secrets:\t";
  if (s.object["imagePullSecrets"].empty()) page.line(0, lead + "<none>");
  for (const Node& x : s.object["imagePullSecrets"].items()) {
    page.line(0, lead + x["name"].str());
    lead = "\t";
  }
}

void describe_namespace(Page& page, const Subject& s) {
  page.field(0, "Name", s.object.path("metadata.name").str());
  put_labels(page, "Labels", s.object.path("metadata.labels"));
  put_annotations(page, "Annotations", s.object.path("metadata.annotations"));
  page.field(0, "Status", s.object.path("status.phase").str());
  if (const Node& conditions = s.object.path("status.conditions"); !conditions.empty()) {
    page.line(0, "Conditions:");
    page.line(1, "Type\tStatus\tLastTransitionTime\tReason\tMessage");
    page.line(1, "----\t------\t------------------\t------\t-------");
    for (const Node& c : conditions.items()) page.line(1, c["type"].str() + "\t" + c["status"].str() + "\t" + long_time(c["lastTransitionTime"]) + "\t" + c["reason"].str() + "\t" + c["message"].str());
  }
  page.line(0, "");
  if (s.all("resourcequotas").empty()) page.line(0, "No resource quota.");
  else page.line(0, "Resource Quotas");
  for (const Node& q : s.all("resourcequotas")) {
    page.field(1, "Name", q.path("metadata.name").str());
    put_scopes(page, 1, "* ", q);
    page.line(1, "Resource\tUsed\tHard");
    page.line(1, "--------\t---\t---");
    put_quota_rows(page, 1, q);
  }
  page.line(0, "");
  if (s.all("limitranges").empty()) {
    page.line(0, "No LimitRange resource.");
    return;
  }
  page.line(0, "Resource Limits\n Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio");
  page.line(0, " ----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
  for (const Node& l : s.all("limitranges")) put_limit_rows(page, " ", l);
}

void describe_resource_quota(Page& page, const Subject& s) {
  put_name(page, s.object);
  put_scopes(page, 0, " * ", s.object);
  page.line(0, "Resource\tUsed\tHard");
  page.line(0, "--------\t----\t----");
  put_quota_rows(page, 0, s.object);
}

void describe_limit_range(Page& page, const Subject& s) {
  put_name(page, s.object);
  page.line(0, "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio");
  page.line(0, "----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
  put_limit_rows(page, "", s.object);
}

void describe_role(Page& page, const Subject& s) {
  page.field(0, "Name", s.object.path("metadata.name").str());
  put_labels(page, "Labels", s.object.path("metadata.labels"));
  put_annotations(page, "Annotations", s.object.path("metadata.annotations"));
  page.line(0, "PolicyRule:");
  page.line(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs");
  page.line(1, "---------\t-----------------\t--------------\t-----");
  // One row a resource of a group; rules that differ only in their verbs share it.
  struct Row {
    std::string group, resource, name, urls;
    std::vector<std::string> verbs;
  };
  std::vector<Row> rows;
  auto note = [&rows](Row row, const Node& verbs) {
    auto it = std::find_if(rows.begin(), rows.end(), [&row](const Row& r) { return r.group == row.group && r.resource == row.resource && r.name == row.name && r.urls == row.urls; });
    Row& r = it == rows.end() ? rows.emplace_back(std::move(row)) : *it;
    for (const Node& v : verbs.items())
      if (std::find(r.verbs.begin(), r.verbs.end(), v.str()) == r.verbs.end()) r.verbs.push_back(v.str());
  };
  for (const Node& rule : s.object["rules"].items()) {
    std::vector<std::string> names;
    for (const Node& n : rule["resourceNames"].items()) names.push_back(n.str());
    if (names.empty()) names.emplace_back();
    for (const Node& group : rule["apiGroups"].items())
      for (const Node& resource : rule["resources"].items())
        for (const std::string& n : names) note({group.str(), resource.str(), n, "", {}}, rule["verbs"]);
    for (const Node& url : rule["nonResourceURLs"].items()) note({"", "", "", url.str(), {}}, rule["verbs"]);
  }
  auto shown = [](const Row& r) {
    if (r.group.empty()) return r.resource;
    size_t slash = r.resource.find('/');
    return slash == std::string::npos ? r.resource + "." + r.group : r.resource.substr(0, slash) + "." + r.group + r.resource.substr(slash);
  };
  // kubectl's order is that of the rules' text form: by verbs first, and "pods/log" comes before "pods".
  auto key = [](const Row& r) {
    return "[" + join(r.verbs, " ") + "],[" + r.group + "],[" + r.resource + "],[" + r.name + "],[" + r.urls + "]";
  };
  std::stable_sort(rows.begin(), rows.end(), [&key](const Row& a, const Row& b) { return key(a) < key(b); });
  for (const Row& r : rows) page.line(1, shown(r) + "\t[" + r.urls + "]\t[" + r.name + "]\t[" + join(r.verbs, " ") + "]");
}

void describe_role_binding(Page& page, const Subject& s) {
  page.field(0, "Name", s.object.path("metadata.name").str());
  put_labels(page, "Labels", s.object.path("metadata.labels"));
  put_annotations(page, "Annotations", s.object.path("metadata.annotations"));
  page.line(0, "Role:");
  page.field(1, "Kind", s.object.path("roleRef.kind").str());
  page.field(1, "Name", s.object.path("roleRef.name").str());
  page.line(0, "Subjects:");
  page.line(1, "Kind\tName\tNamespace");
  page.line(1, "----\t----\t---------");
  for (const Node& x : s.object["subjects"].items()) page.line(1, x["kind"].str() + "\t" + x["name"].str() + "\t" + x["namespace"].str());
}

}  // namespace k8lite::kubectl
