#include "base/random.h"

#include <sys/random.h>

#include <cstdlib>
#include <iterator>
#include <utility>

namespace k8lite {
namespace {

class SystemRandom : public Random {
 public:
  // A call for each number would cost more than what it is for. Nothing forks and goes on in this program, so no two processes share
  // what is left.
  uint64_t next() override {
    thread_local uint64_t drawn[32];
    thread_local size_t left = 0;
    if (left == 0) {
      if (getrandom(drawn, sizeof drawn, 0) != static_cast<ssize_t>(sizeof drawn)) abort();  // no safe way on without randomness
      left = std::size(drawn);
    }
    return std::exchange(drawn[--left], 0);
  }
};

}  // namespace

Random& system_random() {
  static SystemRandom random;
  return random;
}

std::string random_hex(Random& r, size_t bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  while (out.size() < bytes * 2) {
    uint64_t v = r.next();
    for (int i = 0; i < 16 && out.size() < bytes * 2; ++i, v >>= 4) out += kHex[v & 15];
  }
  return out;
}

std::string new_uuid(Random& r) {
  std::string h = random_hex(r, 16);
  h[12] = '4';
  h[16] = "89ab"[r.next() & 3];
  return h.substr(0, 8) + "-" + h.substr(8, 4) + "-" + h.substr(12, 4) + "-" + h.substr(16, 4) + "-" + h.substr(20);
}

std::string random_suffix(Random& r, size_t n) {
  static constexpr char kAlphabet[] = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  while (out.size() < n) out += kAlphabet[r.next() % (sizeof kAlphabet - 1)];
  return out;
}

}  // namespace k8lite
