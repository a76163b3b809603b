// crictl logs: a container's log file, "<RFC 3339 time> stdout|stderr P|F text" a line, P where the line goes on in the next one.
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <fstream>

#include "app/crictl.h"
#include "app/crictl_containers.h"
#include "base/clock.h"
#include "base/strings.h"

namespace k8lite::app::crictl {
namespace {

constexpr auto kLook = 300'000;  // microseconds between two looks at a log that is followed

class LogPrinter {
 public:
  LogPrinter(const std::string& path, const Options& o) : file_(path, std::ios::binary), tail_(o.tail), timestamps_(o.timestamps), since_(o.since) {
    if (auto back = parse_go_duration(o.since)) since_ = rfc3339_nano(system_clock().now() - *back);
  }
  bool opened() const { return file_.is_open(); }

  // What has come since the last call, whole lines only; of the first call the last --tail lines.
  void print() {
    std::deque<std::string> kept;
    file_.clear();
    for (std::string line; std::getline(file_, line);) {
      if (file_.eof()) {  // its end is not written yet
        file_.clear();
        file_.seekg(-static_cast<std::streamoff>(line.size()), std::ios::cur);
        break;
      }
      kept.push_back(std::move(line));
      if (tail_ >= 0 && kept.size() > static_cast<size_t>(tail_)) kept.pop_front();
    }
    tail_ = -1;
    for (const auto& line : kept) print_line(line);
    std::fflush(stdout);
    std::fflush(stderr);
  }

 private:
  void print_line(const std::string& line) const {
    size_t stream = line.find(' '), tag = stream == line.npos ? line.npos : line.find(' ', stream + 1), text = tag == line.npos ? line.npos : line.find(' ', tag + 1);
    if (text == line.npos || (!since_.empty() && line.substr(0, stream) < since_)) return;
    std::FILE* out = line.compare(stream + 1, tag - stream - 1, "stderr") == 0 ? stderr : stdout;
    if (timestamps_) std::fprintf(out, "%.*s ", static_cast<int>(stream), line.c_str());
    std::fwrite(line.data() + text + 1, 1, line.size() - text - 1, out);
    if (line[tag + 1] == 'F') std::fputc('\n', out);
  }

  std::ifstream file_;
  long tail_;
  bool timestamps_;
  std::string since_;
};

}  // namespace

int logs(const Options& o) {
  if (o.words.size() < 2) return fail("logs: which container?");
  auto node = look();
  auto c = find_container(node, o.words[1]);
  if (!c.ok()) return fail(c.status().message());
  std::string path = c->record.log_path;
  if (o.previous) {
    if (c->record.attempt == 0) return fail("previous terminated container " + json::quoted(c->record.name) + " not found");
    path = path.substr(0, path.rfind('/') + 1) + std::to_string(c->record.attempt - 1) + ".log";
  }
  LogPrinter log(path, o);
  if (!log.opened()) return fail("the log " + path + " is not there");
  log.print();
  while (o.follow && !o.previous) {
    bool running = false;
    if (auto states = node.runtime->list(c->pod.uid); states.ok())
      for (const auto& s : *states) running |= s.id == c->record.id && s.running;
    log.print();
    if (!running) break;
    usleep(kLook);
  }
  return 0;
}

}  // namespace k8lite::app::crictl
