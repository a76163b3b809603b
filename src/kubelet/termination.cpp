// What a container leaves as its last words: its termination log, or the end of its output where its author wants that
// of one that failed. (Kubernetes documentation: "Determine the Reason for Pod Failure".)
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "kubelet/pods.h"

namespace k8lite::kubelet {

namespace {

constexpr size_t kLongestMessage = 4096, kLongestLog = 2048, kMostLines = 80;
constexpr off_t kLookBack = 64 * 1024;

std::string last_bytes(const std::string& path) {
  os::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0) return {};
  std::string out(static_cast<size_t>(std::min<off_t>(st.st_size, kLookBack)), '\0');
  ssize_t n = ::pread(fd.get(), out.data(), out.size(), st.st_size - static_cast<off_t>(out.size()));
  out.resize(n > 0 ? static_cast<size_t>(n) : 0);
  // The first line may have lost its beginning.
  if (st.st_size > kLookBack) out.erase(0, out.find('\n') + 1);
  return out;
}

}  // namespace

std::string log_end(std::string_view log) {
  std::string out;
  auto lines = split(log, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  size_t first = lines.size() > kMostLines ? lines.size() - kMostLines : 0;
  for (size_t i = first; i < lines.size(); ++i) {
    std::string_view line = lines[i];
    bool whole = true;
    for (int field = 0; field < 3; ++field) {  // time, stream, F or P
      size_t space = line.find(' ');
      if (field == 2) whole = !line.starts_with("P");
      line.remove_prefix(space == line.npos ? line.size() : space + 1);
    }
    out += line;
    if (whole) out += '\n';
  }
  return out.size() > kLongestLog ? out.substr(out.size() - kLongestLog) : out;
}

std::string PodManager::termination_message(const LocalPod& local, const std::string& container,
                                            const runtime::shim::State& state) const {
  std::string said = os::read_file(pod_dir(local.uid) + "/containers/" + container + "/termination-log")
                         .value_or("")
                         .substr(0, kLongestMessage);
  bool log = said.empty() && state.exit_code != 0 &&
             find_container(local.pod.root(), container)["terminationMessagePolicy"].equals("FallbackToLogsOnError");
  return log ? log_end(last_bytes(log_dir(local, container) + "/" + state.id.substr(state.id.rfind('-') + 1) + ".log"))
             : said;
}

}  // namespace k8lite::kubelet
