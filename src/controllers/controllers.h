// All controllers of the cluster, in one list.
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

// Asked of client_of for what Kubernetes' API server does itself and no controller may.
inline constexpr const char* kServerItself = "system:apiserver";

struct ControllersOptions {
  std::string cluster_cidr, ca_pem;
  std::string storage_path;  // where nodes keep volumes of the class local-path that do not say so themselves; "" : no such class is made
  std::string own_node;  // the server's own node, which gets the role control-plane; "" where it runs none
  std::string ca_key_pem = {};  // of the CA, for the Certificates API
  std::string service_account_key_pem;  // signs tokens that live in Secrets
  // The client of a controller's own service account in kube-system; lives as long as the controllers. None: all use the one client.
  std::function<machinery::Client&(const std::string& account)> client_of;
};

class Controllers {
 public:
  Controllers(machinery::Client& client, const Clock& clock, Random& random, ControllersOptions options);
  ~Controllers();
  void start();
  void stop();
  bool synced() const;                        // every informer has its first list
  void write_figures(std::string& out) const;  // workqueue_* in Prometheus' text format
  machinery::Informer& informer(const std::string& group, const std::string& plural) { return context_.informer(group, plural); }  // before start()

 private:
  machinery::EventRecorder events_;
  Context context_;
  std::vector<std::unique_ptr<Context>> contexts_;  // one a controller
  std::unique_ptr<Context> setup_;                  // the server's own; null: all use one client
  std::vector<std::unique_ptr<machinery::Controller>> controllers_;
  std::unique_ptr<machinery::Runner> runner_;
};

}  // namespace k8lite::controllers
