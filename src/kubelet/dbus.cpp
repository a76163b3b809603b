#include "kubelet/dbus.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

namespace k8lite::kubelet {
namespace {

constexpr size_t kLongestMessage = 1 << 20, kMostSignals = 64, kMostFds = 16;
constexpr size_t kFixedHeader = 16;

enum Field : uint8_t { Path = 1, Interface, Member, ErrorName, ReplySerial, Destination, Sender, Signature, UnixFds };

uint32_t little(std::string_view at) {
  uint32_t v = 0;
  for (size_t i = 0; i < 4; ++i) v |= uint32_t{static_cast<uint8_t>(at[i])} << (8 * i);
  return v;
}

void field(DbusWriter& w, Field code, char type, std::string_view value) {
  if (value.empty()) return;
  w.pad(8).out += static_cast<char>(code);
  w.out += '\x01';
  w.out += type;
  w.out += '\0';
  if (type != 'g') {
    w.text(value);
    return;
  }
  w.out += static_cast<char>(value.size());
  w.out.append(value).append(1, '\0');
}

// A header field's value, which is of one of four types; `at` stands behind its code.
bool read_field(DbusReader& r, uint8_t code, DbusMessage& m) {
  std::string type = r.signature(), text;
  uint32_t n = 0;
  if (type == "s" || type == "o") text = r.text();
  else if (type == "g") text = r.signature();
  else if (type == "u") n = r.number();
  else return false;
  switch (code) {
    case Path: m.path = text; break;
    case Interface: m.interface = text; break;
    case Member: m.member = text; break;
    case ErrorName: m.error = text; break;
    case ReplySerial: m.reply_to = n; break;
    case Destination: m.destination = text; break;
    case Sender: m.sender = text; break;
    case Signature: m.signature = text; break;
    case UnixFds: m.fds = n; break;
    default: break;
  }
  return !r.bad;
}

int left_ms(Duration patience) { return static_cast<int>(std::chrono::duration_cast<milliseconds>(patience).count()); }

}  // namespace

DbusWriter& DbusWriter::pad(size_t to) {
  out.append((to - out.size() % to) % to, '\0');
  return *this;
}
DbusWriter& DbusWriter::number(uint32_t v) {
  pad(4);
  for (int i = 0; i < 4; ++i) out += static_cast<char>(v >> (8 * i));
  return *this;
}
DbusWriter& DbusWriter::text(std::string_view v) {
  number(static_cast<uint32_t>(v.size()));
  out.append(v).append(1, '\0');
  return *this;
}

uint8_t DbusReader::byte() {
  if (at >= in.size()) return bad = true, 0;
  return static_cast<uint8_t>(in[at++]);
}
uint32_t DbusReader::number() {
  pad(4);
  if (at + 4 > in.size()) return bad = true, 0;
  at += 4;
  return little(in.substr(at - 4));
}
uint64_t DbusReader::large() {
  pad(8);
  uint64_t low = number();
  return low | uint64_t{number()} << 32;
}
std::string DbusReader::text() {
  size_t n = number();
  if (bad || n >= in.size() || at + n + 1 > in.size()) return bad = true, std::string();
  std::string v(in.substr(at, n));
  at += n + 1;
  return v;
}
std::string DbusReader::signature() {
  size_t n = byte();
  if (bad || at + n + 1 > in.size()) return bad = true, std::string();
  std::string v(in.substr(at, n));
  at += n + 1;
  return v;
}

std::string encode(const DbusMessage& m) {
  DbusWriter fields;
  field(fields, Path, 'o', m.path);
  field(fields, Interface, 's', m.interface);
  field(fields, Member, 's', m.member);
  field(fields, ErrorName, 's', m.error);
  for (auto [code, n] : {std::pair{ReplySerial, m.reply_to}, {UnixFds, m.fds}}) {
    if (n == 0) continue;
    fields.pad(8).out += static_cast<char>(code);
    fields.out.append("\1u\0", 3);
    fields.number(n);
  }
  field(fields, Destination, 's', m.destination);
  field(fields, Sender, 's', m.sender);
  field(fields, Signature, 'g', m.signature);
  DbusWriter w;
  w.out = "l";
  w.out += static_cast<char>(m.type);
  w.out.append("\0\1", 2);
  w.number(static_cast<uint32_t>(m.body.size())).number(m.serial).number(static_cast<uint32_t>(fields.out.size()));
  w.out += fields.out;  // which begin at 16: their alignment stays
  w.pad(8);
  return w.out + m.body;
}

Result<bool> decode(std::string& in, DbusMessage& out) {
  if (in.size() < kFixedHeader) return false;
  if (in[0] != 'l' || in[3] != 1) return bad_request("not a message of D-Bus");
  std::string_view all = in;
  size_t body = little(all.substr(4)), fields = little(all.substr(12));
  if (body > kLongestMessage || fields > kLongestMessage) return bad_request("a message of D-Bus is too long");
  size_t begin = (kFixedHeader + fields + 7) / 8 * 8;
  if (in.size() < begin + body) return false;
  DbusMessage m;
  m.type = static_cast<DbusMessage::Type>(in[1]);
  m.serial = little(all.substr(8));
  DbusReader r{all.substr(0, kFixedHeader + fields), kFixedHeader};
  while (r.at < r.in.size()) {
    r.pad(8);
    if (r.at >= r.in.size()) break;
    uint8_t code = r.byte();
    if (!read_field(r, code, m)) return bad_request("the header of a message of D-Bus is broken");
  }
  m.body = in.substr(begin, body);
  in.erase(0, begin + body);
  out = std::move(m);
  return true;
}

Result<std::unique_ptr<Dbus>> Dbus::connect(const std::string& address, Duration patience) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (address.size() >= sizeof to.sun_path) return bad_request("the bus' address is too long");
  memcpy(to.sun_path, address.data(), address.size());
  os::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
    return Status::from_errno("connect to " + address, errno);
  std::unique_ptr<Dbus> bus(new Dbus(std::move(fd)));
  TRY_OK(bus->authenticate(patience));
  DbusMessage hello;
  hello.destination = hello.interface = "org.freedesktop.DBus";
  hello.path = "/org/freedesktop/DBus";
  hello.member = "Hello";
  TRY_OK(bus->call(hello, patience));
  return bus;
}

Result<> Dbus::authenticate(Duration patience) {
  std::string uid = std::to_string(::geteuid()), hex;
  for (char c : uid) hex += "3", hex += c;  // digits are 0x30 and on
  using namespace std::string_literals;
  TRY_OK(send("\0AUTH EXTERNAL "s + hex + "\r\nNEGOTIATE_UNIX_FD\r\n"));
  for (const char* wanted : {"OK ", "AGREE_UNIX_FD"}) {
    size_t end;
    while ((end = in_.find("\r\n")) == std::string::npos) {
      TRY(bool more, receive(-1, left_ms(patience)));
      if (!more) return timed_out("the bus does not answer");
    }
    if (!in_.starts_with(wanted)) return Status(Reason::Forbidden, "the bus says " + in_.substr(0, end));
    in_.erase(0, end + 2);
  }
  return send("BEGIN\r\n");
}

Result<> Dbus::send(const std::string& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    ssize_t n = ::send(fd_.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::from_errno("write to the bus", errno);
    done += static_cast<size_t>(n);
  }
  return {};
}

Result<bool> Dbus::receive(int stop, int timeout_ms) {
  pollfd polls[2] = {{fd_.get(), POLLIN, 0}, {stop, POLLIN, 0}};
  int ready = ::poll(polls, 2, timeout_ms);
  if (ready < 0 && errno == EINTR) return true;
  if (ready <= 0 || polls[1].revents) return false;
  char buffer[4096];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostFds)];
  iovec io{buffer, sizeof buffer};
  msghdr m{};
  m.msg_iov = &io;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  ssize_t n = ::recvmsg(fd_.get(), &m, MSG_CMSG_CLOEXEC);
  if (n <= 0) return unavailable("the bus has closed the connection");
  for (cmsghdr* c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      fds_.emplace_back(fd);
    }
  }
  if (in_.size() > kLongestMessage * 2) return bad_request("the bus says too much");
  in_.append(buffer, static_cast<size_t>(n));
  return true;
}

Result<Dbus::Reply> Dbus::call(DbusMessage message, Duration patience) {
  message.serial = ++serial_;
  TRY_OK(send(encode(message)));
  for (;;) {
    DbusMessage m;
    TRY(bool whole, decode(in_, m));
    if (!whole) {
      TRY(bool more, receive(-1, left_ms(patience)));
      if (!more) return timed_out("the bus does not answer " + message.member);
      continue;
    }
    std::vector<os::Fd> fds;
    for (; fds.size() < m.fds && !fds_.empty(); fds_.erase(fds_.begin())) fds.push_back(std::move(fds_.front()));
    if (m.type == DbusMessage::Type::Signal && signals_.size() < kMostSignals) signals_.push_back(m);
    if (m.reply_to != message.serial) continue;
    if (m.type == DbusMessage::Type::Error) {
      DbusReader r{m.body};
      std::string why = m.signature.starts_with("s") ? r.text() : "";
      return unavailable(message.member + ": " + m.error + (why.empty() ? "" : ": " + why));
    }
    return Reply{std::move(m.body), std::move(fds)};
  }
}

Result<bool> Dbus::next_signal(int stop, DbusMessage& out) {
  for (;;) {
    if (!signals_.empty()) {
      out = std::move(signals_.front());
      signals_.erase(signals_.begin());
      return true;
    }
    DbusMessage m;
    TRY(bool whole, decode(in_, m));
    if (whole && m.type == DbusMessage::Type::Signal) {
      out = std::move(m);
      return true;
    }
    if (whole) continue;
    TRY(bool more, receive(stop, -1));
    if (!more) return false;
  }
}

}  // namespace k8lite::kubelet
