// The echo server of the first steps (image k8lite/echoserver): answers every request with the pod's name and the request it saw.
// Small and static, plain sockets, one poll loop, bounded connections; ends at once on SIGTERM, also as process 1.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace {

constexpr size_t kMaxConnections = 512;
constexpr size_t kMaxRequest = 1 << 20;

struct Connection {
  int fd;
  std::string peer, in, out;
  bool close_after = false;
};

volatile sig_atomic_t g_stop = 0;

std::string header_of(const std::string& head, const char* name) {
  size_t n = strlen(name);
  for (size_t at = head.find("\r\n"); at != std::string::npos; at = head.find("\r\n", at + 2)) {
    const char* line = head.c_str() + at + 2;
    if (strncasecmp(line, name, n) != 0 || line[n] != ':') continue;
    const char* value = line + n + 1;
    while (*value == ' ') ++value;
    return std::string(value, strcspn(value, "\r\n"));
  }
  return "";
}

void respond(Connection& c, const std::string& head, const std::string& body) {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  size_t a = head.find(' '), b = head.find(' ', a + 1), end = head.find("\r\n");
  std::string method = head.substr(0, a), path = head.substr(a + 1, b - a - 1), version = head.substr(b + 1, end - b - 1);
  std::string text = "Hostname: " + std::string(host) + "\n\nRequest:\n  method: " + method + "\n  path: " + path + "\n  version: " + version + "\n  client: " + c.peer + "\n\nHeaders:\n";
  for (size_t at = end; at != std::string::npos && at + 2 < head.size();) {
    size_t next = head.find("\r\n", at + 2);
    std::string line = head.substr(at + 2, next == std::string::npos ? next : next - at - 2);
    if (!line.empty()) text += "  " + line + "\n";
    at = next;
  }
  text += "\nBody:\n" + (body.empty() ? std::string("  -no body-\n") : body + "\n");
  std::string connection = header_of(head, "Connection");
  if (strcasecmp(connection.c_str(), "close") == 0 || (version == "HTTP/1.0" && strcasecmp(connection.c_str(), "keep-alive") != 0)) c.close_after = true;
  c.out += "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(text.size()) + (c.close_after ? "\r\nConnection: close" : "") + "\r\n\r\n";
  if (method != "HEAD") c.out += text;
}

// Answers every whole request in the buffer. False: the connection is to be dropped.
bool consume(Connection& c) {
  for (;;) {
    size_t end = c.in.find("\r\n\r\n");
    if (end == std::string::npos) return c.in.size() <= kMaxRequest;
    std::string head = c.in.substr(0, end + 2);
    if (head.find(' ') == std::string::npos || head.find(' ', head.find(' ') + 1) == std::string::npos) return false;
    size_t length = strtoul(header_of(head, "Content-Length").c_str(), nullptr, 10);
    if (length > kMaxRequest || !header_of(head, "Transfer-Encoding").empty()) {
      c.out += "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
      c.close_after = true;
      c.in.clear();
      return true;
    }
    if (c.in.size() < end + 4 + length) return true;
    std::string body = c.in.substr(end + 4, length);
    c.in.erase(0, end + 4 + length);
    respond(c, head, body);
    if (c.close_after) return true;
  }
}

int listen_on(int port) {
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, off = 0;
  if (fd >= 0) {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(static_cast<uint16_t>(port));
    if (bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any) == 0 && listen(fd, 128) == 0) return fd;
    close(fd);
  }
  fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in any4{};
  any4.sin_family = AF_INET;
  any4.sin_port = htons(static_cast<uint16_t>(port));
  if (fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&any4), sizeof any4) == 0 && listen(fd, 128) == 0) return fd;
  return -1;
}

std::string peer_text(const sockaddr_storage& from) {
  char text[INET6_ADDRSTRLEN] = {};
  if (from.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(from).sin_addr, text, sizeof text);
  } else {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return text + 7;
  }
  return text;
}

bool pump(Connection& c, short events) {
  if (events & (POLLERR | POLLNVAL)) return false;
  if (events & (POLLIN | POLLHUP)) {
    char buffer[16384];
    ssize_t n = recv(c.fd, buffer, sizeof buffer, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return false;
    if (n > 0) c.in.append(buffer, static_cast<size_t>(n));
    if (!consume(c)) return false;
  }
  while (!c.out.empty()) {
    ssize_t n = send(c.fd, c.out.data(), c.out.size(), MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n < 0) return false;
    c.out.erase(0, static_cast<size_t>(n));
  }
  return !c.close_after;
}

}  // namespace

int main() {
  struct sigaction stop{};
  stop.sa_handler = [](int) { g_stop = 1; };
  sigaction(SIGTERM, &stop, nullptr);
  sigaction(SIGINT, &stop, nullptr);
  const char* wanted = getenv("PORT");
  int port = wanted ? atoi(wanted) : 8080;
  int listener = listen_on(port);
  if (listener < 0) {
    fprintf(stderr, "echoserver: listen on port %d: %s\n", port, strerror(errno));
    return 1;
  }
  printf("echoserver: listening on port %d\n", port);
  fflush(stdout);
  std::vector<Connection> connections;
  while (!g_stop) {
    std::vector<pollfd> polls = {{listener, static_cast<short>(connections.size() < kMaxConnections ? POLLIN : 0), 0}};
    for (const auto& c : connections) polls.push_back({c.fd, static_cast<short>(c.out.empty() ? POLLIN : POLLOUT), 0});
    if (poll(polls.data(), polls.size(), -1) < 0) continue;
    for (size_t i = connections.size(); i-- > 0;) {
      if (!polls[i + 1].revents || pump(connections[i], polls[i + 1].revents)) continue;
      close(connections[i].fd);
      connections.erase(connections.begin() + static_cast<long>(i));
    }
    if (polls[0].revents & POLLIN) {
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      int fd = accept4(listener, reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd >= 0) connections.push_back({fd, peer_text(from), "", ""});
    }
  }
  printf("echoserver: stopping\n");
  return 0;
}
