// A container's log in CRI form: "<RFC 3339 with nanoseconds> stdout F text", rotated by size.
#pragma once
#include <string>
#include <string_view>

namespace k8lite::shim {

class CriLog {
 public:
  CriLog(std::string path, unsigned long max_bytes, unsigned long files) : path_(std::move(path)), max_bytes_(max_bytes), files_(files) { open_file(); }
  ~CriLog();
  // `pending` is the stream's unfinished line and is updated. Lines longer than 16 KiB are cut into partial (P) ones.
  void append(const char* stream, std::string& pending, std::string_view data);
  void flush(const char* stream, std::string& pending);  // at the stream's end

 private:
  void line(const char* stream, char tag, std::string_view text);
  void open_file();
  void rotate();
  std::string path_, out_;
  unsigned long max_bytes_, files_, size_ = 0;
  int fd_ = -1;
};

}  // namespace k8lite::shim
