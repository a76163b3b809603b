#include "base/log.h"

#include <unistd.h>

#include <atomic>

#include "base/clock.h"
#include "base/json.h"

namespace k8lite {
namespace {
std::atomic<LogLevel> g_level{LogLevel::Info};
std::atomic<bool> g_json{false};
constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};
}  // namespace

void set_log_level(LogLevel level) { g_level = level; }
void set_log_json(bool json) { g_json = json; }
bool log_enabled(LogLevel level) { return level >= g_level; }

void log_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!log_enabled(level)) return;
  std::string line;
  std::string_view name = kNames[static_cast<size_t>(level)];
  std::string now = rfc3339_micro(system_clock().now());
  if (g_json) {
    line.append("{\"ts\":\"").append(now).append("\",\"level\":\"").append(name).append("\",\"msg\":");
    json::append_quoted(line, message);
    for (const auto& f : fields) {
      line += ',';
      json::append_quoted(line, f.key);
      line += ':';
      json::append_quoted(line, f.value);
    }
    line += "}\n";
  } else {
    line.append(now).append(" ").append(name).append(" ").append(message);
    for (const auto& f : fields) {
      line.append(" ").append(f.key).append("=");
      bool plain = !f.value.empty() && f.value.find_first_of(" \"\n\t=") == f.value.npos;
      if (plain) line += f.value;
      else json::append_quoted(line, f.value);
    }
    line += '\n';
  }
  // One write a line keeps lines whole; a full or closed stderr is nothing we could report.
  [[maybe_unused]] ssize_t n = write(2, line.data(), line.size());
}

}  // namespace k8lite
