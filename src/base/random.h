// Randomness comes in through a Random handed by constructor, so tests can repeat a run.
#pragma once
#include <cstdint>
#include <mutex>
#include <random>
#include <string>

namespace k8lite {

class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t next() = 0;
};

Random& system_random();  // getrandom(2); fit for keys and tokens; thread-safe

class SeededRandom : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}
  uint64_t next() override {
    std::lock_guard lock(mutex_);
    return engine_();
  }

 private:
  std::mutex mutex_;
  std::mt19937_64 engine_;
};

std::string new_uuid(Random& r);                       // RFC 4122 version 4
std::string random_suffix(Random& r, size_t n = 5);    // of Kubernetes' name alphabet, without vowels: bcdfghjklmnpqrstvwxz2456789
std::string random_hex(Random& r, size_t bytes);

}  // namespace k8lite
