// `k8lite crictl`: the commands of crictl that look at a node, answered from the node's own state (image store, shims, records in /run)
// instead of a CRI socket, which k8lite does not have. Output is shaped as crictl's, so that scripts go on working.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace k8lite::app::crictl {

struct Options {
  std::string data_dir = "/var/lib/k8lite", registries = "/etc/k8lite/registries.yaml";
  std::string output, name, state, pod, namespace_, image, credentials, since, id;
  std::vector<std::string> labels, words;  // words[0] is the command
  bool quiet = false, all = false, no_trunc = false, digests = false, pinned = false, prune = false, verbose = false, latest = false;
  bool follow = false, timestamps = false, previous = false, interactive = false, tty = false;
  long tail = -1, last = 0, seconds = 1;  // seconds: between the two looks of stats
};

using Rows = std::vector<std::vector<std::string>>;
void print_table(const Rows& rows);              // columns at least 20 wide, three spaces apart
int print_value(const json::Node& value, const std::string& output);  // json or yaml
std::string ago(int64_t created_us, int64_t now_us);  // "5 minutes ago"
int fail(const std::string& message);

int images(const Options& o);       // crictl_images.cpp
int pull(const Options& o);
int remove_images(const Options& o);
int inspect_image(const Options& o);
int containers(const Options& o);   // crictl_containers.cpp
int pods(const Options& o);
int inspect(const Options& o);
int inspect_pod(const Options& o);
int logs(const Options& o);         // crictl_logs.cpp
int exec(const Options& o);         // crictl_exec.cpp
int stats(const Options& o);        // crictl_stats.cpp
int pod_stats(const Options& o);
int image_file_system(const Options& o);


}  // namespace k8lite::app::crictl
