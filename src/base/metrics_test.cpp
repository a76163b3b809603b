// Figures: what a scrape reads, and that no client can make it grow without bound.
#include "base/metrics.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>

using namespace k8lite;
using metrics::Family;
using metrics::Labels;
using metrics::Type;

TEST_CASE("metrics: counters by label in the text format") {
  Family f("requests_total", Type::Counter, "Requests.");
  std::string out;
  f.write(out);
  CHECK(out.empty());
  f.at(Labels().add("verb", "GET").add("code", "200")).add();
  f.at(Labels().add("verb", "GET").add("code", "200")).add(2);
  f.at(Labels().add("verb", "GET").add("code", "404")).add();
  f.write(out);
  CHECK(out ==
        "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{verb=\"GET\",code=\"200\"} "
        "3\nrequests_total{verb=\"GET\",code=\"404\"} 1\n");
}

TEST_CASE("metrics: label values are escaped and cut") {
  CHECK(Labels().add("a", "x\"y\\z\n").text() == R"(a="x\"y\\z\n")");
  CHECK(Labels().add("a", std::string(5000, 'x')).text().size() == Labels::kMaxValue + 4);
}

TEST_CASE("metrics: histograms count cumulatively, and can be shown with fewer buckets") {
  static constexpr double kBounds[] = {0.1, 0.5, 1}, kFewer[] = {0.5};
  Family f("seconds", Type::Histogram, "Time.", kBounds);
  for (double v : {0.05, 0.1, 0.4, 0.9, 7.0}) f.only().observe(v);
  std::string out, fewer;
  f.write(out);
  CHECK(out ==
        "# HELP seconds Time.\n# TYPE seconds histogram\nseconds_bucket{le=\"0.1\"} 2\nseconds_bucket{le=\"0.5\"} "
        "3\nseconds_bucket{le=\"1\"} 4\nseconds_bucket{le=\"+Inf\"} 5\nseconds_sum 8.45\nseconds_count 5\n");
  f.write_as(fewer, "sli", "Fewer.", kFewer);
  CHECK(fewer.find("sli_bucket{le=\"0.5\"} 3\nsli_bucket{le=\"+Inf\"} 5\n") != fewer.npos);
}

TEST_CASE("metrics: however many labels come, the table stays as large as it is") {
  Family f("requests_total", Type::Counter, "Requests.");
  for (int i = 0; i < 10'000; ++i) f.at(Labels().add("name", std::to_string(i))).add();
  std::string out;
  f.write(out);
  CHECK(static_cast<size_t>(std::count(out.begin(), out.end(), '\n')) <= Family::kMaxSeries);
  CHECK(out.find("requests_total{overflow=\"true\"} 8464\n") != out.npos);
}

TEST_CASE("metrics: threads that count the same lose nothing") {
  Family f("requests_total", Type::Counter, "Requests.");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&f] {
      for (int i = 0; i < 10'000; ++i) f.at(Labels().add("k", std::to_string(i % 50))).add();
    });
  for (auto& t : threads) t.join();
  double sum = 0;
  for (int i = 0; i < 50; ++i) sum += f.at(Labels().add("k", std::to_string(i))).value();
  CHECK(sum == 40'000);
}

TEST_CASE("metrics: this process shows itself") {
  std::string out;
  metrics::write_process(out);
  for (const char* name : {"process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_open_fds ",
                           "process_start_time_seconds "})
    CHECK(out.find(std::string("\n") + name) != out.npos);
}
