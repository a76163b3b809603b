// For the tests of this room against the kernel: a node with two routed pods and a machine on its network, each a network namespace.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "os/files.h"
#include "proxy/tool.h"

namespace k8lite::proxy {

inline int own_namespace() { return ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC); }
inline std::string namespace_path(const os::Fd& fd) { return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd.get()); }

inline void shell(const std::string& command) {
  INFO(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

// This thread visits another namespace while this stands; sockets made meanwhile stay there.
class Visit {
 public:
  explicit Visit(const os::Fd& to) { setns(to.get(), CLONE_NEWNET); }
  ~Visit() { setns(own_.get(), CLONE_NEWNET); }

 private:
  os::Fd own_{own_namespace()};
};

inline os::Fd new_namespace() {
  os::Fd own(own_namespace());
  unshare(CLONE_NEWNET);
  os::Fd made(own_namespace());
  std::system("ip link set lo up");
  setns(own.get(), CLONE_NEWNET);
  return made;
}

inline sockaddr_in address(const std::string& ip, int port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, ip.c_str(), &a.sin_addr);
  return a;
}

// Greets every client with "<name> <the client's address as seen here>".
class Server {
 public:
  Server(const os::Fd& where, std::string name, int port) : name_(std::move(name)) {
    Visit there(where);
    listener_ = os::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int one = 1;
    setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    auto a = address("0.0.0.0", port);
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
    REQUIRE(::listen(listener_.get(), 64) == 0);
    REQUIRE(::pipe2(stop_, O_CLOEXEC) == 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    ::close(stop_[1]);
    thread_.join();
    ::close(stop_[0]);
  }

 private:
  void serve() {
    for (;;) {
      pollfd p[2] = {{listener_.get(), POLLIN, 0}, {stop_[0], POLLIN, 0}};
      ::poll(p, 2, -1);
      if (p[1].revents) return;
      sockaddr_in from{};
      socklen_t size = sizeof from;
      os::Fd client(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC));
      if (!client) continue;
      char ip[INET_ADDRSTRLEN] = "";
      inet_ntop(AF_INET, &from.sin_addr, ip, sizeof ip);
      std::string text = name_ + " " + ip;
      (void)!::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL);
    }
  }
  std::string name_;
  os::Fd listener_;
  int stop_[2] = {-1, -1};
  std::thread thread_;
};

// What a client in the namespace is greeted with, or "refused", "timeout", or the error's text.
inline std::string ask(const os::Fd& from, const std::string& ip, int port, int wait_ms = 3000) {
  os::Fd s;
  {
    Visit there(from);
    s = os::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  }
  auto a = address(ip, port);
  auto said = [](int error) { return error == ECONNREFUSED ? std::string("refused") : std::string(strerror(error)); };
  if (::connect(s.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0 && errno != EINPROGRESS) return said(errno);
  pollfd p{s.get(), POLLIN, 0};
  int n_ready;
  while ((n_ready = ::poll(&p, 1, wait_ms)) < 0 && errno == EINTR) {}
  if (n_ready == 0) return "timeout";
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(s.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error) return said(error);
  if (!(p.revents & POLLIN)) return "revents " + std::to_string(p.revents);
  char text[128];
  ssize_t n = ::recv(s.get(), text, sizeof text, 0);
  return n < 0 ? said(errno) : std::string(text, static_cast<size_t>(n));
}
inline std::string first_word(const std::string& text) { return text.substr(0, text.find(' ')); }

// The test's thread becomes a node: 10.42.0.2 and 10.42.0.3 are its pods, 192.168.77.2 is a machine beside its 192.168.77.1.
struct Cluster {
  os::Fd host{own_namespace()};
  os::Fd node, a, b, outside;
  Cluster() {
    node = new_namespace(), a = new_namespace(), b = new_namespace(), outside = new_namespace();
    setns(node.get(), CLONE_NEWNET);
    pod(a, "va", "10.42.0.2");
    pod(b, "vb", "10.42.0.3");
    shell("ip link add up0 type veth peer name eth0 netns " + namespace_path(outside));
    shell("ip addr add 192.168.77.1/24 dev up0 && ip link set up0 up && ip route add default via 192.168.77.2");
    // The way out leads back over the link a client came by; redirects for that would use up the rate of ICMP refusals.
    shell("for i in all up0; do echo 0 >/proc/sys/net/ipv4/conf/$i/send_redirects; done");
    Visit there(outside);
    shell("ip addr add 192.168.77.2/24 dev eth0 && ip link set eth0 up && ip route add default via 192.168.77.1");
  }
  ~Cluster() {
    std::system("for l in va vb up0; do ip link del $l; done 2>/dev/null");
    setns(host.get(), CLONE_NEWNET);
  }
  void pod(const os::Fd& where, const std::string& link, const std::string& ip) {
    shell("ip link add " + link + " type veth peer name eth0 netns " + namespace_path(where));
    shell("ip addr add 10.42.0.1/32 dev " + link + " && ip link set " + link + " up && ip route add " + ip + " dev " + link);
    Visit there(where);
    shell("ip addr add " + ip + "/32 dev eth0 && ip link set eth0 up && ip route add 10.42.0.1 dev eth0 && ip route add default via 10.42.0.1");
  }
};

inline std::string saved() { return run_tool(find_tool("iptables-save"), {}).value(); }

}  // namespace k8lite::proxy
