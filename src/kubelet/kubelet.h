// The node agent as a component: registers the node, waits for its pod network, runs its pods.
#pragma once
#include <memory>

#include "base/random.h"
#include "kubelet/image_keeper.h"
#include "kubelet/node.h"
#include "kubelet/pods.h"
#include "kubelet/server.h"

namespace k8lite::kubelet {

struct KubeletOptions {
  NodeConfig node;
  std::string data_dir;      // <data-dir>/agent
  std::string run_dir = "/run/k8lite/pods";
  std::string cluster_cidr, cluster_dns, cluster_domain, flannel_backend = "vxlan", resolv_conf = "/etc/resolv.conf";
  std::string registries_file;
  std::string listen_address = "::";
  net::TlsServerConfig tls;
  // Called once, on the node agent's thread, when the pod network stands; with its iptables rules.
  std::function<void(const std::string& rules)> on_network;
};

class Kubelet {
 public:
  Kubelet(async::Loop& loop, machinery::Client& client, const Clock& clock, Random& random, KubeletOptions options);
  ~Kubelet();
  // Returns when the image store is open and the server listens; the rest goes on in the background.
  Result<> start();
  void stop();  // pods go on running

 private:
  void run();
  async::Loop& loop_;
  machinery::Client& client_;
  const Clock& clock_;
  KubeletOptions options_;
  machinery::EventRecorder events_;
  machinery::Informer pods_, services_, nodes_;
  NodeReporter reporter_;
  std::unique_ptr<image::ImageStore> images_;
  std::unique_ptr<image::Puller> puller_;
  std::unique_ptr<ImageKeeper> keeper_;
  std::unique_ptr<cni::Network> network_;
  std::unique_ptr<PodManager> manager_;
  std::unique_ptr<machinery::Runner> runner_;
  std::unique_ptr<KubeletServer> server_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false, nodes_changed_ = false;
  std::thread thread_;
};

}  // namespace k8lite::kubelet
