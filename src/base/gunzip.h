// Undoes gzip for small trusted data compiled into the executable. Archives and layers stream through the image room instead.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace k8lite {

// The whole of `packed`, or an error where it is cut, damaged or grows beyond `limit` bytes.
Result<std::string> gunzip(std::string_view packed, size_t limit);

}  // namespace k8lite
