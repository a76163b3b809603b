#include "proxy/rule_watch.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "proxy/nfnetlink.h"

namespace k8lite::proxy {
namespace {

constexpr int kBetweenMs = 1000;  // our own changes of a busy cluster tell too

std::string with_end(const std::string& text) { return text + '\0'; }

class Watch : public RuleWatch {
 public:
  Watch(os::Fd events, os::Fd questions, os::Fd stop, std::vector<Landmark> landmarks, std::function<void()> lost)
      : events_(std::move(events)), questions_(std::move(questions)), stop_(std::move(stop)), landmarks_(std::move(landmarks)), seen_(landmarks_.size()), lost_(std::move(lost)) {
    thread_ = std::thread([this] { run(); });
  }
  ~Watch() override {
    uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
    thread_.join();
  }

 private:
  void run() {
    (void)look();  // what is there from the start
    for (;;) {
      pollfd p[2] = {{events_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      if (::poll(p, 2, -1) < 0 && errno != EINTR) return;
      if (p[1].revents) return;
      pollfd stop{stop_.get(), POLLIN, 0};
      if (::poll(&stop, 1, kBetweenMs) > 0) return;  // what comes together is looked at once
      drain();
      if (look()) lost_();
    }
  }

  void drain() {
    char buffer[16384];
    // ENOBUFS says that some were lost, which makes no difference: we look anyway.
    while (::recv(events_.get(), buffer, sizeof buffer, MSG_DONTWAIT) >= 0 || errno == EINTR || errno == ENOBUFS) {}
  }

  bool is_there(const Landmark& landmark) {
    std::string attributes;
    append_attribute(attributes, NFTA_RULE_TABLE, with_end(landmark.table));
    append_attribute(attributes, NFTA_RULE_CHAIN, with_end(landmark.chain));
    bool found = false;
    auto done = netfilter_exchange(questions_, netfilter_message(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE, NLM_F_DUMP, attributes), [&found, &landmark](std::string_view rule) {
      bool chain = false, target = false;
      each_attribute(rule, [&chain, &target, &landmark](int type, std::string_view value) {
        if (type == NFTA_RULE_CHAIN) chain = value.starts_with(with_end(landmark.chain));
        if (type == NFTA_RULE_EXPRESSIONS) target = value.find(with_end(landmark.target)) != value.npos;
      });
      found |= chain && target;
    });
    return found || (!done.ok() && done.status().sys_errno() != ENOENT);  // where the kernel does not say, nothing is lost
  }

  // True when something has gone since the last look.
  bool look() {
    bool gone = false;
    for (size_t i = 0; i < landmarks_.size(); ++i) {
      bool there = is_there(landmarks_[i]);
      gone |= seen_[i] && !there;
      seen_[i] = there;
    }
    return gone;
  }

  os::Fd events_, questions_, stop_;
  const std::vector<Landmark> landmarks_;
  std::vector<bool> seen_;
  std::function<void()> lost_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<RuleWatch>> RuleWatch::start(std::vector<Landmark> landmarks, std::function<void()> lost) {
  TRY(os::Fd events, netfilter_socket(1u << (NFNLGRP_NFTABLES - 1)));
  TRY(os::Fd questions, netfilter_socket());
  os::Fd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return Status::from_errno("watch rules", errno);
  return std::unique_ptr<RuleWatch>(new Watch(std::move(events), std::move(questions), std::move(stop), std::move(landmarks), std::move(lost)));
}

}  // namespace k8lite::proxy
