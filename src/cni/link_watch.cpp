#include "cni/link_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "os/files.h"

namespace k8lite::cni {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSettle{200};   // a DHCP client takes an address away and sets another one at once; a pod makes several links
constexpr milliseconds kLongest{1000};  // a flapping link must not put it off for ever
constexpr milliseconds kBetween{1000};  // two programs that disagree about a link must not keep the machine busy

// Routes that are not the default route say nothing of the node's address, and a router has very many.
bool concerns_us(const char* data, size_t size) {
  for (auto* h = reinterpret_cast<const nlmsghdr*>(data); NLMSG_OK(h, size); h = NLMSG_NEXT(h, size)) {
    if (h->nlmsg_type != RTM_NEWROUTE && h->nlmsg_type != RTM_DELROUTE) return true;
    auto* route = static_cast<const rtmsg*>(NLMSG_DATA(h));
    if (h->nlmsg_len >= NLMSG_LENGTH(sizeof *route) && route->rtm_dst_len == 0 && route->rtm_table == RT_TABLE_MAIN) return true;
  }
  return false;
}

class Watch : public LinkWatch {
 public:
  Watch(os::Fd events, os::Fd stop, std::function<void()> changed) : events_(std::move(events)), stop_(std::move(stop)), changed_(std::move(changed)) {
    thread_ = std::thread([this] { run(); });
  }
  ~Watch() override {
    uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
    thread_.join();
  }

 private:
  void run() {
    using Clock = std::chrono::steady_clock;
    bool pending = false;
    Clock::time_point due, latest, told = Clock::now() - kBetween;
    for (;;) {
      auto left = std::chrono::duration_cast<milliseconds>(due - Clock::now()).count() + 1;
      pollfd p[2] = {{events_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      int n = ::poll(p, 2, !pending ? -1 : static_cast<int>(std::max<long>(left, 0)));
      if (n < 0 && errno != EINTR) return;
      if (n > 0 && p[1].revents) return;
      auto now = Clock::now();
      if (n > 0 && p[0].revents && drain()) {
        if (!std::exchange(pending, true)) latest = std::max(now + kLongest, told + kBetween);
        due = std::min(latest, std::max(now + kSettle, told + kBetween));
      }
      if (!pending || now < due) continue;
      pending = false;
      told = now;
      changed_();
    }
  }
  bool drain() {
    alignas(nlmsghdr) char buffer[16384];
    bool seen = false;
    for (;;) {
      ssize_t n = ::recv(events_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (n < 0 && errno == ENOBUFS) seen = true;  // more than fitted: something has changed
      else if (n < 0 && errno == EINTR) continue;
      else if (n <= 0) return seen;
      else seen |= concerns_us(buffer, static_cast<size_t>(n));
    }
  }

  os::Fd events_, stop_;
  std::function<void()> changed_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<LinkWatch>> LinkWatch::start(std::function<void()> changed) {
  os::Fd events(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)), stop(::eventfd(0, EFD_CLOEXEC));
  if (!events || !stop) return Status::from_errno("watch links", errno);
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE;
  if (::bind(events.get(), reinterpret_cast<sockaddr*>(&groups), sizeof groups) != 0) return Status::from_errno("watch links", errno);
  return std::unique_ptr<LinkWatch>(new Watch(std::move(events), std::move(stop), std::move(changed)));
}

}  // namespace k8lite::cni
