// All controllers of the cluster, in one list.
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

struct ControllersOptions {
  std::string cluster_cidr, ca_pem;
  std::string storage_path;  // where nodes keep volumes of the class local-path that do not say so themselves; "" : no such class is made
  std::string own_node;  // the server's own node, which gets the role control-plane; "" where it runs none
  std::string ca_key_pem = {};  // of the CA, for the Certificates API
};

class Controllers {
 public:
  Controllers(machinery::Client& client, const Clock& clock, Random& random, ControllersOptions options);
  ~Controllers();
  void start();
  void stop();
  machinery::Informer& informer(const std::string& group, const std::string& plural) { return context_.informer(group, plural); }  // before start()

 private:
  machinery::EventRecorder events_;
  Context context_;
  std::vector<std::unique_ptr<machinery::Controller>> controllers_;
  std::unique_ptr<machinery::Runner> runner_;
};

}  // namespace k8lite::controllers
