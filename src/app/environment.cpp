#include "app/environment.h"

#include <signal.h>
#include <unistd.h>

#include <cstring>

#include "base/log.h"

extern char** environ;

namespace k8lite::app {
namespace {

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int s : {SIGTERM, SIGINT}) sigaddset(&signals, s);
  return signals;
}

}  // namespace

std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> out;
  for (char** e = environ; *e; ++e) {
    std::string_view row = *e;
    size_t equals = row.find('=');
    if (equals != row.npos) out[std::string(row.substr(0, equals))] = row.substr(equals + 1);
  }
  return out;
}

void prepare_process(const config::Config& config) {
  set_log_json(config.log_format == "json");
  if (config.debug || config.verbosity > 0) set_log_level(LogLevel::Debug);
  sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

void wait_for_stop() {
  sigset_t signals = stop_signals();
  int got = 0;
  sigwait(&signals, &got);
  log_info("stopping; pods go on running", {{"signal", strsignal(got)}});
}

bool stopped_within(Duration pause) {
  sigset_t signals = stop_signals();
  auto us = std::chrono::duration_cast<std::chrono::microseconds>(pause).count();
  timespec t{.tv_sec = static_cast<time_t>(us / 1'000'000), .tv_nsec = static_cast<long>(us % 1'000'000 * 1000)};
  int got = sigtimedwait(&signals, nullptr, &t);
  if (got > 0) log_info("stopping", {{"signal", strsignal(got)}});
  return got > 0;
}

}  // namespace k8lite::app
