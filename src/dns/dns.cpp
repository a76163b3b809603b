#include "dns/dns.h"

#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "base/log.h"
#include "base/random.h"
#include "dns/listener.h"

namespace k8lite::dns {
namespace {

constexpr int kOtherPort = 10053;  // a fixed one before any: flows that the kernel remembers go on after a restart

}  // namespace

struct DnsServer::Impl {
  machinery::Informer& services;
  machinery::Informer& slices;
  const DnsOptions options;
  // Shared with the informers' handlers, which may outlive the server.
  const std::shared_ptr<Records> records;
  std::atomic<int> port{0};
  std::atomic<bool> ready{false};
  std::unique_ptr<Poll> poll;
  std::unique_ptr<Forwarder> forwarder;
  std::unique_ptr<Answerer> answerer;
  std::unique_ptr<Listener> listener;
  std::thread thread;

  Impl(machinery::Informer& s, machinery::Informer& e, DnsOptions o)
      : services(s), slices(e), options(std::move(o)), records(std::make_shared<Records>(options.domain, options.addresses)) {}

  bool zone_ready() {
    if (!ready) ready = services.synced() && slices.synced();
    return ready;
  }

  void close() {
    listener.reset();
    answerer.reset();
    forwarder.reset();
    poll.reset();
  }

  Result<> open() {
    poll = std::make_unique<Poll>(system_clock());
    TRY_OK(poll->open());
    const bool could_ask_itself = options.port == options.upstream_port;
    Upstreams upstreams({options.resolv_conf, options.upstream_port, could_ask_itself ? options.addresses : std::vector<std::string>()});
    forwarder = std::make_unique<Forwarder>(*poll, system_random(), std::move(upstreams));
    answerer = std::make_unique<Answerer>(*records, *forwarder, [this] { return zone_ready(); });
    listener = std::make_unique<Listener>(*poll, *answerer);
    auto bound = listener->open(options.addresses, options.port);
    for (int other : {kOtherPort, 0}) {
      if (bound.ok() || !options.other_port_if_taken || bound.status().sys_errno() != EADDRINUSE) break;
      listener = std::make_unique<Listener>(*poll, *answerer);
      bound = listener->open(options.addresses, other);
    }
    if (!bound.ok()) return bound.status();
    port = *bound;
    return {};
  }
};

DnsServer::DnsServer(machinery::Informer& services, machinery::Informer& slices, DnsOptions options)
    : impl_(std::make_shared<Impl>(services, slices, std::move(options))) {
  services.on_change([records = impl_->records](const json::Doc& before, const json::Doc& after) { records->service_changed(before, after); });
  slices.on_change([records = impl_->records](const json::Doc& before, const json::Doc& after) { records->slice_changed(before, after); });
}

DnsServer::~DnsServer() { stop(); }

Result<> DnsServer::start() {
  if (impl_->thread.joinable()) return internal_error("dns: has been started already");
  if (auto opened = impl_->open(); !opened.ok()) {
    impl_->close();
    return opened;
  }
  log_info("cluster dns serves", {{"domain", impl_->options.domain}, {"port", impl_->port.load()}});
  impl_->thread = std::thread([impl = impl_.get()] { impl->poll->run(); });
  pthread_setname_np(impl_->thread.native_handle(), "dns");
  return {};
}

void DnsServer::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->poll->stop();
  impl_->thread.join();
  impl_->close();
}

int DnsServer::port() const { return impl_->port; }

}  // namespace k8lite::dns
