// The wire format of D-Bus, and the watch over the machine's shutdown against a bus that a thread of this test plays.
#include "kubelet/shutdown.h"

#include <catch2/catch.hpp>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <condition_variable>
#include <functional>
#include <mutex>

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/k8lite-bus.XXXXXX";
    REQUIRE(::mkdtemp(name));
    path = name;
  }
  ~Folder() { (void)os::remove_tree(path); }
};

// Things that were done, in order; wait_for() blocks until one was.
class Notes {
 public:
  void add(const std::string& what) {
    std::lock_guard lock(mutex_);
    all_ += what + "\n";
    wake_.notify_all();
  }
  bool wait_for(const std::string& what) {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, seconds(30), [&] { return all_.find(what + "\n") != std::string::npos; });
  }
  std::string all() {
    std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string all_;
};

// One client's bus with a login manager on it. `script` is called once the lock was given.
class FakeBus {
 public:
  FakeBus(const std::string& path, uint64_t delay_us, Notes& notes) : delay_us_(delay_us), notes_(notes) {
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    memcpy(at.sun_path, path.data(), path.size());
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(::listen(listener_.get(), 4) == 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeBus() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    {
      std::lock_guard lock(mutex_);
      if (client_) ::shutdown(client_.get(), SHUT_RDWR);
    }
    thread_.join();
  }
  void signal(const std::string& sender, bool going_down) {
    DbusMessage m;
    m.type = DbusMessage::Type::Signal;
    m.serial = 99;
    m.path = "/org/freedesktop/login1";
    m.interface = "org.freedesktop.login1.Manager";
    m.member = "PrepareForShutdown";
    m.sender = sender;
    m.signature = "b";
    m.body = DbusWriter().number(going_down).out;
    send(encode(m), -1);
  }
  // Has the client let go of the lock?
  bool let_go() {
    pollfd p{lock_.get(), 0, 0};
    return ::poll(&p, 1, 30'000) == 1;
  }

 private:
  void send(const std::string& bytes, int fd) {
    iovec io{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr m{};
    m.msg_iov = &io;
    m.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    if (fd >= 0) {
      m.msg_control = control;
      m.msg_controllen = sizeof control;
      cmsghdr* c = CMSG_FIRSTHDR(&m);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(sizeof(int));
      memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    std::lock_guard lock(mutex_);
    (void)::sendmsg(client_.get(), &m, MSG_NOSIGNAL);
  }
  void serve() {
    int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    {
      std::lock_guard lock(mutex_);
      client_.reset(fd);
    }
    std::string in;
    bool begun = false;
    for (char buffer[4096];;) {
      ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      in.append(buffer, static_cast<size_t>(n));
      if (!begun && in.find("NEGOTIATE_UNIX_FD\r\n") != std::string::npos && in.find("BEGIN\r\n") == std::string::npos) {
        if (!greeted_) send("OK 0123456789abcdef\r\nAGREE_UNIX_FD\r\n", -1);
        greeted_ = true;
        continue;
      }
      if (!begun && in.find("BEGIN\r\n") != std::string::npos) in.erase(0, in.find("BEGIN\r\n") + 7), begun = true;
      DbusMessage m;
      while (begun && decode(in, m).value_or(false)) answer(m);
    }
  }
  void answer(const DbusMessage& m) {
    DbusMessage r;
    r.type = DbusMessage::Type::Return;
    r.serial = ++serial_;
    r.reply_to = m.serial;
    r.sender = m.destination;
    os::Fd given;
    if (m.member == "Hello" || m.member == "GetNameOwner") {
      r.signature = "s";
      r.body = DbusWriter().text(m.member == "Hello" ? ":1.7" : ":1.2").out;
    } else if (m.member == "Get") {
      r.signature = "v";
      r.body = std::string("\1t\0\0\0\0\0\0", 8);
      for (int i = 0; i < 8; ++i) r.body += static_cast<char>(delay_us_ >> (8 * i));
    } else if (m.member == "Inhibit") {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
      lock_.reset(ends[0]);
      given.reset(ends[1]);
      r.signature = "h";
      r.fds = 1;
      r.body = DbusWriter().number(0).out;
    } else if (m.member == "KillUnit") {
      delay_us_ = 60'000'000;
    }
    notes_.add(m.member);
    send(encode(r), given.get());
  }
  uint64_t delay_us_;
  Notes& notes_;
  os::Fd listener_, client_, lock_;
  std::mutex mutex_;
  bool greeted_ = false;
  uint32_t serial_ = 0;
  std::thread thread_;
};

}  // namespace

TEST_CASE("dbus: a message comes back as it was written, in pieces too") {
  DbusMessage m;
  m.type = DbusMessage::Type::Call;
  m.serial = 7;
  m.path = "/org/freedesktop/login1";
  m.interface = "org.freedesktop.login1.Manager";
  m.member = "Inhibit";
  m.destination = "org.freedesktop.login1";
  m.signature = "ssss";
  m.body = DbusWriter().text("shutdown").text("a").text("").text("delay").out;
  std::string wire = encode(m), in;
  CHECK(wire.size() % 8 == m.body.size() % 8);  // the body begins at a multiple of eight
  DbusMessage back;
  for (size_t i = 0; i + 1 < wire.size(); ++i) {
    in += wire[i];
    auto whole = decode(in, back);
    REQUIRE(whole.ok());
    CHECK_FALSE(*whole);
  }
  in += wire.back();
  REQUIRE(decode(in, back).value_or(false));
  CHECK(in.empty());
  CHECK(back.member == "Inhibit");
  CHECK(back.path == m.path);
  CHECK(back.destination == m.destination);
  CHECK(back.signature == "ssss");
  DbusReader r{back.body};
  CHECK(r.text() == "shutdown");
  CHECK(r.text() == "a");
  CHECK(r.text().empty());
  CHECK(r.text() == "delay");
  CHECK_FALSE(r.bad);
  CHECK((r.number(), r.bad));
}

TEST_CASE("dbus: what is no message, or a broken one, is an error and no crash") {
  DbusMessage m;
  std::string other = "GET / HTTP/1.1\r\n\r\n";
  CHECK_FALSE(decode(other, m).ok());
  DbusMessage good;
  good.serial = 1;
  good.path = "/a";
  good.member = "B";
  good.signature = "s";
  good.body = DbusWriter().text("x").out;
  const std::string wire = encode(good);
  for (size_t i = 0; i < wire.size(); ++i) {
    std::string bent = wire;
    bent[i] = static_cast<char>(bent[i] ^ 0x55);
    (void)decode(bent, m);
    DbusReader r{m.body};
    (void)r.text();
  }
}

TEST_CASE("shutdown: it is held up until the pods have ended, and the lock is taken again when it does not come") {
  Folder f;
  Notes notes;
  FakeBus bus(f.path + "/bus", 5'000'000, notes);
  ShutdownSettings settings;
  settings.grace = seconds(30);
  settings.bus = f.path + "/bus";
  settings.logind_folder = f.path + "/logind.conf.d";
  ShutdownWatch watch(settings, [&notes] { notes.add("pods end"); }, [&notes] { notes.add("pods stay"); });
  watch.start();
  REQUIRE(notes.wait_for("Inhibit"));
  // It allowed five seconds only.
  CHECK_THAT(os::read_file(settings.logind_folder + "/99-k8lite.conf").value_or(""), Catch::Contains("InhibitDelayMaxSec=30\n"));
  bus.signal(":1.66", true);  // somebody else's word
  bus.signal(":1.2", true);
  REQUIRE(notes.wait_for("pods end"));
  CHECK(bus.let_go());
  bus.signal(":1.2", false);
  REQUIRE(notes.wait_for("pods stay\nInhibit"));
  watch.stop();
  std::string all = notes.all();
  size_t first = all.find("pods end");
  CHECK(all.find("pods end", first + 1) == all.npos);
}
