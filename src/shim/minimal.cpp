// What the small executable has in place of the C++ library's way to report what cannot happen here: nothing throws, so
// an impossible length or no memory ends the process. Without this the library brings its exceptions, their unwinder, a
// demangler and locales along, a quarter of the whole.
#include <stdlib.h>
#include <unistd.h>

#include <exception>
#include <new>

namespace {
[[noreturn]] void give_up(const char* text) {
  size_t n = 0;
  while (text[n]) ++n;
  (void)!write(2, text, n);
  (void)!write(2, "\n", 1);
  abort();
}
}  // namespace

namespace __cxxabiv1 {
extern std::terminate_handler __terminate_handler;
std::terminate_handler __terminate_handler = abort;
}  // namespace __cxxabiv1

namespace std {
void __throw_length_error(const char* what) { give_up(what); }
void __throw_logic_error(const char* what) { give_up(what); }
void __throw_out_of_range(const char* what) { give_up(what); }
void __throw_out_of_range_fmt(const char* what, ...) { give_up(what); }
void __throw_invalid_argument(const char* what) { give_up(what); }
void __throw_bad_alloc() { give_up("out of memory"); }
void __throw_bad_array_new_length() { give_up("out of memory"); }
void __throw_bad_function_call() { give_up("empty function"); }
}  // namespace std

void* operator new(size_t n) {
  void* p = malloc(n ? n : 1);
  if (!p) give_up("out of memory");
  return p;
}
void* operator new[](size_t n) { return operator new(n); }
void operator delete(void* p) noexcept { free(p); }
void operator delete[](void* p) noexcept { free(p); }
void operator delete(void* p, size_t) noexcept { free(p); }
void operator delete[](void* p, size_t) noexcept { free(p); }
