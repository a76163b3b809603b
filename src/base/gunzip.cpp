// gzip (RFC 1952) by zlib.
#include "base/gunzip.h"

#include <zlib.h>

namespace k8lite {

Result<std::string> gunzip(std::string_view packed, size_t limit) {
  z_stream stream{};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return internal_error("gzip: no memory");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string out;
  int code = Z_OK;
  while (code == Z_OK && out.size() <= limit) {
    const size_t had = out.size();
    const size_t room = 64 * 1024 + had;  // doubles: few moves for large texts
    out.resize(had + room);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + had);
    stream.avail_out = static_cast<uInt>(room);
    code = inflate(&stream, Z_NO_FLUSH);
    out.resize(had + room - stream.avail_out);
  }
  inflateEnd(&stream);
  if (out.size() > limit) return bad_request("gzip: more than " + std::to_string(limit) + " bytes");
  if (code != Z_STREAM_END) return bad_request("gzip: the data is damaged or cut short");
  return out;
}

}  // namespace k8lite
