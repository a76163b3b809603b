// What is fuzzed: functions that take any bytes, check what must hold for every input and abort where it does not.
// libFuzzer drives them (driver.cpp, CMake option K8LITE_FUZZ), and a unit test replays the committed corpus through
// them (replay_test.cpp).
#pragma once
#include <span>
#include <string_view>

namespace k8lite::fuzz {

struct Target {
  std::string_view name;  // and the folder of its corpus
  void (*run)(std::string_view data);
};
std::span<const Target> targets();

void json(std::string_view data);
void yaml(std::string_view data);
void patches(std::string_view data);  // one line of JSON a document: object, patch
void selectors(std::string_view data);
void wire(std::string_view data);
void http1(std::string_view data);
void http2(std::string_view data);    // the frames after the client's preface
void request(std::string_view data);  // "METHOD TARGET CONTENT-TYPE\nbody" to a whole API server

}  // namespace k8lite::fuzz

// Ends the process where what must hold does not; also in builds without assertions.
#define K8_MUST(condition)                                                \
  do {                                                                    \
    if (!(condition)) k8lite::fuzz::fail(#condition, __FILE__, __LINE__); \
  } while (0)
namespace k8lite::fuzz {
[[noreturn]] void fail(const char* condition, const char* file, int line);
}
