// Logs on disk as the shim leaves them: tail, since, limits, partial lines, rotation before and while reading.
#include "kubelet/log_reader.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

using namespace k8lite;
using namespace k8lite::kubelet;

namespace {

struct Log {
  std::string dir, path;
  int clock = 0;
  Log() {
    char name[] = "/tmp/k8lite-log-XXXXXX";
    dir = mkdtemp(name);
    path = dir + "/0.log";
  }
  ~Log() { std::filesystem::remove_all(dir); }
  void write(const std::string& text, char tag = 'F', const std::string& stream = "stdout") {
    char time[64];
    snprintf(time, sizeof time, "2026-01-02T03:04:%02d.500000000Z", clock++ % 60);
    std::ofstream(path, std::ios::app) << time << " " << stream << " " << tag << " " << text << "\n";
  }
  void rotate() {
    for (int i = 4; i > 0; --i) {
      std::string from = i == 1 ? path : path + "." + std::to_string(i - 1);
      if (std::filesystem::exists(from)) std::filesystem::rename(from, path + "." + std::to_string(i));
    }
    std::ofstream(path, std::ios::app);
  }
  LogReader open(LogOptions o) {
    auto r = LogReader::open(path, o);
    REQUIRE(r.ok());
    return std::move(r).value();
  }
  std::string read(LogOptions o) {
    LogReader r = open(o);
    return all(r);
  }
  static std::string all(LogReader& r) {
    std::string out;
    for (std::string piece; !(piece = r.next()).empty();) out += piece;
    return out;
  }
};

LogOptions tail(int64_t n) {
  LogOptions o;
  o.tail = n;
  return o;
}

}  // namespace

TEST_CASE("log: everything, the last lines, none") {
  Log log;
  for (const char* t : {"a", "", "c"}) log.write(t);
  CHECK(log.read({}) == "a\n\nc\n");
  CHECK(log.read(tail(2)) == "\nc\n");
  CHECK(log.read(tail(0)) == "");
  CHECK(log.read(tail(3)) == "a\n\nc\n");
  CHECK(log.read(tail(100)) == "a\n\nc\n");
  CHECK_FALSE(LogReader::open(log.dir + "/none", {}).ok());
}

TEST_CASE("log: a line in parts is one line") {
  Log log;
  log.write("before");
  log.write("one ", 'P');
  log.write("line ", 'P');
  log.write("only");
  CHECK(log.read(tail(1)) == "one line only\n");
  LogOptions o;
  o.timestamps = true;
  CHECK(log.read(o) == "2026-01-02T03:04:00.500000000Z before\n2026-01-02T03:04:01.500000000Z one line only\n");
  log.write("unfinished", 'P');
  CHECK(log.read(tail(1)) == "unfinished");
  CHECK(log.read(tail(2)) == "one line only\nunfinished");
}

TEST_CASE("log: since a time, one of the streams, so many bytes") {
  Log log;
  log.write("zero");
  log.write("one", 'F', "stderr");
  log.write("two");
  LogOptions o;
  o.since = "2026-01-02T03:04:01.000000000Z";
  CHECK(log.read(o) == "one\ntwo\n");
  o.stream = "stdout";
  CHECK(log.read(o) == "two\n");
  o = tail(1);
  o.stream = "stderr";
  CHECK(log.read(o) == "one\n");
  o = {};
  o.limit_bytes = 6;
  LogReader r = log.open(o);
  CHECK(Log::all(r) == "zero\no");
  CHECK(r.at_limit());
  log.write("more");
  CHECK(r.next() == "");
}

TEST_CASE("log: rotated files belong to it") {
  Log log;
  log.write("1");
  log.write("2");
  log.rotate();
  log.write("3");
  log.rotate();
  CHECK(log.read({}) == "1\n2\n3\n");
  CHECK(log.read(tail(2)) == "2\n3\n");
  log.write("4");
  CHECK(log.read(tail(1)) == "4\n");
  CHECK(log.read(tail(3)) == "2\n3\n4\n");
}

TEST_CASE("log: following loses nothing and repeats nothing across rotations") {
  Log log;
  log.write("old");
  LogReader r = log.open(tail(0));
  CHECK(r.next() == "");
  log.write("1");
  CHECK(r.next() == "1\n");
  log.write("2");
  log.rotate();
  log.write("3");
  log.rotate();
  log.write("4");
  CHECK(Log::all(r) == "2\n3\n4\n");
  CHECK(r.next() == "");
  log.rotate();
  CHECK(r.next() == "");
  log.write("5");
  CHECK(r.next() == "5\n");
}

TEST_CASE("log: the last words of a removed file are followed to their end") {
  Log log;
  log.write("1");
  LogReader r = log.open({});
  CHECK(r.next() == "1\n");
  log.write("2");
  std::filesystem::remove(log.path);
  CHECK(r.next() == "2\n");
  CHECK(r.next() == "");
}

TEST_CASE("log: a line whose end is not written yet waits for it") {
  Log log;
  log.write("a");
  LogReader r = log.open({});
  std::ofstream(log.path, std::ios::app) << "2026-01-02T03:04:09.500000000Z stdout F half";
  CHECK(r.next() == "a\n");
  CHECK(r.next() == "");
  std::ofstream(log.path, std::ios::app) << " and half\n";
  CHECK(r.next() == "half and half\n");
}

TEST_CASE("log: much of it comes in pieces") {
  Log log;
  for (int i = 0; i < 5000; ++i) log.write("line " + std::to_string(i));
  LogReader r = log.open(tail(4000));
  std::string first = r.next();
  CHECK(first.size() < 64 * 1024);
  CHECK(first.starts_with("line 1000\n"));
  std::string all = first + Log::all(r);
  CHECK(all.ends_with("line 4999\n"));
  CHECK(std::count(all.begin(), all.end(), '\n') == 4000);
}
