// Reading a container's CRI log as `kubectl logs` asks: --tail, --since, --timestamps, --limit-bytes, -f, over rotated files.
#pragma once
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "os/files.h"

namespace k8lite::kubelet {

struct LogOptions {
  int64_t tail = -1;          // lines; -1: all
  std::string since;          // RFC 3339; "" : from the start
  bool timestamps = false;
  int64_t limit_bytes = -1;
};
// The text as it is now, and where the current file ended.
struct LogText {
  std::string text;
  int64_t offset = 0;
};
Result<LogText> read_log(const std::string& path, const LogOptions& options);

// What is appended after `offset` of the file that is now at `path`. The file stays open, so that nothing is lost when it is rotated
// away or removed meanwhile (a pod's last words are followed to their end).
class LogFollower {
 public:
  LogFollower(std::string path, int64_t offset, LogOptions options);
  // The text since the last call, whole lines only; "" when there is none.
  std::string more();

 private:
  void read_file(std::string& out);
  std::string path_, pending_;
  LogOptions options_;
  os::Fd fd_;
};

}  // namespace k8lite::kubelet
