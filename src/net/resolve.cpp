// Host names to addresses by c-ares (hosts file, then DNS), because the static executable has no NSS. A look-up runs on a short-lived
// thread of its own: it is rare (an image pull, an agent that joins) and must not stall the loop.
#include <arpa/inet.h>
#include <ares.h>
#include <netdb.h>
#include <poll.h>

#include <thread>

#include "net/stream.h"

namespace k8lite::net {
namespace {

constexpr int kTimeoutMs = 2000;
constexpr int kTries = 3;

bool is_numeric(const std::string& host) {
  in6_addr a;
  return inet_pton(AF_INET, host.c_str(), &a) == 1 || inet_pton(AF_INET6, host.c_str(), &a) == 1;
}

struct Answer {
  int status = ARES_ENOTFOUND;
  std::vector<std::string> addresses;
};

void on_answer(void* arg, int status, int, ares_addrinfo* info) {
  auto* answer = static_cast<Answer*>(arg);
  answer->status = status;
  if (!info) return;
  std::vector<std::string> v6;
  for (auto* n = info->nodes; n; n = n->ai_next) {
    char text[INET6_ADDRSTRLEN] = {};
    if (n->ai_family == AF_INET) {
      inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(n->ai_addr)->sin_addr, text, sizeof text);
      answer->addresses.emplace_back(text);
    } else if (n->ai_family == AF_INET6) {
      inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6*>(n->ai_addr)->sin6_addr, text, sizeof text);
      v6.emplace_back(text);
    }
  }
  answer->addresses.insert(answer->addresses.end(), v6.begin(), v6.end());
  ares_freeaddrinfo(info);
}

Result<std::vector<std::string>> look_up(const std::string& host) {
  static const int library = ares_library_init(ARES_LIB_INIT_ALL);
  if (library != ARES_SUCCESS) return internal_error("c-ares: " + std::string(ares_strerror(library)));
  ares_options options{};
  options.timeout = kTimeoutMs;
  options.tries = kTries;
  ares_channel channel = nullptr;
  if (int rc = ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES); rc != ARES_SUCCESS)
    return internal_error("c-ares: " + std::string(ares_strerror(rc)));
  Answer answer;
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  ares_getaddrinfo(channel, host.c_str(), nullptr, &hints, on_answer, &answer);
  for (;;) {
    // poll, not select: descriptors of a busy server lie beyond what an fd_set can hold.
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    const auto wanted = static_cast<unsigned>(ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM));
    pollfd polled[ARES_GETSOCK_MAXNUM];
    nfds_t n = 0;
    for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
      const short events = static_cast<short>((ARES_GETSOCK_READABLE(wanted, i) ? POLLIN : 0) | (ARES_GETSOCK_WRITABLE(wanted, i) ? POLLOUT : 0));
      if (events) polled[n++] = {sockets[i], events, 0};
    }
    if (n == 0) break;
    timeval tv;
    const timeval* wait = ares_timeout(channel, nullptr, &tv);
    poll(polled, n, wait ? static_cast<int>(wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1) : -1);
    bool any = false;
    for (nfds_t i = 0; i < n; ++i) {
      if (!polled[i].revents) continue;
      any = true;
      const bool in = polled[i].revents & (POLLIN | POLLERR | POLLHUP), out = polled[i].revents & (POLLOUT | POLLERR);
      ares_process_fd(channel, in ? polled[i].fd : ARES_SOCKET_BAD, out ? polled[i].fd : ARES_SOCKET_BAD);
    }
    if (!any) ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // a timeout is due
  }
  ares_destroy(channel);
  if (answer.addresses.empty()) {
    bool absent = answer.status == ARES_ENOTFOUND || answer.status == ARES_ENODATA;
    return unavailable("lookup " + host + ": " + (absent ? "no such host" : ares_strerror(answer.status)));
  }
  return answer.addresses;
}

}  // namespace

Task<Result<std::vector<std::string>>> resolve(std::string host) {
  using R = Result<std::vector<std::string>>;
  if (is_numeric(host)) co_return R(std::vector<std::string>{host});
  // RFC 6761: localhost is never asked for.
  if (host == "localhost") co_return R(std::vector<std::string>{"127.0.0.1", "::1"});
  co_return co_await async::from_callback<R>([host](std::function<void(R)> done) {
    std::thread([host, done] { done(look_up(host)); }).detach();
  });
}

}  // namespace k8lite::net
