// Reading a container's CRI log as `kubectl logs` asks: --tail, --since, --timestamps, --limit-bytes, over rotated files and on while it
// grows. (CRI: "<RFC 3339 time> stdout|stderr P|F text"; P marks a line that goes on in the next one.)
#pragma once
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "os/files.h"

namespace k8lite::kubelet {

struct LogOptions {
  int64_t tail = -1;          // lines; -1: all
  std::string since;          // as rfc3339_nano() writes it; "" : from the start
  bool timestamps = false;
  int64_t limit_bytes = -1;
  std::string stream;         // "stdout", "stderr"; "" : both
};

class LogReader {
 public:
  // `path` is the newest file; older ones are path.1, path.2, …. NotFound when there is none.
  static Result<LogReader> open(std::string path, LogOptions options);
  // The next piece of text, whole lines, some ten kilobytes at most; "" when there is no more for now. After the container logs on or
  // the file was rotated it may give more. Blocks on the disk.
  std::string next();
  bool at_limit() const { return left_ == 0; }

 private:
  LogReader(std::string path, LogOptions options) : path_(std::move(path)), options_(std::move(options)), left_(options_.limit_bytes) {}
  std::vector<std::string> files() const;  // oldest first
  void seek_tail(const std::vector<std::string>& files);
  bool open_file(const std::string& file, off_t at);
  bool open_next();
  void take(std::string_view line, std::string& out);

  std::string path_;
  LogOptions options_;
  int64_t left_;
  os::Fd fd_;
  ino_t inode_ = 0;
  std::string carry_;       // the beginning of a line whose end was not read yet
  bool inside_ = false;     // after a P line: what comes goes on with it
};

}  // namespace k8lite::kubelet
