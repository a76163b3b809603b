// Measures the budgets of workloads: workload_bench HOST PORT DIR PID. DIR holds ca.crt, client.crt and client.key of
// an administrator, PID is the server's, for its CPU time. The server has no node of its own; nodes here are objects
// that no agent stands behind. What happened is read from a watch, as any client would. BENCH_ROWS picks rows of
// deployment, bound, rate; BENCH_RUNS (3) is how often the first two are measured: the median counts; BENCH_NODES
// (5000) and BENCH_PODS (10000) size the last.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <unordered_set>

#include "client.h"

namespace bench {
namespace {

double seconds_since(int64_t begin) { return static_cast<double>(now_ns() - begin) / 1e9; }
double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}
std::string text(const char* format, double a, double b = 0) {
  char out[200];
  std::snprintf(out, sizeof out, format, a, b);
  return out;
}
double cpu_s(int pid) {
  FILE* f = std::fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "r");
  if (!f) die("the server is gone");
  unsigned long user = 0, system = 0;
  int n = std::fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
  std::fclose(f);
  return n == 2 ? static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK)) : 0;
}

// A table's row; `ratio` is aim to measured, 1 and more: reached.
void row(const char* name, const std::string& aim, const std::string& measured, double ratio,
         const std::string& beside) {
  std::printf("| %s | %s | %s | %.2f | %s | %s |\n", name, aim.c_str(), measured.c_str(), ratio,
              ratio >= 1 ? "yes" : "NO", beside.c_str());
  std::fflush(stdout);
}

// The events of a namespace's pods, a line each.
class Watch {
 public:
  Watch(Client& client, const std::string& host, const std::string& ns) : connection_(client.open()) {
    connection_->send("GET /api/v1/namespaces/" + ns + "/pods?watch=1 HTTP/1.1\r\nHost: " + host +
                      "\r\nAccept: application/json\r\n\r\n");
  }
  // Reads until `enough` pods were seen by `what`, which says whether an event counts.
  template <class F>
  void until(size_t enough, const char* doing, F what) {
    std::unordered_set<std::string> seen;
    int64_t last = now_ns();
    for (;;) {
      unwrap();
      size_t begin = 0;
      for (size_t end; (end = text_.find('\n', begin)) != std::string::npos; begin = end + 1) {
        std::string_view line = std::string_view(text_).substr(begin, end - begin);
        size_t at = line.find("\",\"creationTimestamp\"");  // the uid stands before it
        if (at == line.npos || at < 36) continue;
        if (what(line) && seen.insert(std::string(line.substr(at - 36, 36))).second) last = now_ns();
      }
      text_.erase(0, begin);
      if (seen.size() >= enough) return;
      pollfd p{connection_->fd, POLLIN, 0};
      if (poll(&p, 1, 1000) > 0 && !read_some(*connection_)) die(std::string(doing) + ": the watch ended");
      if (seconds_since(last) > 60)
        die(std::string(doing) + ": only " + std::to_string(seen.size()) + " of " + std::to_string(enough) +
            " for a minute");
    }
  }

 private:
  // Takes whole chunks out of what was read.
  void unwrap() {
    std::string& in = connection_->in;
    size_t at = 0;
    if (!answered_) {
      at = in.find("\r\n\r\n");
      if (at == in.npos) return;
      if (in.compare(9, 3, "200") != 0) die("watch: " + in.substr(0, 300));
      answered_ = true;
      at += 4;
    }
    for (;;) {
      size_t line = in.find("\r\n", at);
      if (line == in.npos) break;
      size_t size = std::strtoull(in.data() + at, nullptr, 16);
      if (line + 4 + size > in.size()) break;
      text_.append(in, line + 2, size);
      at = line + 4 + size;
    }
    in.erase(0, at);
  }

  std::unique_ptr<Connection> connection_;
  std::string text_;
  bool answered_ = false;
};
bool added(std::string_view line) { return line.find("\"type\":\"ADDED\"") != line.npos; }
bool deleted(std::string_view line) { return line.find("\"type\":\"DELETED\"") != line.npos; }
bool is_bound(std::string_view line) { return line.find("\"nodeName\":\"") != line.npos && !deleted(line); }

class Bench {
 public:
  Bench(Client& client, std::string host, int pid) : client_(client), host_(std::move(host)), pid_(pid) {}

  std::string http(const char* method, const std::string& target, const std::string& body = "",
                   const char* type = "application/json") const {
    std::string out = std::string(method) + " " + target + " HTTP/1.1\r\nHost: " + host_ +
                      "\r\nUser-Agent: bench/1\r\nAccept: application/json\r\n";
    if (!body.empty())
      out += std::string("Content-Type: ") + type + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    return out + "\r\n" + body;
  }
  void send(std::vector<std::string> requests, size_t connections = 16) {
    client_.run(
        std::min(connections, requests.size()), requests.size(),
        [&](size_t i) -> std::string_view { return requests[i]; },
        [](size_t, const Answer& a) {
          if (a.status < 200 || a.status > 299)
            die("status " + std::to_string(a.status) + ": " + std::string(a.bytes.substr(0, 600)));
        });
  }
  void make_namespace(const std::string& ns) {
    send({http("POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"" + ns + "\"}}")});
    usleep(300'000);  // its service account and certificates are made
  }
  void make_nodes(size_t count) {
    for (; nodes_ < count; nodes_ += 500) {
      std::vector<std::string> nodes, statuses;
      for (size_t i = nodes_; i < std::min(nodes_ + 500, count); ++i) {
        std::string name = "fake-" + std::to_string(i), zone = "zone-" + std::to_string(i % 3);
        std::string network = "10." + std::to_string(100 + i / 256) + "." + std::to_string(i % 256) + ".0/24";
        nodes.push_back(http("POST", "/api/v1/nodes",
                             "{\"metadata\":{\"name\":\"" + name + "\",\"labels\":{\"kubernetes.io/hostname\":\"" +
                                 name + "\",\"topology.kubernetes.io/zone\":\"" + zone +
                                 "\"}},\"spec\":{\"podCIDR\":\"" + network + "\",\"podCIDRs\":[\"" + network +
                                 "\"]}}"));
        statuses.push_back(
            http("PATCH", "/api/v1/nodes/" + name + "/status",
                 "{\"status\":{\"allocatable\":{\"cpu\":\"8\",\"memory\":\"32Gi\",\"ephemeral-storage\":\"100Gi\","
                 "\"pods\":\"110\"},\"capacity\":{\"cpu\":\"8\",\"memory\":\"32Gi\",\"pods\":\"110\"},"
                 "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"KubeletReady\","
                 "\"lastHeartbeatTime\":\"2026-01-01T00:00:00Z\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}]}}",
                 "application/merge-patch+json"));
      }
      send(std::move(nodes));
      send(std::move(statuses));
    }
    nodes_ = count;
  }
  // Fake nodes have no heartbeat: their pods stay all the same.
  static std::string pod_spec() {
    return "{\"tolerations\":[{\"operator\":\"Exists\"}],\"terminationGracePeriodSeconds\":0,\"containers\":[{\"name\":"
           "\"main\",\"image\":\"example.org/"
           "app:1\",\"resources\":{\"requests\":{\"cpu\":\"10m\",\"memory\":\"16Mi\"}}}]}";
  }
  static std::string deployment(const std::string& name, size_t replicas) {
    return "{\"metadata\":{\"name\":\"" + name + "\"},\"spec\":{\"replicas\":" + std::to_string(replicas) +
           ",\"selector\":{\"matchLabels\":{\"app\":\"" + name +
           "\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"" + name + "\"}},\"spec\":" + pod_spec() + "}}}";
  }

  void deployments(int runs) {
    std::vector<double> made, gone;
    double cpu = cpu_s(pid_);
    for (int i = 0; i < runs; ++i) {
      std::string ns = "objects-" + std::to_string(i), all = "/apis/apps/v1/namespaces/" + ns + "/deployments";
      make_namespace(ns);
      Watch watch(client_, host_, ns);
      usleep(300'000);
      int64_t begin = now_ns();
      send({http("POST", all, deployment("web", 500))});
      watch.until(500, "Deployment of 500", added);
      made.push_back(seconds_since(begin));
      usleep(2'000'000);  // statuses and events are written
      begin = now_ns();
      send({http("DELETE", all + "/web")});
      watch.until(500, "deleting the Deployment of 500", deleted);
      gone.push_back(seconds_since(begin));
      usleep(500'000);
    }
    cpu = (cpu_s(pid_) - cpu) / runs;
    row("Deployment of 500: 500 Pod objects, no node", "<= 0.15 s", text("%.3f s", median(made)), 0.15 / median(made),
        text("server CPU of all of it %.2f s", cpu));
    row("deleting it: all gone", "<= 0.4 s", text("%.3f s", median(gone)), 0.4 / median(gone), "");
  }

  void binding(int runs) {
    make_nodes(50);
    usleep(1'000'000);
    std::vector<double> took;
    double cpu = cpu_s(pid_);
    for (int i = 0; i < runs; ++i) {
      std::string ns = "bound-" + std::to_string(i), all = "/apis/apps/v1/namespaces/" + ns + "/deployments";
      make_namespace(ns);
      Watch watch(client_, host_, ns);
      usleep(300'000);
      int64_t begin = now_ns();
      send({http("POST", all, deployment("web", 1000))});
      watch.until(1000, "binding 1,000 pods", is_bound);
      took.push_back(seconds_since(begin));
      usleep(2'000'000);
      send({http("DELETE", all + "/web")});
      watch.until(1000, "deleting 1,000 pods", deleted);
      usleep(500'000);
    }
    row("1,000 pods on 50 fake nodes: first create to all bound", "<= 0.5 s", text("%.3f s", median(took)),
        0.5 / median(took), text("server CPU with deleting them %.2f s", (cpu_s(pid_) - cpu) / runs));
  }

  void rate(size_t nodes, size_t pods) {
    int64_t begin = now_ns();
    make_nodes(nodes);
    double setup = seconds_since(begin);
    usleep(3'000'000);
    make_namespace("rate");
    Watch watch(client_, host_, "rate");
    usleep(300'000);
    std::vector<std::string> requests;
    for (size_t i = 0; i < pods; ++i)
      requests.push_back(http("POST", "/api/v1/namespaces/rate/pods",
                              "{\"metadata\":{\"name\":\"pod-" + std::to_string(i) +
                                  "\",\"labels\":{\"app\":\"rate\"}},\"spec\":" + pod_spec() + "}"));
    double cpu = cpu_s(pid_);
    begin = now_ns();
    std::thread reader([&] { watch.until(pods, "scheduling", is_bound); });
    send(std::move(requests));
    double created = seconds_since(begin);
    reader.join();
    double all = seconds_since(begin), per_second = static_cast<double>(pods) / all;
    row(("scheduling on " + std::to_string(nodes) + " fake nodes, steady").c_str(), ">= 2,000 pods/s",
        text("%.0f pods/s", per_second), per_second / 2000,
        text("creating them took %.2f s", created) +
            text(" of %.2f s, server CPU %.3f ms a pod", all, (cpu_s(pid_) - cpu) * 1000 / static_cast<double>(pods)) +
            text(", nodes made in %.1f s", setup));
  }

 private:
  Client& client_;
  std::string host_;
  int pid_;
  size_t nodes_ = 0;
};

size_t number(const char* name, size_t otherwise) {
  const char* v = std::getenv(name);
  return v ? std::strtoul(v, nullptr, 10) : otherwise;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: %s HOST PORT DIR PID\n", argv[0]);
    return 2;
  }
  std::string dir = argv[3];
  bench::Client client(argv[1], std::atoi(argv[2]), dir + "/ca.crt", dir + "/client.crt", dir + "/client.key");
  bench::Bench b(client, argv[1], std::atoi(argv[4]));
  const char* rows = std::getenv("BENCH_ROWS");
  auto wanted = [rows](const char* name) { return !rows || std::strstr(rows, name); };
  int runs = static_cast<int>(bench::number("BENCH_RUNS", 3));
  std::puts("| figure | aim | measured | ratio | reached | beside |\n|---|---|---|---|---|---|");
  if (wanted("deployment")) b.deployments(runs);
  if (wanted("bound")) b.binding(runs);
  if (wanted("rate")) b.rate(bench::number("BENCH_NODES", 5000), bench::number("BENCH_PODS", 10'000));
}
