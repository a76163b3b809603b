// cp's paths, and archives read back in small pieces.
#include <catch2/catch.hpp>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

#include "kubectl/commands/paths.h"
#include "kubectl/commands/tar.h"
#include "os/files.h"

namespace k8lite::kubectl {
namespace {

std::string parsed(const std::string& text) {
  auto f = FileSpec::parse(text);
  return f.ok() ? f->ns + "|" + f->pod + "|" + f->file : f.status().message();
}

}  // namespace

TEST_CASE("cp: file specs name a local file or one of a pod") {
  std::string malformed = "filespec must match the canonical format: [[namespace/]pod:]file/path";
  CHECK(parsed("/tmp/a") == "||/tmp/a");
  CHECK(parsed("web:/tmp/a:b") == "|web|/tmp/a:b");
  CHECK(parsed("red/web:a") == "red|web|a");
  CHECK(parsed(":a") == malformed);
  CHECK(parsed("a/b/c:d") == malformed);
  CHECK(parsed("/b:d") == malformed);
}

TEST_CASE("cp: paths are cleaned and cannot climb above their root") {
  CHECK(clean_path("a//b/./../c/") == "a/c");
  CHECK(clean_path("/../../etc") == "/etc");
  CHECK(clean_path("../x") == "../x");
  CHECK(clean_path("") == ".");
  CHECK(strip_shortcuts("../../a/b") == "a/b");
  CHECK(strip_shortcuts("..") == "");
  CHECK(base_name("/a/b") == "b");
  CHECK(dir_name("/a") == "/");
  CHECK(dir_name("a") == ".");
}

TEST_CASE("cp: an archive made here reads back with long names, links and empty folders") {
  char folder[] = "/tmp/k8lite-cp.XXXXXX";
  REQUIRE(::mkdtemp(folder));
  std::string root = folder, deep = root + "/" + std::string(120, 'd');
  REQUIRE(os::make_dirs(deep).ok());
  REQUIRE(os::make_dirs(root + "/empty").ok());
  REQUIRE(os::write_file(deep + "/file", std::string(1000, 'x')).ok());
  REQUIRE(::symlink("file", (root + "/link").c_str()) == 0);
  std::string archive;
  REQUIRE(write_tar(root, "up", [&archive](std::string_view data) -> Result<> { archive += data; return {}; }).ok());
  CHECK(archive.size() % 512 == 0);
  std::vector<std::string> seen;
  std::string content;
  TarReader reader(
      [&seen](const TarMember& m) -> Result<> {
        seen.push_back(m.name + " " + m.type + " " + std::to_string(m.size) + " " + m.link);
        return {};
      },
      [&content](std::string_view piece) -> Result<> {
        content += piece;
        return {};
      });
  Result<> read;
  for (size_t at = 0; at < archive.size() && read.ok(); at += 100) read = reader.feed(std::string_view(archive).substr(at, 100));
  CHECK(reader.finish().ok());
  CHECK(content == std::string(1000, 'x'));
  TarReader half([](const TarMember&) -> Result<> { return {}; }, [](std::string_view) -> Result<> { return {}; });
  REQUIRE(half.feed(std::string_view(archive).substr(0, 2048)).ok());
  CHECK(half.finish().status().message() == "unexpected EOF");
  CHECK_FALSE(half.feed(std::string(8192, 'x')).ok());
  REQUIRE(os::remove_tree(root).ok());
  REQUIRE(read.ok());
  CHECK(seen == std::vector<std::string>{"up/" + std::string(120, 'd') + "/file 0 1000 ", "up/empty/ 5 0 ", "up/link 2 0 file"});
}

}  // namespace k8lite::kubectl
