// As Go's path package cleans paths.
#include "kubectl/commands/paths.h"

#include "base/strings.h"

namespace k8lite::kubectl {

Result<FileSpec> FileSpec::parse(const std::string& text) {
  FileSpec out;
  size_t colon = text.find(':');
  if (colon == std::string::npos) {
    out.file = text;
    return out;
  }
  Status malformed = bad_request("filespec must match the canonical format: [[namespace/]pod:]file/path");
  auto pieces = split_strings(text.substr(0, colon), '/');
  if (colon == 0 || pieces.size() > 2) return malformed;
  out.pod = pieces.back();
  if (pieces.size() == 2) out.ns = pieces[0];
  if (out.pod.empty() || (pieces.size() == 2 && out.ns.empty())) return malformed;
  out.file = text.substr(colon + 1);
  return out;
}

std::string clean_path(std::string_view path) {
  bool rooted = path.starts_with('/');
  std::vector<std::string> kept;
  for (std::string& piece : split_strings(path, '/')) {
    if (piece.empty() || piece == ".") continue;
    if (piece == "..") {
      if (!kept.empty() && kept.back() != "..") kept.pop_back();
      else if (!rooted) kept.push_back("..");
      continue;
    }
    kept.push_back(std::move(piece));
  }
  std::string out = (rooted ? "/" : "") + join(kept, "/");
  return out.empty() ? "." : out;
}

std::string base_name(std::string_view path) {
  size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

std::string dir_name(std::string_view path) {
  size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

std::string strip_slashes(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  return std::string(path);
}

std::string strip_shortcuts(std::string_view path) {
  while (path.starts_with("../") || path.starts_with("./")) path.remove_prefix(path.find('/') + 1);
  if (path == ".." || path == ".") path = "";
  return std::string(path);
}

}  // namespace k8lite::kubectl
