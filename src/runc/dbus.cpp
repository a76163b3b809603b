// See dbus.h.
#include "runc/dbus.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runc/common.h"

namespace k8lite::runc {
namespace {

constexpr char kManager[] = "org.freedesktop.systemd1.Manager", kSystemd[] = "org.freedesktop.systemd1",
               kObject[] = "/org/freedesktop/systemd1";
constexpr uint8_t kCall = 1, kError = 3, kSignal = 4;
constexpr size_t kLongest = 1 << 20;  // of a message: far more than an answer to these calls
constexpr int kPatience_ms = 30'000;  // until an answer or the end of a job

struct Reader {
  std::string_view text;
  size_t at = 0;
  bool good = true;
  void align(size_t to) { at = (at + to - 1) / to * to; }
  uint32_t u32() {
    align(4);
    uint32_t v = 0;
    if (at + 4 > text.size()) return good = false, 0;
    memcpy(&v, text.data() + at, 4);
    at += 4;
    return v;
  }
  std::string take(size_t n) {
    if (n > text.size() || at + n + 1 > text.size()) return good = false, "";
    std::string out(text.substr(at, n));
    at += n + 1;
    return out;
  }
  std::string string() {
    uint32_t n = u32();
    return take(n);
  }
  std::string signature() {
    if (at >= text.size()) return good = false, "";
    auto n = static_cast<uint8_t>(text[at++]);
    return take(n);
  }
};

bool read_exactly(int fd, char* to, size_t n) {
  while (n > 0) {
    pollfd p{fd, POLLIN, 0};
    if (poll(&p, 1, kPatience_ms) <= 0) return false;
    ssize_t got = read(fd, to, n);
    if (got <= 0) return false;
    to += got;
    n -= static_cast<size_t>(got);
  }
  return true;
}

}  // namespace

Dbus::~Dbus() { close_fd(fd_); }

std::string Dbus::open_at(const std::string& path, bool bus) {
  close_fd(fd_);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return path + ": name too long";
  memcpy(address.sun_path, path.c_str(), path.size());
  fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0 || connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return "connect to " + path + ": " + reason(errno);
  // Who we are, in hexadecimal of the number's text; the kernel tells the other side the same.
  std::string hello(1, '\0'), uid = std::to_string(geteuid());
  hello += "AUTH EXTERNAL ";
  for (char c : uid) hello += "0123456789abcdef"[c >> 4], hello += "0123456789abcdef"[c & 15];
  hello += "\r\n";
  if (::send(fd_, hello.data(), hello.size(), MSG_NOSIGNAL) < 0) return path + ": " + reason(errno);
  std::string answer;
  for (char c = 0; answer.size() < 512 && c != '\n'; answer += c)
    if (!read_exactly(fd_, &c, 1)) return path + ": no answer";
  if (!starts_with(answer, "OK ")) return path + ": not allowed";
  if (::send(fd_, "BEGIN\r\n", 7, MSG_NOSIGNAL) < 0) return path + ": " + reason(errno);
  bus_ = bus;
  std::vector<std::string> none;
  if (!bus) return "";
  constexpr char kBus[] = "org.freedesktop.DBus";
  DbusText rule;
  rule.string("type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'");
  if (std::string wrong = send("/org/freedesktop/DBus", kBus, kBus, "Hello", "", "", none); !wrong.empty())
    return wrong;
  if (std::string wrong = send("/org/freedesktop/DBus", kBus, kBus, "AddMatch", "s", rule.text(), none); !wrong.empty())
    return wrong;
  return call("Subscribe", "", DbusText(), none);
}

std::string Dbus::open_systemd() {
  std::string runtime = "/run", bus = "/run/dbus/system_bus_socket";
  if (geteuid() != 0) {
    const char* dir = getenv("XDG_RUNTIME_DIR");
    runtime = dir ? dir : "/run/user/" + std::to_string(geteuid());
    bus = runtime + "/bus";
  }
  if (open_at(runtime + "/systemd/private", false).empty()) return "";
  return open_at(bus, true);
}

std::string Dbus::send(const char* path, const char* interface, const char* destination, const char* member,
                       const char* signature, const std::string& body, std::vector<std::string>& strings) {
  DbusText m;
  for (uint8_t b : {uint8_t{'l'}, kCall, uint8_t{0}, uint8_t{1}}) m.byte(b);
  m.u32(static_cast<uint32_t>(body.size()));
  uint32_t serial = ++serial_;
  m.u32(serial);
  size_t fields = m.begin_array(8);
  auto field = [&m](uint8_t code, const char* type, const char* value) {
    if (!value || !*value) return;
    m.align(8);
    m.byte(code);
    m.signature(type);
    if (*type == 'g')
      m.signature(value);
    else
      m.string(value);
  };
  field(1, "o", path);
  field(2, "s", interface);
  field(3, "s", member);
  field(6, "s", destination);
  field(8, "g", signature);
  m.end_array(fields);
  m.align(8);
  std::string whole = m.text() + body;
  for (size_t at = 0; at < whole.size();) {
    ssize_t n = ::send(fd_, whole.data() + at, whole.size() - at, MSG_NOSIGNAL);
    if (n <= 0) return "systemd: " + reason(errno);
    at += static_cast<size_t>(n);
  }
  for (;;) {
    uint8_t type = 0;
    uint32_t answers = 0;
    std::string name;
    strings.clear();
    if (!receive(type, answers, name, strings)) return "systemd: no answer to " + std::string(member);
    if (answers != serial) continue;
    if (type == kError) return name + ": " + (strings.empty() ? "" : strings[0]);
    return "";
  }
}

std::string Dbus::call(const char* member, const char* signature, const DbusText& body,
                       std::vector<std::string>& strings) {
  return send(kObject, kManager, bus_ ? kSystemd : "", member, signature, body.text(), strings);
}

bool Dbus::receive(uint8_t& type, uint32_t& answers, std::string& name, std::vector<std::string>& strings) {
  char head[16];
  if (!read_exactly(fd_, head, sizeof head) || head[0] != 'l') return false;
  uint32_t body_size = 0, fields_size = 0;
  memcpy(&body_size, head + 4, 4);
  memcpy(&fields_size, head + 12, 4);
  if (body_size > kLongest || fields_size > kLongest) return false;
  size_t padded = (fields_size + 7) / 8 * 8;
  std::string rest(padded + body_size, '\0');
  if (!read_exactly(fd_, rest.data(), rest.size())) return false;
  type = static_cast<uint8_t>(head[1]);
  Reader r{std::string_view(rest).substr(0, fields_size)};
  std::string body_signature, member;
  while (r.good && r.at < fields_size) {
    r.align(8);
    if (r.at >= fields_size) break;
    auto code = static_cast<uint8_t>(rest[r.at++]);
    std::string kind = r.signature();
    if (kind == "u") {
      uint32_t v = r.u32();
      if (code == 5) answers = v;
    } else {
      std::string v = kind == "g" ? r.signature() : r.string();
      if (code == 3) member = v;
      if (code == 4) name = v;
      if (code == 8) body_signature = v;
    }
  }
  // Only plain bodies are of interest; anything behind a container is left unread.
  Reader b{std::string_view(rest).substr(padded)};
  for (char c : body_signature) {
    if (c == 'u' || c == 'b')
      b.u32();
    else if (c == 's' || c == 'o')
      strings.push_back(b.string());
    else
      break;
  }
  if (type == kSignal && member == "JobRemoved" && strings.size() == 3 && jobs_.size() < 1024)
    jobs_.emplace_back(strings[0], strings[2]);
  return r.good && b.good;
}

std::string Dbus::wait_for_job(const std::string& job) {
  for (;;) {
    for (const auto& j : jobs_)
      if (j.first == job) return j.second;
    uint8_t type = 0;
    uint32_t answers = 0;
    std::string name;
    std::vector<std::string> strings;
    if (!receive(type, answers, name, strings)) return "timeout";
  }
}

}  // namespace k8lite::runc
