// Graceful shutdown of the node (KEP-2000): the machine's login manager is asked to wait before it goes down, tells when
// it wants to, and is let go when the pods have ended. Off without a grace period, and where nobody answers on the bus.
#pragma once
#include <functional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "kubelet/dbus.h"

namespace k8lite::kubelet {

struct ShutdownSettings {
  Duration grace{0}, critical_grace{0};  // altogether, and what critical pods have of it at the end
  std::string bus = "/run/dbus/system_bus_socket";
  std::string logind_folder = "/etc/systemd/logind.conf.d";  // where a longer delay is asked for
};

class ShutdownWatch {
 public:
  // On a thread of its own: `going_down` blocks until the pods have ended; `stays` when the machine does not go down after all.
  ShutdownWatch(ShutdownSettings settings, std::function<void()> going_down, std::function<void()> stays)
      : settings_(std::move(settings)), going_down_(std::move(going_down)), stays_(std::move(stays)) {}
  ~ShutdownWatch() { stop(); }
  void start();
  void stop();

 private:
  void run();
  Result<> watch();                   // returns when it is stopped
  Result<> allow_delay(Dbus& bus);    // at least as long as the grace period
  Result<os::Fd> inhibit(Dbus& bus);  // what holds the shutdown up until it is closed
  const ShutdownSettings settings_;
  const std::function<void()> going_down_, stays_;
  os::Fd stop_;
  std::thread thread_;
};

}  // namespace k8lite::kubelet
