// Reading a container's CRI log as `kubectl logs` asks: --tail, --since, --timestamps, --limit-bytes, -f, over rotated files.
#pragma once
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/result.h"

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
// What was appended since `offset` (0 again after a rotation); whole lines only.
LogText read_more(const std::string& path, int64_t offset, const LogOptions& options);

}  // namespace k8lite::kubelet
