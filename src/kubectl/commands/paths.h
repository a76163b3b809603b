// Paths and file specs as cp reads them: [[namespace/]pod:]file. Pure.
#pragma once
#include <string>

#include "base/result.h"

namespace k8lite::kubectl {

struct FileSpec {
  std::string ns, pod, file;  // pod "" : a local file
  static Result<FileSpec> parse(const std::string& text);
};

std::string clean_path(std::string_view path);      // shortest equal path: "a//b/../c" is "a/c", "" is "."
std::string base_name(std::string_view path);       // behind the last slash
std::string dir_name(std::string_view path);        // before it; "." without one
std::string strip_slashes(std::string_view path);   // without the slashes in front, as tar stores names
std::string strip_shortcuts(std::string_view path); // without leading "../" and "./"

}  // namespace k8lite::kubectl
