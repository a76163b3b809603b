#include "kubelet/shutdown.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"

namespace k8lite::kubelet {
namespace {

constexpr auto kPatience = seconds(10), kAgain = seconds(60);

DbusMessage login(const char* interface, const char* member) {
  DbusMessage m;
  m.destination = "org.freedesktop.login1";
  m.path = "/org/freedesktop/login1";
  m.interface = interface;
  m.member = member;
  return m;
}

DbusMessage of_the_bus(const char* member, std::string_view argument) {
  DbusMessage m;
  m.destination = m.interface = "org.freedesktop.DBus";
  m.path = "/org/freedesktop/DBus";
  m.member = member;
  m.signature = "s";
  m.body = DbusWriter().text(argument).out;
  return m;
}

Result<std::string> owner_of_login(Dbus& bus) {
  TRY(auto reply, bus.call(of_the_bus("GetNameOwner", "org.freedesktop.login1"), kPatience));
  return DbusReader{reply.body}.text();
}

Result<uint64_t> longest_delay_us(Dbus& bus) {
  DbusMessage m = login("org.freedesktop.DBus.Properties", "Get");
  m.signature = "ss";
  m.body = DbusWriter().text("org.freedesktop.login1.Manager").text("InhibitDelayMaxUSec").out;
  TRY(auto reply, bus.call(m, kPatience));
  DbusReader r{reply.body};
  std::string type = r.signature();
  uint64_t us = r.large();
  if (type != "t" || r.bad) return bad_request("InhibitDelayMaxUSec is no number");
  return us;
}

}  // namespace

void ShutdownWatch::start() {
  stop_.reset(::eventfd(0, EFD_CLOEXEC));
  thread_ = std::thread([this] { run(); });
}

void ShutdownWatch::stop() {
  if (!thread_.joinable()) return;
  uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof one);
  thread_.join();
}

void ShutdownWatch::run() {
  for (;;) {
    auto r = watch();
    if (r.ok()) return;
    log_warn("the machine's shutdown cannot be waited for", {{"error", r.status()}});
    pollfd p{stop_.get(), POLLIN, 0};
    if (::poll(&p, 1, static_cast<int>(std::chrono::duration_cast<milliseconds>(kAgain).count())) > 0) return;
  }
}

Result<> ShutdownWatch::allow_delay(Dbus& bus) {
  const auto wanted = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(settings_.grace).count());
  TRY(uint64_t us, longest_delay_us(bus));
  if (us >= wanted) return {};
  std::string text = "# Written by k8lite, for its shutdown-grace-period.\n[Login]\nInhibitDelayMaxSec=" +
                     std::to_string((wanted + 999'999) / 1'000'000) + "\n";
  TRY_OK(os::make_dirs(settings_.logind_folder));
  TRY_OK(os::write_file(settings_.logind_folder + "/99-k8lite.conf", text));
  DbusMessage m;
  m.destination = "org.freedesktop.systemd1";
  m.path = "/org/freedesktop/systemd1";
  m.interface = "org.freedesktop.systemd1.Manager";
  m.member = "KillUnit";
  m.signature = "ssi";
  m.body = DbusWriter().text("systemd-logind.service").text("all").number(SIGHUP).out;
  TRY_OK(bus.call(m, kPatience));
  // It reads its configuration when it gets round to it.
  for (int tries = 0; tries < 20; ++tries) {
    TRY(us, longest_delay_us(bus));
    if (us >= wanted) return {};
    pollfd p{stop_.get(), POLLIN, 0};
    if (::poll(&p, 1, 100) > 0) return {};
  }
  log_warn("the login manager allows a shorter delay than the shutdown grace period", {{"allowed_us", us}, {"wanted_us", wanted}});
  return {};
}

Result<os::Fd> ShutdownWatch::inhibit(Dbus& bus) {
  DbusMessage m = login("org.freedesktop.login1.Manager", "Inhibit");
  m.signature = "ssss";
  m.body = DbusWriter().text("shutdown").text("k8lite").text("pods need time to end before the node shuts down").text("delay").out;
  TRY(auto reply, bus.call(m, kPatience));
  if (reply.fds.empty()) return bad_request("the login manager gave no lock");
  return std::move(reply.fds[0]);
}

Result<> ShutdownWatch::watch() {
  TRY(auto bus, Dbus::connect(settings_.bus, kPatience));
  TRY_OK(bus->call(of_the_bus("AddMatch", "type='signal',interface='org.freedesktop.login1.Manager',member='PrepareForShutdown',path='/org/freedesktop/login1'"), kPatience));
  TRY_OK(allow_delay(*bus));
  TRY(os::Fd lock, inhibit(*bus));
  for (;;) {
    DbusMessage signal;
    TRY(bool came, bus->next_signal(stop_.get(), signal));
    if (!came) return {};
    if (signal.member != "PrepareForShutdown" || signal.signature != "b") continue;
    // Anybody on the bus may send a signal of this name.
    TRY(std::string owner, owner_of_login(*bus));
    if (signal.sender != owner) continue;
    DbusReader r{signal.body};
    if (r.number() != 0) {
      log_info("the machine is going down: pods are ended");
      going_down_();
      lock.reset();
      continue;
    }
    stays_();
    if (lock) continue;
    TRY(lock, inhibit(*bus));
  }
}

}  // namespace k8lite::kubelet
