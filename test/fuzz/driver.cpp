// libFuzzer's entry for one target, whose name CMake gives.
#include <cstddef>
#include <cstdint>

#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  k8lite::fuzz::K8_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
