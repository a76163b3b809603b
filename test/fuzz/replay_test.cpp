// The committed corpus through the fuzzers' targets, as a plain test: what was once found stays found.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "fuzz/targets.h"

using namespace k8lite;

TEST_CASE("fuzz: every input of the corpus keeps what each target promises") {
  for (const fuzz::Target& t : fuzz::targets()) {
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
  for (const fuzz::Target& t : fuzz::targets()) {
    t.run("");
    for (int c = 0; c < 256; ++c) t.run(std::string(1, static_cast<char>(c)));
  }
  SUCCEED();
}
