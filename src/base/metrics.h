// Figures for Prometheus: counters, gauges and histograms in families, each a table of series by label text. A series
// is made on first use; after that counting is one lock-free lookup and one atomic addition, without allocation. A
// family holds a fixed number of series at most, whatever clients do: the rest is counted together under
// overflow="true". (Prometheus text format 0.0.4.)
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace k8lite::metrics {

// Label text on the stack: Labels().add("verb", "GET").add("code", "200").text() == `verb="GET",code="200"`. Values are
// escaped and cut at kMaxValue bytes.
class Labels {
 public:
  static constexpr size_t kMaxValue = 100;
  Labels& add(std::string_view name, std::string_view value);
  std::string_view text() const { return {buffer_.data(), size_}; }

 private:
  void put(char c) {
    if (size_ < buffer_.size()) buffer_[size_++] = c;
  }
  std::array<char, 1024> buffer_;
  size_t size_ = 0;
};

// Upper bounds of buckets in ascending order, without +Inf; must outlive the family.
using Bounds = std::span<const double>;
std::string number(double value);

enum class Type : unsigned char { Counter, Gauge, Histogram };

// One line of figures. add() for counters and gauges, observe() for histograms; any thread.
class Series {
 public:
  Series(std::string labels, Bounds bounds);
  void add(double n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  void set(double v) { value_.store(v, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }
  void observe(double v);
  uint64_t count() const;  // of observations
  const std::string& labels() const { return labels_; }
  // Appends the lines; `bounds` may leave out buckets of those it was made with.
  void write(std::string& out, std::string_view name, Bounds bounds) const { write(out, name, bounds, labels_); }
  void write(std::string& out, std::string_view name, Bounds bounds, std::string_view labels) const;

 private:
  const std::string labels_;
  const Bounds bounds_;
  std::atomic<double> value_{0};                      // counters and gauges; the sum of a histogram
  std::unique_ptr<std::atomic<uint64_t>[]> buckets_;  // bounds_.size() + 1
};

class Family {
 public:
  static constexpr size_t kMaxSeries = 2048;  // a cluster of the edge has some hundred; power of two
  Family(std::string_view name, Type type, std::string_view help, Bounds bounds = {})
      : name_(name), help_(help), type_(type), bounds_(bounds), overflow_("overflow=\"true\"", bounds) {}
  ~Family();
  Family(const Family&) = delete;
  Series& at(std::string_view labels);  // lives as long as the family
  Series& at(const Labels& labels) { return at(labels.text()); }
  Series& only() { return at(std::string_view{}); }
  // HELP, TYPE and every series; nothing when there is none. A histogram can be shown under another name with fewer
  // buckets.
  void write(std::string& out) const { write_as(out, name_, help_, bounds_); }
  void write_as(std::string& out, std::string_view name, std::string_view help, Bounds bounds) const;

 private:
  const std::string_view name_, help_;
  const Type type_;
  const Bounds bounds_;
  std::atomic<size_t> used_{0};
  std::atomic<std::atomic<Series*>*> table_{nullptr};  // open addressing; made with the first series
  Series overflow_;
};

void write_head(std::string& out, std::string_view name, Type type, std::string_view help);  // HELP and TYPE
// A figure that is known only when asked for. With `first` its HELP and TYPE come before it.
void write_sample(std::string& out, std::string_view name, Type type, std::string_view help, std::string_view labels,
                  double value, bool first = true);
// process_*: CPU time, memory, file descriptors, start, from `proc` (of this process: "/proc").
void write_process(std::string& out, const std::string& proc = "/proc");

}  // namespace k8lite::metrics
