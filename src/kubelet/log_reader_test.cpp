// Following a container's log: nothing is lost or said twice when the file is rotated away or removed.
#include "kubelet/log_reader.h"

#include <stdlib.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {
struct Log {
  std::string dir, path;
  Log() {
    char name[] = "/tmp/k8lite-log.XXXXXX";
    dir = mkdtemp(name);
    path = dir + "/0.log";
  }
  ~Log() { (void)os::remove_tree(dir); }
  void add(const std::string& text) { std::ofstream(path, std::ios::app | std::ios::binary) << text; }
  void line(const std::string& text) { add("2026-01-01T00:00:00.000000000Z stdout F " + text + "\n"); }
};
}  // namespace

TEST_CASE("log: a follower goes on through rotation and to the end of a removed file") {
  Log log;
  log.line("one");
  auto now = read_log(log.path, {});
  REQUIRE(now.ok());
  CHECK(now->text == "one\n");
  LogFollower follower(log.path, now->offset, {});
  CHECK(follower.more().empty());
  log.line("two");
  log.add("2026-01-01T00:00:00.000000000Z stdout F thr");
  CHECK(follower.more() == "two\n");
  log.add("ee\n");
  log.line("four");
  REQUIRE(rename(log.path.c_str(), (log.path + ".1").c_str()) == 0);
  log.line("five");
  CHECK(follower.more() == "three\nfour\nfive\n");
  log.line("six");
  REQUIRE(unlink(log.path.c_str()) == 0);
  CHECK(follower.more() == "six\n");
  CHECK(follower.more().empty());
}

TEST_CASE("log: a partial line is followed without a line break of its own") {
  Log log;
  log.line("");
  LogFollower follower(log.path, 0, {});
  log.add("2026-01-01T00:00:00.000000000Z stdout P no end\n");
  CHECK(follower.more() == "\nno end");
}
