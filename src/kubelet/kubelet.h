// The node agent as a component: registers the node, waits for its pod network, runs its pods.
#pragma once
#include <memory>

#include "base/random.h"
#include "cni/link_watch.h"
#include "kubelet/image_keeper.h"
#include "kubelet/kubelet_args.h"
#include "kubelet/local_volumes.h"
#include "kubelet/node.h"
#include "kubelet/pods.h"
#include "kubelet/server.h"
#include "kubelet/shutdown.h"

namespace k8lite::kubelet {

struct KubeletOptions {
  NodeConfig node;
  std::string data_dir;      // <data-dir>/agent
  std::string run_dir = "/run/k8lite/pods";
  std::string storage_dir = "/var/lib/k8lite/storage";  // of volumes that the built-in provisioner makes here
  std::string cluster_cidr, service_cidr, cluster_dns, cluster_domain, flannel_backend = "vxlan", flannel_iface, resolv_conf = "/etc/resolv.conf";
  bool serves_dns = true;    // cluster_dns is an address of this node
  std::string registries_file;
  std::vector<std::string> args;  // see kubelet_args.h
  std::string listen_address = "::";
  net::TlsServerConfig tls;
  std::string system_bus = "/run/dbus/system_bus_socket";
  // The rest is called on the node agent's thread. Once, when the pod network stands:
  std::function<void(const cni::Network&)> on_network;
  std::function<Result<>(const std::vector<PortMapping>&)> map_ports;  // see NodeFacts; on any thread
  // The address that this machine has now, "" for none: asked again when links or addresses change. Unset: node.ip stays.
  std::function<std::string(const std::string& current)> find_address;
  // The node's address has become another one; gives the serving certificate for it. Called again until it succeeds.
  std::function<Result<net::TlsServerConfig>(const std::string& ip)> on_address;
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
  void run_controllers();
  void tell_missing_cgroups();
  NodeConfig node_config() const;
  void node_event(const std::string& reason, const std::string& message);  // a warning
  bool open_network();       // false: stopped meanwhile
  void follow_network();     // until stop()
  void follow_address();
  bool sync_peers();
  void follow_shutdown();
  void make_server();
  bool wait(Duration d);     // true: stopped
  async::Loop& loop_;
  machinery::Client& client_;
  const Clock& clock_;
  KubeletOptions options_;
  machinery::EventRecorder events_;
  machinery::Informer pods_, services_, nodes_;
  Result<KubeletArgs> args_;
  NodeReporter reporter_;
  std::unique_ptr<image::ImageStore> images_;
  std::unique_ptr<image::Puller> puller_;
  std::unique_ptr<ImageKeeper> keeper_;
  std::unique_ptr<cni::Network> network_;
  std::unique_ptr<PodManager> manager_;
  std::unique_ptr<LocalVolumes> local_volumes_;
  std::unique_ptr<machinery::Runner> runner_;
  std::unique_ptr<KubeletServer> server_;
  std::unique_ptr<cni::LinkWatch> links_;
  std::unique_ptr<ShutdownWatch> shutdown_;
  std::string told_cidr_;          // another pod network that was complained about
  std::string ip_, certified_ip_;  // the node agent's thread only: the node's address, and the one that all others know
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false, nodes_changed_ = true, links_changed_ = true;
  std::thread thread_;
};

}  // namespace k8lite::kubelet
