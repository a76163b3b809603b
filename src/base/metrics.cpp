#include "base/metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/strings.h"

namespace k8lite::metrics {

Labels& Labels::add(std::string_view name, std::string_view value) {
  if (size_) put(',');
  for (char c : name) put(c);
  put('='), put('"');
  for (char c : value.substr(0, kMaxValue)) {
    if (c == '\n')
      put('\\'), put('n');
    else if (c == '"' || c == '\\')
      put('\\'), put(c);
    else
      put(c);
  }
  put('"');
  return *this;
}

std::string number(double v) {
  char text[32];
  // Whole numbers whole: a counter of bytes must not lose its last digits.
  if (v == static_cast<double>(static_cast<int64_t>(v)) && v < 1e15 && v > -1e15)
    std::snprintf(text, sizeof text, "%lld", static_cast<long long>(v));
  else
    std::snprintf(text, sizeof text, "%.12g", v);
  return text;
}

Series::Series(std::string labels, Bounds bounds) : labels_(std::move(labels)), bounds_(bounds) {
  if (!bounds.empty()) buckets_ = std::make_unique<std::atomic<uint64_t>[]>(bounds.size() + 1);
}

void Series::observe(double v) {
  size_t i = static_cast<size_t>(std::lower_bound(bounds_.begin(), bounds_.end(), v) - bounds_.begin());
  buckets_[i].fetch_add(1, std::memory_order_relaxed);
  add(v);
}

uint64_t Series::count() const {
  uint64_t n = 0;
  for (size_t i = 0; buckets_ && i <= bounds_.size(); ++i) n += buckets_[i].load(std::memory_order_relaxed);
  return n;
}

namespace {

void line(std::string& out, std::string_view name, std::string_view suffix, std::string_view labels,
          std::string_view more, const std::string& value) {
  out.append(name).append(suffix);
  if (!labels.empty() || !more.empty()) {
    out.append("{").append(labels);
    if (!labels.empty() && !more.empty()) out += ',';
    out.append(more).append("}");
  }
  out.append(" ").append(value).append("\n");
}

}  // namespace

void write_head(std::string& out, std::string_view name, Type type, std::string_view help) {
  static constexpr std::string_view kTypes[] = {"counter", "gauge", "histogram"};
  out.append("# HELP ")
      .append(name)
      .append(" ")
      .append(help)
      .append("\n# TYPE ")
      .append(name)
      .append(" ")
      .append(kTypes[static_cast<int>(type)])
      .append("\n");
}

void Series::write(std::string& out, std::string_view name, Bounds bounds, std::string_view labels) const {
  if (!buckets_) return line(out, name, "", labels, "", number(value()));
  uint64_t n = 0;
  size_t shown = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    n += buckets_[i].load(std::memory_order_relaxed);
    if (shown == bounds.size() || bounds[shown] != bounds_[i]) continue;
    ++shown;
    line(out, name, "_bucket", labels, "le=\"" + number(bounds_[i]) + "\"", std::to_string(n));
  }
  n += buckets_[bounds_.size()].load(std::memory_order_relaxed);
  line(out, name, "_bucket", labels, "le=\"+Inf\"", std::to_string(n));
  line(out, name, "_sum", labels, "", number(value()));
  line(out, name, "_count", labels, "", std::to_string(n));
}

Family::~Family() {
  auto* table = table_.load();
  for (size_t i = 0; table && i < kMaxSeries; ++i) delete table[i].load();
  delete[] table;
}

Series& Family::at(std::string_view labels) {
  auto* table = table_.load(std::memory_order_acquire);
  if (!table) {
    auto* fresh = new std::atomic<Series*>[kMaxSeries]();
    if (table_.compare_exchange_strong(table, fresh))
      table = fresh;
    else
      delete[] fresh;
  }
  size_t at = fnv1a64(labels) & (kMaxSeries - 1);
  for (;;) {
    Series* known = table[at].load(std::memory_order_acquire);
    if (!known) {
      // A quarter stays free, so that the search for what is not there ends soon.
      if (used_.load(std::memory_order_relaxed) >= kMaxSeries / 4 * 3) return overflow_;
      auto fresh = std::make_unique<Series>(std::string(labels), bounds_);
      if (table[at].compare_exchange_strong(known, fresh.get())) {
        used_.fetch_add(1, std::memory_order_relaxed);
        return *fresh.release();
      }
    }
    if (known->labels() == labels) return *known;
    at = (at + 1) & (kMaxSeries - 1);
  }
}

void Family::write_as(std::string& out, std::string_view name, std::string_view help, Bounds bounds) const {
  auto* table = table_.load(std::memory_order_acquire);
  if (!table) return;
  std::vector<const Series*> all;
  for (size_t i = 0; i < kMaxSeries; ++i)
    if (const Series* s = table[i].load(std::memory_order_acquire)) all.push_back(s);
  if (overflow_.value() != 0 || overflow_.count()) all.push_back(&overflow_);
  std::sort(all.begin(), all.end(), [](const Series* a, const Series* b) { return a->labels() < b->labels(); });
  write_head(out, name, type_, help);
  for (const Series* s : all) s->write(out, name, bounds);
}

void write_sample(std::string& out, std::string_view name, Type type, std::string_view help, std::string_view labels,
                  double value, bool first) {
  if (first) write_head(out, name, type, help);
  line(out, name, "", labels, "", number(value));
}

namespace {

std::string content(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

double entries(const std::string& path) {
  double n = -3;  // ".", ".." and the one that is open for reading this
  if (DIR* dir = opendir(path.c_str())) {
    while (readdir(dir)) ++n;
    closedir(dir);
  }
  return std::max(n, 0.0);
}

double boot_time(const std::string& proc) {
  std::string stat = content(proc + "/stat");
  size_t at = stat.find("\nbtime ");
  return at == stat.npos ? 0 : std::strtod(stat.c_str() + at + 7, nullptr);
}

}  // namespace

void write_process(std::string& out, const std::string& proc) {
  std::string stat = content(proc + "/self/stat");
  size_t paren = stat.rfind(')');
  if (paren == stat.npos || paren + 2 > stat.size()) return;
  auto fields = split(std::string_view(stat).substr(paren + 2), ' ');  // from field 3, the state, on (proc(5))
  auto field = [&fields](size_t n) {
    return fields.size() > n - 3 ? std::strtod(std::string(fields[n - 3]).c_str(), nullptr) : 0;
  };
  double ticks = static_cast<double>(sysconf(_SC_CLK_TCK)), page = static_cast<double>(sysconf(_SC_PAGESIZE));
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  write_sample(out, "process_cpu_seconds_total", Type::Counter,
               "CPU time of this process in user and system mode, in seconds.", "", (field(14) + field(15)) / ticks);
  write_sample(out, "process_max_fds", Type::Gauge, "File descriptors that this process may have open.", "",
               static_cast<double>(files.rlim_cur));
  write_sample(out, "process_open_fds", Type::Gauge, "File descriptors that this process has open.", "",
               entries(proc + "/self/fd"));
  write_sample(out, "process_resident_memory_bytes", Type::Gauge, "Memory of this process in RAM, in bytes.", "",
               field(24) * page);
  write_sample(out, "process_start_time_seconds", Type::Gauge, "When this process began, in seconds since 1970.", "",
               boot_time(proc) + field(22) / ticks);
  write_sample(out, "process_threads", Type::Gauge, "Threads of this process.", "", field(20));
  write_sample(out, "process_virtual_memory_bytes", Type::Gauge, "Address space of this process, in bytes.", "",
               field(23));
}

}  // namespace k8lite::metrics
