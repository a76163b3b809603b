// The committed corpus through the fuzzers' targets, as a plain test: what was once found stays found.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "fuzz/targets.h"

using namespace k8lite;

namespace {
struct Target {
  std::string_view name;  // and the folder of its corpus
  void (*run)(std::string_view data);
};
constexpr Target kTargets[] = {{"json", fuzz::json},           {"yaml", fuzz::yaml},      {"patches", fuzz::patches},
                               {"selectors", fuzz::selectors}, {"wire", fuzz::wire},      {"http1", fuzz::http1},
                               {"http2", fuzz::http2},         {"request", fuzz::request}};
}  // namespace

TEST_CASE("fuzz: every input of the corpus keeps what each target promises") {
  for (const Target& t : kTargets) {
    size_t inputs = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::filesystem::path(K8_SOURCE_DIR) / "test/fuzz/corpus" / t.name)) {
      std::ifstream file(entry.path(), std::ios::binary);
      std::string data((std::istreambuf_iterator<char>(file)), {});
      CAPTURE(t.name, entry.path().filename().string());
      t.run(data);
      ++inputs;
    }
    CAPTURE(t.name);
    CHECK(inputs > 0);
  }
}

TEST_CASE("fuzz: inputs of no size and of nothing but one byte") {
  for (const Target& t : kTargets) {
    t.run("");
    for (int c = 0; c < 256; ++c) t.run(std::string(1, static_cast<char>(c)));
  }
  SUCCEED();
}
