#include "apiserver/metrics/usage_api.h"

#include <algorithm>
#include <set>

namespace k8lite::apiserver {

using async::Task;
using json::Node;

// What one request waits for: all of its nodes.
struct Gathering {
  std::map<std::string, std::shared_ptr<const Node>> reports;
  size_t left = 0;
  async::Notify done;
};

namespace {

constexpr Duration kFresh = seconds(1);   // several questions in a row are one to the nodes
constexpr Duration kSilent = seconds(5);  // so long a node that did not answer is not asked again: everybody would wait for it
constexpr Duration kConnectTimeout = seconds(2), kAnswerTimeout = seconds(5);
constexpr size_t kMaxReport = size_t{8} << 20;
constexpr size_t kMostConnections = 512;

Status none(const ResourceType& type, const std::string& ns, const std::string& name) {
  std::string kind = type.row->singular;
  return not_found_object(type.row->group, kind, ns.empty() ? name : ns + "/" + name);
}

// The object of metrics.k8s.io: figures joined with the name and the labels of what they are of.
store::ObjectPtr metrics_object(json::Value subject, const Node& figures, Instant now) {
  Node metadata = Node::obj({{"name", subject.path("metadata.name").str()}});
  if (auto ns = subject.path("metadata.namespace").str(); !ns.empty()) metadata.set("namespace", ns);
  metadata.set("creationTimestamp", rfc3339(now));
  if (json::Value labels = subject.path("metadata.labels"); !labels.empty()) metadata.set("labels", labels.to_node());
  Node object = Node::obj({{"metadata", std::move(metadata)}, {"timestamp", figures.get("timestamp")}, {"window", figures.get("window")}});
  for (const char* part : {"usage", "containers"})
    if (figures.get(part).exists()) object.set(part, figures.get(part));
  auto out = std::make_shared<store::Object>();
  out->doc = json::Doc::from(object);
  return out;
}

bool is_ready_node(json::Value node) {
  for (json::Value c : node.path("status.conditions").items())
    if (c["type"].equals("Ready")) return !c["status"].equals("Unknown");
  return true;
}

struct Connections {
  std::map<std::string, std::shared_ptr<net::HttpClient>> by_address;
  std::set<std::string> by_tunnel;  // nodes
};

Task<Result<Node>> ask(std::shared_ptr<net::HttpClient> client) {
  CO_TRY(auto answer, co_await client->send({"GET", "/v1-k8lite/usage", {{"Accept", "application/json"}}, {}}));
  CO_TRY(std::string body, co_await answer->read_body(kMaxReport));
  if (answer->status != 200) co_return Status(reason_from_http(answer->status), body);
  co_return Node::parse(body);
}

}  // namespace

UsageApi::Fetch fetch_usage(async::Loop& loop, const Rest& rest, std::shared_ptr<net::TlsClientContext> tls) {
  auto kept = std::make_shared<Connections>();
  return [&loop, &rest, tls, kept](UsageApi::Agent agent) {
    if (kept->by_address.size() > kMostConnections) kept->by_address.clear();
    auto& client = kept->by_address[agent.address + " " + std::to_string(agent.port)];
    auto way = rest.way_to(agent.node);
    // Kept connections stay; a new one must know by which way.
    if (!client || way.operator bool() != kept->by_tunnel.contains(agent.node)) {
      if (way) kept->by_tunnel.insert(agent.node);
      else kept->by_tunnel.erase(agent.node);
      client = net::make_http_client(loop, {.host = agent.address, .port = agent.port, .tls = tls, .connect_timeout = kConnectTimeout, .response_timeout = kAnswerTimeout, .max_idle = 1, .dial = std::move(way)});
    }
    return ask(client);
  };
}

Result<UsageApi::Agent> UsageApi::agent_of(const std::string& node) const {
  auto nodes = rest_.types().find("", "v1", "nodes");
  TRY(Answer found, rest_.get({nodes, "", node, ""}));
  const json::Doc& d = found.object->doc;
  if (!is_ready_node(d.root())) return unavailable("node " + node + " is not reporting");
  Agent out{node, "", static_cast<int>(d.path("status.daemonEndpoints.kubeletEndpoint.Port").int_or(10250))};
  for (json::Value a : d.path("status.addresses").items())
    if (a["type"].equals("InternalIP") && out.address.empty()) out.address = a["address"].str();
  if (out.address.empty()) return unavailable("node " + node + " has no address");
  return out;
}

Task<void> UsageApi::fetch_one(UsageApi* self, Agent agent, std::shared_ptr<Gathering> into) {
  auto report = co_await self->fetch_(agent);
  auto shared = report.ok() ? std::make_shared<const Node>(std::move(report).value()) : nullptr;
  self->known_[agent.node] = {self->clock_.mono() + (shared ? kFresh : kSilent), shared};
  if (shared) into->reports[agent.node] = shared;
  if (--into->left == 0) into->done.notify();
}

Task<std::map<std::string, UsageApi::Report>> UsageApi::reports(std::vector<std::string> nodes) {
  auto gathering = std::make_shared<Gathering>();
  Duration now = clock_.mono();
  std::erase_if(known_, [now](const auto& k) { return now > k.second.until; });
  std::vector<Agent> asked;
  for (const std::string& node : nodes) {
    if (auto it = known_.find(node); it != known_.end()) {
      if (it->second.report) gathering->reports[node] = it->second.report;
      continue;
    }
    if (auto agent = agent_of(node); agent.ok()) asked.push_back(std::move(agent).value());
  }
  gathering->left = asked.size();
  for (Agent& agent : asked) async::spawn(loop_, fetch_one(this, std::move(agent), gathering));
  while (gathering->left > 0) co_await gathering->done.wait();
  co_return std::move(gathering->reports);
}

// The pods or nodes that are meant, as they are stored.
Result<std::vector<store::ObjectPtr>> UsageApi::subjects(const Target& target, const ListParams& params) const {
  auto type = rest_.types().find("", "v1", target.type->row->plural);
  if (!target.name.empty()) {
    auto found = rest_.get({type, target.ns, target.name, ""});
    if (!found.ok()) return found.status().is(Reason::NotFound) ? none(*target.type, target.ns, target.name) : found.status();
    return std::vector<store::ObjectPtr>{found->object};
  }
  ListParams select;
  select.label_selector = params.label_selector;
  select.field_selector = params.field_selector;
  TRY(Page page, rest_.list({type, target.ns, "", ""}, select));
  return std::move(page.items);
}

Task<Result<Page>> UsageApi::list(Target target, ListParams params) {
  CO_TRY(auto found, subjects(target, params));
  bool pods = target.type->row->plural == "pods";
  std::set<std::string> nodes;
  for (const auto& o : found)
    if (std::string node = pods ? o->doc.path("spec.nodeName").str() : o->doc.path("metadata.name").str(); !node.empty()) nodes.insert(std::move(node));
  auto reports = co_await this->reports({nodes.begin(), nodes.end()});
  std::map<std::string, const Node*> figures;  // by "ns/name"; nodes by name
  for (const auto& [node, report] : reports) {
    if (pods)
      for (const Node& p : report->get("pods").items()) figures[p.get("namespace").str() + "/" + p.get("name").str()] = &p;
    else if (report->get("node").is_object())
      figures[node] = &report->get("node");
  }
  Page page;
  for (const auto& o : found) {
    std::string key = (pods ? o->doc.path("metadata.namespace").str() + "/" : "") + o->doc.path("metadata.name").str();
    if (auto it = figures.find(key); it != figures.end()) page.items.push_back(metrics_object(o->doc.root(), *it->second, clock_.now()));
  }
  page.revision = rest_.revision();
  co_return page;
}

Task<Result<Answer>> UsageApi::get(Target target) {
  CO_TRY(Page page, co_await list(target, {}));
  if (page.items.empty()) co_return none(*target.type, target.ns, target.name);
  co_return Answer{target.type, page.items[0], {}, false};
}

}  // namespace k8lite::apiserver
