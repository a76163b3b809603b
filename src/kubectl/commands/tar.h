// Tar archives for cp (POSIX ustar, pax records, GNU long names): written from a file or folder, read as the bytes come in.
#pragma once
#include <functional>
#include <string>

#include "base/result.h"

namespace k8lite::kubectl {

// `name` stands in the archive for `path`. Only empty folders get entries of their own, the others come into being with their files.
// Symbolic links are stored as links; sockets, pipes and devices are left out.
Result<> write_tar(const std::string& path, const std::string& name, const std::function<Result<>(std::string_view)>& sink);

struct TarMember {
  std::string name, link;
  char type = '0';  // '0' file, '2' symbolic link, '5' folder
  uint64_t size = 0;
};

class TarReader {
 public:
  // on_data gets the content of the last member in pieces, and "" at its end.
  TarReader(std::function<Result<>(const TarMember&)> on_member, std::function<Result<>(std::string_view)> on_data) : on_member_(std::move(on_member)), on_data_(std::move(on_data)) {}
  Result<> feed(std::string_view bytes);
  // An archive that ended in the middle of a member is an error.
  Result<> finish() const;

 private:
  Result<> take_header();
  Result<> end_member();
  std::function<Result<>(const TarMember&)> on_member_;
  std::function<Result<>(std::string_view)> on_data_;
  std::string block_, extra_;    // a header as it fills; the content of a pax record or long name
  std::string long_name_, long_link_;
  TarMember member_;
  uint64_t left_ = 0, padding_ = 0, long_size_ = 0;
  bool in_member_ = false, ended_ = false;
};

}  // namespace k8lite::kubectl
