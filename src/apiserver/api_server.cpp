// Puts the API server together, and writes what every cluster starts with.
#include "apiserver/api_server.h"

#include "apiserver/authz/defaults.h"
#include "apiserver/http/deadline.h"
#include "apiserver/crd/custom_kinds.h"
#include "apiserver/http/front.h"
#include "apiserver/observed_client.h"
#include "base/embedded.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "machinery/courier.h"
#include "pki/jwt.h"

namespace k8lite::embedded_manifests {
std::span<const k8lite::EmbeddedFile> files();
}

namespace k8lite::apiserver {
namespace {

using json::Node;
using machinery::Operation;
using machinery::Path;

constexpr std::string_view kNamespaces[] = {"default", "kube-system", "kube-public", "kube-node-lease"};

struct SystemPriority {
  const char* name;
  int64_t value;
  const char* description;
};
constexpr SystemPriority kSystemPriorities[] = {
    {"system-node-critical", 2'000'001'000, "Used for system critical pods that must not be moved from their current node."},
    {"system-cluster-critical", 2'000'000'000, "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."},
};

Node object(std::string_view api_version, std::string_view kind, std::string_view ns, std::string_view name) {
  Node n = Node::obj({{"apiVersion", std::string(api_version)}, {"kind", std::string(kind)}});
  n["metadata"].set("name", std::string(name));
  if (!ns.empty()) n["metadata"].set("namespace", std::string(ns));
  return n;
}

class Impl : public ApiServer {
 public:
  Impl(async::Loop& loop, store::Store& store, const Clock& clock, Random& random, ApiServerOptions options, std::unique_ptr<authz::Authorizer> authorizer, std::unique_ptr<ServiceAddresses> addresses, std::unique_ptr<audit::Auditor> auditor)
      : loop_(loop), random_(random), options_(std::move(options)), auditor_(std::move(auditor)), authorizer_(std::move(authorizer)), addresses_(std::move(addresses)),
        rest_(store, clock, random, types_, *authorizer_, *addresses_, {options_.service_account_key_pem, options_.issuers.front(), options_.audiences, options_.longest_token_seconds, options_.admission}),
        authenticator_(clock, authenticator_options()), front_(loop, rest_, *authorizer_, authenticator_, clock, random, auditor_.get(), options_) {
    rest_.set_authenticator(&authenticator_);
    auto fetch = options_.usage_of_node ? options_.usage_of_node : fetch_usage(loop, rest_, options_.kubelet_tls);
    rest_.set_tunnels(&tunnels_);
    front_.extra.push_back([this](net::Request& q, net::ResponseWriter& r) { return tunnels_.serve(q, r); });
    if (options_.serves_usage) rest_.set_usage((usage_ = std::make_unique<UsageApi>(loop, rest_, clock, std::move(fetch))).get());
    add_checks(store);
    rest_.written = [this](const Target& t) {
      if (custom_kinds_ && t.type->row->group == "apiextensions.k8s.io") custom_kinds_->refresh();
    };
  }
  ~Impl() override {
    if (custom_kinds_) custom_kinds_->stop();
    courier_->stop();
  }
  Result<> follow_custom_kinds(store::Store& store) {
    TRY(custom_kinds_, crd::CustomKinds::create(store, types_));
    return {};
  }

  Result<> bootstrap() override {
    authn::Identity admin{{"system:apiserver", {"system:masters"}}, {}, {}};
    auto client = this->client(admin, "kube-apiserver");
    std::vector<Operation> missing;
    auto want = [&](Path path, Node body) {
      if (!client->get(path).ok()) missing.push_back({Operation::Kind::Create, path, json::Doc::from(body), {}, {}, {}, {}});
    };
    for (auto ns : kNamespaces) want({"", "v1", "namespaces", "", std::string(ns), ""}, object("v1", "Namespace", "", ns));
    for (const SystemPriority& p : kSystemPriorities) {
      Node body = object("scheduling.k8s.io/v1", "PriorityClass", "", p.name);
      body.set("value", p.value);
      body.set("description", p.description);
      want({"scheduling.k8s.io", "v1", "priorityclasses", "", p.name, ""}, body);
    }
    TRY_OK(submit(*client, std::move(missing)));
    TRY_OK(roles(*client));
    TRY_OK(kubernetes_service(*client));
    bootstrapped_ = true;
    return {};
  }

  net::Handler handler() override {
    return with_deadline(loop_, [this](net::Request& q, net::ResponseWriter& r) { return front_.handle(q, r); });
  }
  std::unique_ptr<machinery::Client> client(authn::Identity identity, std::string manager) override {
    return observe_client(make_local_client(loop_, rest_, *authorizer_, courier_, identity, manager), identity, manager, auditor_.get(), client_requests_, random_);
  }
  Rest& rest() override { return rest_; }
  void add_handler(Extra extra) override { front_.extra.push_back(std::move(extra)); }
  void set_ready(bool ready) override { front_.ready = ready; }
  void add_check(unsigned where, std::string name, std::function<std::string()> check) override { front_.health.add(where, std::move(name), std::move(check)); }
  void add_figures(std::function<void(std::string&)> write) override {
    async::spawn(loop_, append(&front_, std::move(write)));
  }

 private:
  authn::AuthenticatorOptions authenticator_options() {
    authn::AuthenticatorOptions o;
    o.tokens = options_.tokens;
    o.service_account_keys = options_.service_account_keys;
    o.issuers = options_.issuers;
    o.audiences = options_.audiences;
    o.anonymous = options_.anonymous;
    o.lookup = [this](std::string_view resource, std::string_view ns, std::string_view name) { return rest_.admission().find("", resource, ns, name); };
    return o;
  }

  void add_checks(store::Store& store) {
    Health& h = front_.health;
    auto good = [] { return std::string(); };
    auto reads = [&store] {
      auto r = store.get("/registry/core/namespaces/kube-system");
      return r.ok() || r.status().is(Reason::NotFound) ? std::string() : r.status().message();
    };
    auto begun = [this] { return std::string(bootstrapped_ ? "" : "not finished"); };
    h.add(kEverywhere, "ping", good);
    h.add(kEverywhere, "log", good);
    h.add(kEverywhere, "etcd", reads);
    h.add(kReadyz, "etcd-readiness", reads);
    h.add(kEverywhere, "poststarthook/rbac/bootstrap-roles", begun);
    h.add(kEverywhere, "poststarthook/scheduling/bootstrap-system-priority-classes", begun);
    h.add(kEverywhere, "poststarthook/bootstrap-controller", begun);
    front_.figures.push_back([this](std::string& out) { client_requests_.write(out); });
    h.add(kReadyz, "poststarthook/start-k8lite", [this] { return std::string(front_.ready ? "" : "the server is starting"); });
  }

  static Result<> submit(machinery::Client& client, std::vector<Operation> operations) {
    std::vector<std::string> names;
    for (const auto& o : operations) names.push_back(o.path.url());
    auto results = client.submit(std::move(operations));
    for (size_t i = 0; i < results.size(); ++i)
      if (!results[i].ok() && !results[i].status().is(Reason::AlreadyExists)) return results[i].status().within("bootstrap " + names[i]);
    return {};
  }

  Result<> roles(machinery::Client& client) {
    std::vector<Operation> writes;
    for (const EmbeddedFile& f : embedded_manifests::files()) {
      if (f.path != "rbac.yaml") continue;
      TRY(auto documents, parse_yaml(f.content, "rbac.yaml"));
      for (auto& d : documents) {
        Node& body = d.value;
        if (!body.is_object()) continue;
        authz::mark_default(body);
        Path path{"rbac.authorization.k8s.io", "v1", lower(body.get("kind").str()) + "s", body.path("metadata.namespace").str(), body.path("metadata.name").str(), ""};
        auto stored = client.get(path);
        if (!stored.ok()) writes.push_back({Operation::Kind::Create, path, json::Doc::from(body), {}, {}, {}, {}});
        else if (auto more = authz::with_missing_defaults(*stored, body)) writes.push_back({Operation::Kind::Update, path, json::Doc::from(*more), {}, {}, {}, {}});
      }
    }
    return submit(client, std::move(writes));
  }

  Result<> kubernetes_service(machinery::Client& client) {
    Node service = object("v1", "Service", "default", "kubernetes");
    service["metadata"]["labels"] = Node::obj({{"component", "apiserver"}, {"provider", "kubernetes"}});
    service["spec"] = Node::obj({{"type", "ClusterIP"}, {"clusterIP", addresses_->first()}, {"ports", Node::arr({Node::obj({{"name", "https"}, {"protocol", "TCP"}, {"port", 443}, {"targetPort", options_.advertise_port}})})}});
    Node endpoints = object("v1", "Endpoints", "default", "kubernetes");
    endpoints["metadata"]["labels"].set("endpointslice.kubernetes.io/skip-mirror", "true");
    endpoints["subsets"] = Node::arr({Node::obj({{"addresses", Node::arr({Node::obj({{"ip", options_.advertise_address}})})}, {"ports", Node::arr({Node::obj({{"name", "https"}, {"port", options_.advertise_port}, {"protocol", "TCP"}})})}})});
    Node slice = object("discovery.k8s.io/v1", "EndpointSlice", "default", "kubernetes");
    slice["metadata"]["labels"].set("kubernetes.io/service-name", "kubernetes");
    slice.set("addressType", "IPv4");
    slice["endpoints"] = Node::arr({Node::obj({{"addresses", Node::arr({options_.advertise_address})}, {"conditions", Node::obj({{"ready", true}})}})});
    slice["ports"] = Node::arr({Node::obj({{"name", "https"}, {"port", options_.advertise_port}, {"protocol", "TCP"}})});
    for (auto& [path, body] : {std::pair<Path, Node>{{"", "v1", "services", "default", "kubernetes", ""}, service}, {{"", "v1", "endpoints", "default", "kubernetes", ""}, endpoints},
                               {{"discovery.k8s.io", "v1", "endpointslices", "default", "kubernetes", ""}, slice}}) {
      auto current = client.get(path);
      Result<json::Doc> r = current;
      if (!current.ok()) {
        r = client.create(path, json::Doc::from(body), {});
      } else if (path.resource != "services") {  // the address may have changed since the last start
        Node wanted = current->to_node();
        for (const char* f : {"subsets", "endpoints", "ports"})
          if (body.get(f).exists()) wanted.set(f, body.get(f));
        r = client.update(path, json::Doc::from(wanted), {});
      }
      if (!r.ok()) return r.status().within("bootstrap " + path.url());
    }
    return {};
  }

  static async::Task<void> append(Front* front, std::function<void(std::string&)> write) {
    front->figures.push_back(std::move(write));
    co_return;
  }

  async::Loop& loop_;
  Random& random_;
  const std::shared_ptr<machinery::Courier> courier_ = std::make_shared<machinery::Courier>();  // of all clients in process
  const ApiServerOptions options_;
  const std::unique_ptr<audit::Auditor> auditor_;
  metrics::Family client_requests_{"rest_client_requests_total", metrics::Type::Counter, "Requests of this server's own components, by code and method."};
  std::atomic<bool> bootstrapped_{false};
  ResourceTypes types_;
  std::shared_ptr<crd::CustomKinds> custom_kinds_;
  std::unique_ptr<authz::Authorizer> authorizer_;
  std::unique_ptr<ServiceAddresses> addresses_;
  Rest rest_;
  std::unique_ptr<UsageApi> usage_;
  NodeTunnels tunnels_{loop_};
  authn::Authenticator authenticator_;
  Front front_;
};

}  // namespace

Result<std::unique_ptr<ApiServer>> ApiServer::create(async::Loop& loop, store::Store& store, const Clock& clock, Random& random, ApiServerOptions options) {
  TRY(auto authorizer, authz::Authorizer::create(store));
  TRY(auto addresses, ServiceAddresses::create(options.services, random));
  TRY(auto services, store.list("/registry/core/services/", {}));
  for (const auto& o : services.items) addresses->settle(o->doc.path("metadata.namespace").str() + "/" + o->doc.path("metadata.name").str(), &o->doc);
  TRY(auto keys, pki::public_keys_in(options.service_account_key_pem));
  for (const auto& pem : options.service_account_keys) {
    TRY(auto more, pki::public_keys_in(pem));
    keys.insert(keys.end(), more.begin(), more.end());
  }
  options.service_account_keys = std::move(keys);
  if (options.issuers.empty()) options.issuers = {authn::service_account_issuer(options.cluster_domain)};
  if (options.audiences.empty()) options.audiences = {options.issuers.front(), "k8lite"};
  std::unique_ptr<audit::Auditor> auditor;
  if (!options.audit_policy.empty() && !options.audit_log.path.empty()) {
    TRY(auto policy, audit::Policy::parse(options.audit_policy, "audit-policy-file"));
    TRY(auto log, audit::Log::open(options.audit_log, clock));
    auditor = std::make_unique<audit::Auditor>(std::move(policy), std::move(log), clock);
  }
  auto server = std::make_unique<Impl>(loop, store, clock, random, std::move(options), std::move(authorizer), std::move(addresses), std::move(auditor));
  TRY_OK(server->follow_custom_kinds(store));
  return std::unique_ptr<ApiServer>(std::move(server));
}

}  // namespace k8lite::apiserver
