// See notify.h.
#include "runc/notify.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "runc/common.h"

namespace k8lite::runc {
namespace {

constexpr char kInside[] = "/run/notify";
constexpr size_t kLongest = 4096;  // of a notification

std::string manager_socket() {
  const char* path = getenv("NOTIFY_SOCKET");
  return path && (path[0] == '/' || path[0] == '@') ? path : "";
}

// A name that begins with @ lies in the abstract space.
socklen_t address_of(const std::string& path, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return 0;
  memcpy(address.sun_path, path.c_str(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (path[0] != '@'));
}

void tell_manager(const std::string& text) {
  sockaddr_un address;
  socklen_t size = address_of(manager_socket(), address);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || !size ||
      sendto(fd, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), size) < 0)
    warn("notify " + manager_socket() + ": " + reason(errno));
  close_fd(fd);
}

}  // namespace

void offer_notify_socket(Launch& l) {
  Container& c = l.container;
  std::string folder = c.folder + "/notify";
  if (manager_socket().empty()) return;
  if (mkdir(folder.c_str(), 0755) != 0) fail("mkdir " + folder);
  Json mounts = c.spec["mounts"], options = Json::array(), process = c.spec["process"], env = process["env"];
  if (!mounts.is_array()) mounts = Json::array();
  if (!env.is_array()) env = Json::array();
  for (const char* o : {"bind", "nosuid", "noexec", "nodev", "ro"}) options.append(o);
  mounts.append(
      Json::object().set("destination", kInside).set("type", "bind").set("source", folder).set("options", options));
  env.append("NOTIFY_SOCKET=" + std::string(kInside) + "/notify.sock");
  process.set("env", env);
  c.spec.set("mounts", mounts).set("process", process);
}

int listen_for_ready(const Container& c) {
  std::string folder = c.folder + "/notify", path = folder + "/notify.sock";
  if (manager_socket().empty() || !exists(folder)) return -1;
  sockaddr_un address;
  socklen_t size = address_of(path, address);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || !size || bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) fail("bind " + path);
  if (chmod(path.c_str(), 0777) != 0) fail("chmod " + path);  // for any user of the container
  return fd;
}

void relay_ready(int socket, pid_t pid, bool is_main) {
  if (socket < 0) return;
  int process = pidfd_open_of(pid);
  pollfd polls[2] = {{socket, POLLIN, 0}, {process, POLLIN, 0}};
  bool ready = false;
  while (!ready) {
    if (poll(polls, 2, -1) < 0 && errno != EINTR) break;
    if (!(polls[0].revents & POLLIN)) {
      if (polls[1].revents) break;
      continue;
    }
    char text[kLongest];
    ssize_t n = recv(socket, text, sizeof text, MSG_DONTWAIT);
    for (const auto& line : split(std::string_view(text, n > 0 ? static_cast<size_t>(n) : 0), '\n'))
      ready |= line == "READY=1";
  }
  // Only this word: what else a container may say of the manager's unit is none of its business.
  if (ready) tell_manager("READY=1\n" + (is_main ? "MAINPID=" + std::to_string(pid) + "\n" : ""));
  close(socket);
  close_fd(process);
}

void relay_ready_aside(int socket, pid_t pid) {
  if (socket < 0) return;
  if (fork() == 0) {
    relay_ready(socket, pid, false);
    _exit(0);
  }
  close(socket);
}

}  // namespace k8lite::runc
