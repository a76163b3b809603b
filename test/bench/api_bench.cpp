// Measures the API server's budgets: api_bench HOST PORT DIR PID DISK. DIR holds ca.crt, client.crt and client.key; PID
// is the server's, for its CPU time and memory; DISK is a directory on the disk of its database, where the probe of
// grouped SQLite commits runs in the same minute. Prints a table of figures, aims and marks. BENCH_ROWS picks rows
// ("create,get"), BENCH_COUNT (20000) sizes them.
#include <sqlite3.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "client.h"

namespace bench {
namespace {

constexpr size_t kConnections = 16;

struct Server {
  int pid;
  std::string proc(const char* file) const { return "/proc/" + std::to_string(pid) + "/" + file; }

  // CPU time so far, user and system, in ms (clock ticks of 10 ms: rows run for seconds).
  double cpu_ms() const {
    FILE* f = std::fopen(proc("stat").c_str(), "r");
    if (!f) die("the server is gone");
    unsigned long user = 0, system = 0;
    int n = std::fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    std::fclose(f);
    if (n != 2) die("/proc/PID/stat is of an unknown form");
    return static_cast<double>(user + system) * 1000 / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  // A line of a /proc file in kB.
  long kb(const char* file, const char* name) const {
    FILE* f = std::fopen(proc(file).c_str(), "r");
    if (!f) return 0;
    char line[256];
    long v = 0;
    while (std::fgets(line, sizeof line, f))
      if (std::strncmp(line, name, std::strlen(name)) == 0) v = std::atol(line + std::strlen(name));
    std::fclose(f);
    return v;
  }
  double pss_mb() const { return static_cast<double>(kb("smaps_rollup", "Pss:")) * 1024 / 1e6; }
  double rss_mb() const { return static_cast<double>(kb("status", "VmRSS:")) * 1024 / 1e6; }
  double peak_mb() const { return static_cast<double>(kb("status", "VmHWM:")) * 1024 / 1e6; }
  void forget_peak() const {
    if (FILE* f = std::fopen(proc("clear_refs").c_str(), "w")) {
      std::fputs("5", f);
      std::fclose(f);
    }
  }
};

double percentile(std::vector<double> v, double p) {
  if (v.empty()) return 0;
  std::sort(v.begin(), v.end());
  return v[std::min(v.size() - 1, static_cast<size_t>(p * static_cast<double>(v.size())))];
}

void row(const char* name, const char* aim, bool good, const std::string& measured, const std::string& beside) {
  std::printf("| %s | %s | %s | %s | %s |\n", name, aim, measured.c_str(), good ? "yes" : "NO", beside.c_str());
  std::fflush(stdout);
}
std::string text(const char* format, double a, double b = 0, double c = 0, double d = 0) {
  char out[200];
  std::snprintf(out, sizeof out, format, a, b, c, d);
  return out;
}

// 1 KiB of text that packs about as well as configuration does.
std::string payload(uint32_t seed) {
  static const char* const kWords[] = {"server", "timeout", "listen", "enabled", "upstream", "backend", "true", "false",
                                       "level",  "cache",   "path",   "token",   "retry",    "max",     "port", "name"};
  std::string s;
  while (s.size() < 1024) {
    seed = seed * 1664525u + 1013904223u;
    s += kWords[(seed >> 20) & 15];
    s += (seed >> 25) % 3 ? "." : "=";
    s += std::to_string((seed >> 8) % 10000);
    s += ' ';
  }
  s.resize(1024);
  return s;
}

class Bench {
 public:
  Bench(Client& client, Server server, std::string disk, std::string host, size_t count)
      : client_(client), server_(server), disk_(std::move(disk)), host_(std::move(host)), count_(count) {}

  std::string http(const char* method, const std::string& target, const std::string& type, const std::string& body,
                   const char* more = "") const {
    std::string out = std::string(method) + " " + target + " HTTP/1.1\r\nHost: " + host_ +
                      "\r\nUser-Agent: bench/1\r\nAccept: application/json\r\n" + more;
    if (!body.empty()) out += "Content-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    return out + "\r\n" + body;
  }
  static std::string object(const std::string& name, uint32_t seed) {
    return "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"" + name +
           "\"},\"data\":{\"app.conf\":\"" + payload(seed) + "\"}}";
  }
  static std::string all(const std::string& ns) { return "/api/v1/namespaces/" + ns + "/configmaps"; }
  static std::string name(size_t i) { return "config-" + std::to_string(i); }

  struct Load {
    double rate = 0, cpu_ms = 0, p50 = 0, p99 = 0;
  };
  // Requests are made beforehand: making them is no part of the load.
  Load load(std::vector<std::string> requests, int wanted) {
    std::vector<double> took;
    took.reserve(requests.size());
    double cpu = server_.cpu_ms();
    double s = client_.run(
        kConnections, requests.size(), [&](size_t i) -> std::string_view { return requests[i]; },
        [&](size_t, const Answer& a) {
          if (a.status != wanted)
            die("status " + std::to_string(a.status) + ": " + std::string(a.bytes.substr(0, 600)));
          took.push_back(static_cast<double>(a.took_ns) / 1e6);
        });
    double n = static_cast<double>(requests.size());
    return {n / s, (server_.cpu_ms() - cpu) / n, percentile(took, 0.5), percentile(took, 0.99)};
  }
  std::vector<std::string> each(size_t n, const std::function<std::string(size_t)>& make) {
    std::vector<std::string> out;
    for (size_t i = 0; i < n; ++i) out.push_back(make(i));
    return out;
  }
  static std::string beside(const Load& l) {
    return text("CPU %.3f ms each, p50 %.2f ms, p99 %.2f ms", l.cpu_ms, l.p50, l.p99);
  }

  void make_namespace(const std::string& ns) {
    auto one = [&](size_t) {
      return http("POST", "/api/v1/namespaces", "application/json", "{\"metadata\":{\"name\":\"" + ns + "\"}}");
    };
    std::string request = one(0);
    client_.run(
        1, 1, [&](size_t) -> std::string_view { return request; },
        [](size_t, const Answer& a) {
          if (a.status != 201) die("namespace: status " + std::to_string(a.status));
        });
  }

  void creates() {
    make_namespace("bench");
    auto l =
        load(each(count_,
                  [&](size_t i) {
                    return http("POST", all("bench"), "application/json", object(name(i), static_cast<uint32_t>(i)));
                  }),
             201);
    double probe = probe_grouped();
    row("create, 16 connections", ">= 10,000/s", l.rate >= 10'000, text("%.0f/s", l.rate), beside(l));
    row("create, of grouped SQLite commits", ">= 60 %", l.rate >= 0.6 * probe, text("%.0f %%", 100 * l.rate / probe),
        text("the probe: %.0f/s", probe));
    row("server CPU a create", "<= 0.12 ms", l.cpu_ms <= 0.12, text("%.3f ms", l.cpu_ms), "");
  }
  void gets() {
    auto l = load(
        each(2 * count_, [&](size_t i) { return http("GET", all("bench") + "/" + name(i % count_), "", ""); }), 200);
    row("get, 16 connections", ">= 20,000/s", l.rate >= 20'000, text("%.0f/s", l.rate), beside(l));
  }
  void updates() {
    auto l = load(each(count_,
                       [&](size_t i) {
                         return http("PUT", all("bench") + "/" + name(i), "application/json",
                                     object(name(i), static_cast<uint32_t>(i + 1'000'000)));
                       }),
                  200);
    row("update, 16 connections", ">= 8,000/s", l.rate >= 8'000, text("%.0f/s", l.rate), beside(l));
  }
  void patches() {
    auto l = load(each(count_,
                       [&](size_t i) {
                         return http("PATCH", all("bench") + "/" + name(i), "application/merge-patch+json",
                                     "{\"data\":{\"level\":\"" + std::to_string(i) + "\"}}");
                       }),
                  200);
    row("merge patch, 16 connections", ">= 8,000/s", l.rate >= 8'000, text("%.0f/s", l.rate), beside(l));
  }
  void deletes() {
    auto l = load(each(count_, [&](size_t i) { return http("DELETE", all("bench") + "/" + name(i), "", ""); }), 200);
    row("delete, 16 connections", ">= 8,000/s", l.rate >= 8'000, text("%.0f/s", l.rate), beside(l));
  }

  void lists() {
    make_namespace("lists");
    load(each(10'000,
              [&](size_t i) {
                return http("POST", all("lists"), "application/json", object(name(i), static_cast<uint32_t>(i)));
              }),
         201);
    for (bool gzip : {false, true}) {
      std::string request = http("GET", all("lists"), "", "", gzip ? "Accept-Encoding: gzip\r\n" : "");
      std::vector<double> took;
      size_t bytes = 0;
      double before = server_.rss_mb(), more = 0, cpu = server_.cpu_ms();
      for (int i = 0; i < 21; ++i) {
        if (i == 1) before = server_.rss_mb(), server_.forget_peak(), cpu = server_.cpu_ms();
        client_.run(
            1, 1, [&](size_t) -> std::string_view { return request; },
            [&](size_t, const Answer& a) {
              if (a.status != 200) die("list: status " + std::to_string(a.status));
              if (i) took.push_back(static_cast<double>(a.took_ns) / 1e6);
              bytes = a.bytes.size();
            });
      }
      more = server_.peak_mb() - before;
      double p50 = percentile(took, 0.5);
      std::string aside = text("%.1f MB, CPU %.1f ms each, p90 %.1f ms", static_cast<double>(bytes) / 1e6,
                               (server_.cpu_ms() - cpu) / 20, percentile(took, 0.9));
      row(gzip ? "list of 10,000, gzip, p50" : "list of 10,000, p50", gzip ? "<= 150 ms" : "<= 25 ms",
          p50 <= (gzip ? 150 : 25), text("%.1f ms", p50), aside);
      row(gzip ? "memory beyond, of such a request" : "memory beyond, of a request", "<= 5 MB", more <= 5,
          text("%.1f MB", more), text("resident %.1f MB before", before));
    }
  }

  void watches() {
    constexpr size_t kWatchers = 100;
    make_namespace("watch");
    std::vector<std::unique_ptr<Connection>> watchers;
    int ep = epoll_create1(EPOLL_CLOEXEC);
    std::string request = http("GET", all("watch") + "?watch=1", "", "");
    for (size_t i = 0; i < kWatchers; ++i) {
      watchers.push_back(client_.open());
      epoll_event e{};
      e.events = EPOLLIN;
      e.data.u32 = static_cast<uint32_t>(i);
      epoll_ctl(ep, EPOLL_CTL_ADD, watchers[i]->fd, &e);
      watchers[i]->send(request);
    }
    auto writer = client_.open();
    usleep(500'000);
    std::vector<double> last, answered;
    double cpu = server_.cpu_ms();
    constexpr int kWrites = 300;
    for (int w = 0; w < kWrites; ++w) {
      std::string name = "watched-" + std::to_string(w), mark = "\"name\":\"" + name + "\"";
      for (auto& c : watchers) c->in.clear();
      std::vector<bool> saw(kWatchers);
      writer->send(http("POST", all("watch"), "application/json", object(name, static_cast<uint32_t>(w))));
      int64_t begin = now_ns();
      for (size_t left = kWatchers; left;) {
        epoll_event events[64];
        int n = epoll_wait(ep, events, 64, 10'000);
        if (n <= 0) die("an event did not come");
        for (int k = 0; k < n; ++k) {
          size_t i = events[k].data.u32;
          if (!read_some(*watchers[i])) die("a watch ended");
          if (saw[i] || watchers[i]->in.find(mark) == std::string::npos) continue;
          saw[i] = true;
          --left;
        }
      }
      last.push_back(static_cast<double>(now_ns() - begin) / 1e6);
      while (!complete(*writer))
        if (!read_some(*writer)) die("the writer's connection was closed");
      usleep(2000);
    }
    cpu = (server_.cpu_ms() - cpu) / kWrites;
    close(ep);
    double commit = probe_single();
    double p50 = percentile(last, 0.5) - commit, p99 = percentile(last, 0.99) - commit;
    row("100 watchers: write to last event beyond the commit, p50", "<= 1.0 ms", p50 <= 1.0, text("%.2f ms", p50),
        text("CPU %.2f ms a write, a commit of one %.2f ms", cpu, commit));
    row("100 watchers, p99", "<= 3 ms", p99 <= 3, text("%.2f ms", p99), "");
  }

  void held() {
    make_namespace("held");
    double before = server_.pss_mb();
    auto l =
        load(each(100'000,
                  [&](size_t i) {
                    return http("POST", all("held"), "application/json", object(name(i), static_cast<uint32_t>(i)));
                  }),
             201);
    sleep(3);
    double pss = server_.pss_mb();
    row("100,000 ConfigMaps of 1 KiB held", "<= 200 MB", pss <= 200, text("%.1f MB", pss),
        text("PSS before %.1f MB; created at %.0f/s, CPU %.3f ms each", before, l.rate, l.cpu_ms));
  }

 private:
  // What SQLite does here and now with rows of this size in groups of 16 that are synced, in rows a second.
  double probe_grouped() const { return probe(16, 1.5).first; }
  double probe_single() const { return probe(1, 0.5).second; }
  std::pair<double, double> probe(int group, double seconds) const {
    std::string path = disk_ + "/probe.db";
    sqlite3* db = nullptr;
    auto sql = [&](const char* text) {
      if (sqlite3_exec(db, text, nullptr, nullptr, nullptr) != SQLITE_OK)
        die(std::string("probe: ") + sqlite3_errmsg(db));
    };
    if (sqlite3_open(path.c_str(), &db) != SQLITE_OK) die("probe: cannot open " + path);
    for (const char* s : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA wal_autocheckpoint=4000",
                          "CREATE TABLE t(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL, "
                          "doc BLOB NOT NULL)"})
      sql(s);
    sqlite3_stmt* put = nullptr;
    sqlite3_prepare_v2(db, "INSERT INTO t(key,revision,doc) VALUES(?1,?2,?3)", -1, &put, nullptr);
    std::string doc(1450, 'x');
    std::vector<double> commits;
    int64_t begin = now_ns();
    size_t rows = 0;
    while (static_cast<double>(now_ns() - begin) / 1e9 < seconds) {
      int64_t at = now_ns();
      sql("BEGIN IMMEDIATE");
      for (int i = 0; i < group; ++i, ++rows) {
        std::string key = "/registry/core/configmaps/bench/" + name(rows);
        sqlite3_bind_text(put, 1, key.data(), static_cast<int>(key.size()), SQLITE_STATIC);
        sqlite3_bind_int64(put, 2, static_cast<int64_t>(rows));
        sqlite3_bind_blob(put, 3, doc.data(), static_cast<int>(doc.size()), SQLITE_STATIC);
        sqlite3_step(put);
        sqlite3_reset(put);
      }
      sql("COMMIT");
      commits.push_back(static_cast<double>(now_ns() - at) / 1e6);
    }
    double rate = static_cast<double>(rows) / (static_cast<double>(now_ns() - begin) / 1e9);
    sqlite3_finalize(put);
    sqlite3_close(db);
    for (const char* end : {"", "-wal", "-shm"}) unlink((path + end).c_str());
    return {rate, percentile(commits, 0.5)};
  }

  Client& client_;
  Server server_;
  std::string disk_, host_;
  size_t count_;
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: %s HOST PORT DIR PID DISK\n", argv[0]);
    return 2;
  }
  std::string dir = argv[3];
  bench::Client client(argv[1], std::atoi(argv[2]), dir + "/ca.crt", dir + "/client.crt", dir + "/client.key");
  const char* count = std::getenv("BENCH_COUNT");
  bench::Bench b(client, {std::atoi(argv[4])}, argv[5], argv[1], count ? std::strtoul(count, nullptr, 10) : 20'000);
  const char* rows = std::getenv("BENCH_ROWS");
  auto wanted = [rows](const char* name) { return !rows || std::strstr(rows, name); };
  std::puts("| figure | aim | measured | reached | beside |\n|---|---|---|---|---|");
  if (wanted("create")) b.creates();
  if (wanted("get")) b.gets();
  if (wanted("update")) b.updates();
  if (wanted("patch")) b.patches();
  if (wanted("delete")) b.deletes();
  if (wanted("list")) b.lists();
  if (wanted("watch")) b.watches();
  if (wanted("held")) b.held();
}
