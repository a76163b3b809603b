// What a layer's tar held besides the content of its files (headers, padding, order), recorded while it is unpacked and small when
// compressed. Together with the unpacked folder it gives the tar back byte for byte, so no second copy of a layer is kept on disk.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "image/tar.h"
#include "os/files.h"

namespace k8lite::image {

// Records what is read through it, but for the content of files.
class SplitRecorder : public Source, public ContentMarker {
 public:
  static std::unique_ptr<SplitRecorder> create(Source& inner, os::Fd file);
  ~SplitRecorder() override;
  Result<size_t> read(char* buffer, size_t size) override;
  void begin_content(const std::string& path, uint64_t size) override;
  void end_content() override;
  Result<> finish();  // the file is whole; not synced

 private:
  struct Impl;
  explicit SplitRecorder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The tar again, in pieces. BadRequest when the folder does not hold what the tar held (a name stood twice in it).
Result<> rebuild_tar(const std::string& split_file, const std::string& folder, const std::function<Result<>(std::string_view)>& write);

}  // namespace k8lite::image
