// SHA-256 digests as images name them.
#pragma once
#include <string>
#include <string_view>

#include "base/strings.h"

namespace k8lite::image {

// SHA-256 while bytes stream by.
class Digester {
 public:
  Digester();
  ~Digester();
  Digester(const Digester&) = delete;
  void update(std::string_view data);
  std::string finish();  // sha256:<hex>; once

 private:
  void* context_;
};
std::string digest_of(std::string_view data);

inline bool is_digest(std::string_view d) { return d.size() == 71 && d.starts_with("sha256:") && d.find_first_not_of("0123456789abcdef", 7) == d.npos; }
inline std::string hex_of(std::string_view digest) { return std::string(digest.substr(digest.find(':') + 1)); }

}  // namespace k8lite::image
