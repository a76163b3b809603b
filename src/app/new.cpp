// Small objects are kept by the thread that gives them back, up to a bound for each size: a request builds and drops
// hundreds of them, far more of one size than the C library's own caches hold. Blocks come from malloc() and may be
// freed by any thread.
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include <new>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !__has_feature(address_sanitizer) && \
    !__has_feature(thread_sanitizer)

namespace {

constexpr size_t kStep = 16, kClasses = 33;  // up to 512 bytes
constexpr unsigned kKept[] = {128, 48};      // of up to 128 bytes; of larger ones

struct Block {
  Block* next;
};
struct Kept {
  Block* first[kClasses];
  unsigned count[kClasses];
  bool known, over;  // to be swept when the thread ends; swept
};
thread_local constinit Kept kept{};
// Apart, since every use of a thread_local with a destructor asks whether that is registered.
struct Sweep {
  volatile bool armed = false;
  ~Sweep() {
    kept.over = true;
    for (Block*& list : kept.first)
      while (Block* b = list) list = b->next, free(b);
  }
};
thread_local Sweep sweep;

[[noreturn]] void no_memory() {
  static constexpr char kText[] = "k8lite: out of memory\n";
  (void)!write(2, kText, sizeof kText - 1);
  abort();
}

}  // namespace

void* operator new(size_t size) {
  size_t c = (size + kStep - 1) / kStep;
  if (c < kClasses) {
    if (Block* b = kept.first[c]) {
      kept.first[c] = b->next;
      --kept.count[c];
      return b;
    }
    size = c ? c * kStep : kStep;
  }
  void* p = malloc(size);
  if (!p) no_memory();
  return p;
}
void operator delete(void* p) noexcept {
  if (!p) return;
  size_t c = malloc_usable_size(p) / kStep;
  if (c >= kClasses || kept.count[c] >= kKept[c > 8] || kept.over) return free(p);
  if (!kept.known) {
    sweep.armed = true;
    kept.known = true;
  }
  auto* b = static_cast<Block*>(p);
  b->next = kept.first[c];
  kept.first[c] = b;
  ++kept.count[c];
}
void operator delete(void* p, size_t) noexcept { operator delete(p); }
void* operator new[](size_t size) { return operator new(size); }
void operator delete[](void* p) noexcept { operator delete(p); }
void operator delete[](void* p, size_t) noexcept { operator delete(p); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return malloc(size ? size : 1); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return malloc(size ? size : 1); }

#endif
