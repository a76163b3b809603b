// The header blocks of SPDY/3 (draft-mbelshe-httpbis-spdy-00 §2.6.10): name/value pairs behind one zlib stream a direction that
// lives as long as the session, so every block must pass through here in wire order, also those nobody wants.
#pragma once
#include <memory>

#include "net/http.h"

namespace k8lite::net {

class HeaderDeflater {
 public:
  HeaderDeflater();
  ~HeaderDeflater();
  HeaderDeflater(const HeaderDeflater&) = delete;
  // Names go out in lower case; values of one name are joined by NUL as the format wants it.
  std::string deflate(const Headers& headers);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class HeaderInflater {
 public:
  HeaderInflater();
  ~HeaderInflater();
  HeaderInflater(const HeaderInflater&) = delete;
  Result<Headers> inflate(std::string_view block);  // after an error the session cannot go on

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace k8lite::net
