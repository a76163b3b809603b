// See common.h.
#include "runc/common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runc/json.h"

namespace k8lite::runc {
namespace {
int g_report_fd = -1;
void (*g_undo)() = nullptr;
}  // namespace

Log& log_settings() {
  static Log log;
  return log;
}

std::string now_rfc3339(bool nanoseconds) {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  tm parts{};
  gmtime_r(&t.tv_sec, &parts);
  char text[64];
  size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  if (nanoseconds) n += static_cast<size_t>(snprintf(text + n, sizeof text - n, ".%09ld", t.tv_nsec));
  return std::string(text, n) + "Z";
}

void log_line(const char* level, const std::string& text) {
  const Log& log = log_settings();
  std::string line;
  if (g_report_fd >= 0) {  // in a container's process the log's path would lead into the container
    std::string record = std::string("L") + level + ' ' + text;
    (void)!send(g_report_fd, record.data(), record.size(), MSG_NOSIGNAL);
    return;
  }
  if (log.json)
    line = "{\"level\":\"" + std::string(level) + "\",\"msg\":" + quoted(text) + ",\"time\":\"" + now_rfc3339(false) +
           "\"}\n";
  else
    line = "time=\"" + now_rfc3339(false) + "\" level=" + level + " msg=" + quoted(text) + "\n";
  int fd = log.path.empty() ? 2 : open(log.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
  if (fd < 0) return;
  (void)!write(fd, line.data(), line.size());
  if (fd != 2) close(fd);
}
void warn(const std::string& text) { log_line("warning", text); }
void debug(const std::string& text) {
  if (log_settings().debug) log_line("debug", text);
}

std::string reason(int err) {
  std::string text = strerror(err);
  if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a') text[0] = static_cast<char>(text[0] + 32);
  return text;
}
void report_failures_to(int fd) { g_report_fd = fd; }
void undo_on_failure(void (*undo)()) { g_undo = undo; }

void fail(const std::string& what, int err) {
  std::string text = err ? what + ": " + reason(err) : what;
  if (g_report_fd >= 0) {
    std::string record = "E" + text;
    (void)!send(g_report_fd, record.data(), record.size(), MSG_NOSIGNAL);
    _exit(1);
  }
  if (auto undo = g_undo) g_undo = nullptr, undo();
  const Log& log = log_settings();
  std::string whole = log.verb + text;
  log_line("error", whole);
  if (!log.path.empty()) dprintf(2, "%s\n", whole.c_str());
  _exit(log.exit_code);
}
void fail(const std::string& what) { fail(what, errno); }
void refuse(const std::string& what) { fail(what, 0); }

std::string read_fd(int fd) {
  std::string text;
  char buffer[4096];
  for (;;) {
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}
std::string read_whole(const std::string& path, bool* found) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (found) *found = fd >= 0;
  if (fd < 0) return "";
  std::string text = read_fd(fd);
  close(fd);
  return text;
}
bool write_whole(const std::string& path, std::string_view text) {
  int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = write(fd, text.data(), text.size());
  int err = errno;
  close(fd);
  errno = err;
  return n == static_cast<ssize_t>(text.size());
}
void replace_file(const std::string& path, std::string_view text, mode_t mode) {
  std::string temporary = path + ".tmp-" + std::to_string(getpid());
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) fail("open " + temporary);
  if (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) fail("write " + temporary);
  close(fd);
  if (rename(temporary.c_str(), path.c_str()) != 0) fail("rename " + temporary);
}
bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

bool make_dirs(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return true;
  if (errno != ENOENT || path.empty() || path == "/") return false;
  if (!make_dirs(parent_of(path), mode)) return false;
  return mkdir(path.c_str(), mode) == 0 || errno == EEXIST;
}
std::vector<std::string> list_dir(const std::string& path) {
  std::vector<std::string> out;
  DIR* dir = opendir(path.c_str());
  if (!dir) return out;
  while (dirent* e = readdir(dir))
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) out.emplace_back(e->d_name);
  closedir(dir);
  return out;
}
void remove_tree(const std::string& path) {
  if (unlink(path.c_str()) == 0 || rmdir(path.c_str()) == 0) return;
  if (errno != ENOTEMPTY) return;
  for (const auto& name : list_dir(path)) remove_tree(path + "/" + name);
  rmdir(path.c_str());
}
std::string parent_of(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}
std::string base_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string absolute(const std::string& path) {
  if (!path.empty() && path[0] == '/') return path;
  char cwd[4096];
  if (!getcwd(cwd, sizeof cwd)) fail("getcwd");
  return path.empty() ? cwd : std::string(cwd) + "/" + path;
}
std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out;
  while (!text.empty()) {
    size_t end = text.find(separator);
    if (end != 0) out.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}
bool starts_with(std::string_view text, std::string_view with) { return text.substr(0, with.size()) == with; }
std::string proc_fd(int fd) { return "/proc/self/fd/" + std::to_string(fd); }
void close_fd(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

bool send_fd(int socket, int fd, std::string_view text) {
  iovec io{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  return sendmsg(socket, &message, MSG_NOSIGNAL) >= 0;
}
int receive_fd(int socket) {
  char byte[256];
  iovec io{byte, sizeof byte};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) < 0) return -1;
  cmsghdr* c = CMSG_FIRSTHDR(&message);
  int fd = -1;
  if (c && c->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(c), sizeof fd);
  return fd;
}
int pidfd_open_of(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

}  // namespace k8lite::runc
