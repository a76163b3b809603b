// Buffers that go from hand to hand on one thread: who has bytes on their way holds one for as long as that takes, an idle connection
// holds none, and nothing is asked of malloc for each message.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace k8lite::net {

class SpareBuffer {
 public:
  SpareBuffer() { lend(text); }
  ~SpareBuffer() { give_back(text); }
  SpareBuffer(const SpareBuffer&) = delete;
  std::string text;  // empty at first

  // Room for a string that is empty; and the other way.
  static void lend(std::string& to) {
    auto& all = spares();
    if (all.empty() || !to.empty()) return;
    to = std::move(all.back());
    all.pop_back();
  }
  static void give_back(std::string& from) {
    constexpr size_t kSpares = 8, kLargest = 128 * 1024;
    std::string text = std::exchange(from, {});
    if (text.capacity() > kLargest || spares().size() >= kSpares) return;
    text.clear();
    spares().push_back(std::move(text));
  }

 private:
  static std::vector<std::string>& spares() {
    thread_local std::vector<std::string> all;
    return all;
  }
};

// The same for reading: 16 KiB, whatever they hold.
class SpareBlock {
 public:
  static constexpr size_t kBytes = 16 * 1024;
  SpareBlock() {
    auto& all = spares();
    if (all.empty()) {
      bytes_ = std::make_unique_for_overwrite<char[]>(kBytes);
    } else {
      bytes_ = std::move(all.back());
      all.pop_back();
    }
  }
  ~SpareBlock() {
    constexpr size_t kSpares = 8;
    if (spares().size() < kSpares) spares().push_back(std::move(bytes_));
  }
  SpareBlock(const SpareBlock&) = delete;
  char* get() const { return bytes_.get(); }

 private:
  static std::vector<std::unique_ptr<char[]>>& spares() {
    thread_local std::vector<std::unique_ptr<char[]>> all;
    return all;
  }
  std::unique_ptr<char[]> bytes_;
};

}  // namespace k8lite::net
