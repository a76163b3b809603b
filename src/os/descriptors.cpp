#include "os/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

namespace k8lite::os {

size_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  rlimit raised{limit.rlim_max, limit.rlim_max};
  if (limit.rlim_cur < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  return static_cast<size_t>(std::min<rlim_t>(limit.rlim_cur, 1 << 30));
}

}  // namespace k8lite::os
