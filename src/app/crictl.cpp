#include "app/crictl.h"

#include <cstdio>

#include "app/server.h"
#include "base/clock.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "kubelet/container_record.h"
#include "os/files.h"

namespace k8lite::app {
namespace crictl {

void print_table(const Rows& rows) {
  std::vector<size_t> width;
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (width.size() <= i) width.push_back(20);
      width[i] = std::max(width[i], row[i].size() + 3);
    }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += i + 1 < row.size() ? row[i] + std::string(width[i] - row[i].size(), ' ') : row[i];
    std::printf("%s\n", line.c_str());
  }
}

int print_value(const json::Node& value, const std::string& output) {
  std::printf("%s\n", (output == "yaml" ? dump_yaml(value) : value.dump_pretty(2)).c_str());
  return 0;
}

std::string ago(int64_t created_us, int64_t now_us) {
  int64_t s = std::max<int64_t>(0, (now_us - created_us) / 1'000'000);
  auto many = [](int64_t n, const char* unit) { return std::to_string(n) + " " + unit + "s ago"; };
  if (s < 1) return "Less than a second ago";
  if (s == 1) return "1 second ago";
  if (s < 60) return many(s, "second");
  if (s < 120) return "About a minute ago";
  if (s < 3600) return many(s / 60, "minute");
  if (s < 5400) return "About an hour ago";
  if (s < 48 * 3600) return many((s + 1800) / 3600, "hour");
  if (s < 14 * 86400) return many(s / 86400, "day");
  if (s < 60 * 86400) return many(s / (7 * 86400), "week");
  if (s < 730 * 86400) return many(s / (30 * 86400), "month");
  return many(s / (365 * 86400), "year");
}

int fail(const std::string& message) {
  std::fprintf(stderr, "k8lite crictl: %s\n", message.c_str());
  return 1;
}

namespace {

int version(const Options&) {
  std::printf("Version:  0.1.0\nRuntimeName:  k8lite\nRuntimeVersion:  %s\nRuntimeApiVersion:  v1\n", K8LITE_VERSION);
  return 0;
}

int info(const Options& o) {
  using json::Node;
  bool network = os::exists(o.data_dir + "/agent/addresses.json");
  Node conditions = Node::arr({Node::obj({{"type", "RuntimeReady"}, {"status", true}, {"reason", ""}, {"message", ""}}),
                               Node::obj({{"type", "NetworkReady"}, {"status", network}, {"reason", network ? "" : "NetworkPluginNotReady"}, {"message", network ? "" : "no node has run with this data directory yet"}})});
  Node config = Node::obj({{"dataDir", o.data_dir}, {"imageStore", o.data_dir + "/agent/store"}, {"privateRegistry", o.registries}, {"stateDir", kubelet::kRunDir}, {"snapshotter", "overlayfs"}});
  return print_value(Node::obj({{"status", Node::obj({{"conditions", conditions}})}, {"config", config}}), o.output == "yaml" ? "yaml" : "json");
}

struct Command {
  std::string_view name, alias, summary;
  int (*run)(const Options&);  // null: not in this build
};
constexpr Command kCommands[] = {
    {"images", "img", "List images", images},
    {"pull", "", "Pull an image from a registry", pull},
    {"rmi", "", "Remove one or more images", remove_images},
    {"inspecti", "", "Return the status of one or more images", inspect_image},
    {"ps", "", "List containers", containers},
    {"pods", "", "List pods", pods},
    {"inspect", "", "Display the status of one or more containers", inspect},
    {"inspectp", "", "Display the status of one or more pods", inspect_pod},
    {"logs", "", "Fetch the logs of a container", logs},
    {"exec", "", "Run a command in a running container", exec},
    {"stats", "", "List container(s) resource usage statistics", stats},
    {"statsp", "", "List pod statistics", pod_stats},
    {"imagefsinfo", "", "Return image filesystem info", image_file_system},
    {"info", "", "Display information of the container runtime", info},
    {"version", "", "Display runtime version information", version},
    {"attach", "", "", nullptr}, {"create", "", "", nullptr}, {"run", "", "", nullptr}, {"runp", "", "", nullptr}, {"start", "", "", nullptr}, {"stop", "", "", nullptr},
    {"stopp", "", "", nullptr}, {"rm", "", "", nullptr}, {"rmp", "", "", nullptr}, {"update", "", "", nullptr}, {"port-forward", "", "", nullptr},
    {"metricsp", "", "", nullptr}, {"events", "", "", nullptr}, {"checkpoint", "", "", nullptr}, {"config", "", "", nullptr}, {"runtime-config", "", "", nullptr},
};

void usage(FILE* out) {
  std::fputs("k8lite crictl - look at this node's images, pods and containers\n\nUsage:\n  k8lite crictl [--data-dir DIR] COMMAND [flags] [arguments]\n\nCommands:\n", out);
  for (const Command& c : kCommands)
    if (c.run) std::fprintf(out, "  %-10.*s %.*s\n", static_cast<int>(c.name.size()), c.name.data(), static_cast<int>(c.summary.size()), c.summary.data());
}

struct Flag {
  std::string_view name, letter;
  bool Options::*on;
  std::string Options::*text;
};
constexpr Flag kFlags[] = {
    {"--data-dir", "", nullptr, &Options::data_dir}, {"--private-registry", "", nullptr, &Options::registries}, {"--output", "-o", nullptr, &Options::output},
    {"--name", "", nullptr, &Options::name}, {"--state", "-s", nullptr, &Options::state}, {"--pod", "-p", nullptr, &Options::pod}, {"--namespace", "", nullptr, &Options::namespace_},
    {"--image", "", nullptr, &Options::image}, {"--creds", "", nullptr, &Options::credentials}, {"--since", "", nullptr, &Options::since}, {"--id", "", nullptr, &Options::id}, {"--quiet", "-q", &Options::quiet, nullptr},
    {"--all", "-a", &Options::all, nullptr}, {"--no-trunc", "", &Options::no_trunc, nullptr}, {"--digests", "", &Options::digests, nullptr}, {"--pinned", "", &Options::pinned, nullptr},
    {"--prune", "", &Options::prune, nullptr}, {"--verbose", "-v", &Options::verbose, nullptr}, {"--latest", "-l", &Options::latest, nullptr}, {"--follow", "-f", &Options::follow, nullptr},
    {"--timestamps", "-t", &Options::timestamps, nullptr}, {"--previous", "", &Options::previous, nullptr}, {"--interactive", "-i", &Options::interactive, nullptr}, {"--tty", "", &Options::tty, nullptr},
};

// Flags of crictl that name its socket and its patience: there is no socket here.
bool is_ignored(std::string_view name) { return name == "-r" || name == "--runtime-endpoint" || name == "--image-endpoint" || name == "--timeout" || name == "-c" || name == "--config"; }

Result<Options> parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    std::string a = argv[i], name = a.substr(0, a.starts_with("--") ? a.find('=') : a.npos);
    bool in_command = o.words.size() > 1 && o.words[0] == "exec";  // what follows the container is the command's
    if (in_command || a.size() < 2 || a[0] != '-') {
      o.words.push_back(a);
      continue;
    }
    if (a == "--") continue;
    auto value = [&]() -> Result<std::string> {
      if (name.size() < a.size()) return a.substr(name.size() + 1);
      if (i + 1 >= argc) return bad_request("flag needs an argument: " + a);
      return std::string(argv[++i]);
    };
    std::string command = o.words.empty() ? "" : o.words[0];
    if (is_ignored(name)) {
      TRY_OK(value());
      continue;
    }
    if (a == "-D" || a == "--debug") continue;
    if (a == "-it" || a == "-ti") {
      o.interactive = o.tty = true;
      continue;
    }
    if (name == "--tail" || name == "--last" || a == "-n" || name == "--seconds" || (a == "-s" && command.starts_with("stats"))) {
      TRY(std::string text, value());
      auto n = parse_int(text);
      if (!n) return bad_request(a + ": not a number: " + text);
      (name == "--tail" ? o.tail : a == "-n" || name == "--last" ? o.last : o.seconds) = *n;
      continue;
    }
    if (name == "--label") {
      TRY(std::string text, value());
      o.labels.push_back(text);
      continue;
    }
    if (a == "-t" && command == "exec") {
      o.tty = true;
      continue;
    }
    if (a == "-p" && command == "logs") {
      o.previous = true;
      continue;
    }
    const Flag* flag = nullptr;
    for (const Flag& f : kFlags)
      if (f.name == name || f.letter == a) flag = &f;
    if (!flag) return bad_request("flag provided but not defined: " + a);
    if (flag->on) {
      o.*flag->on = name.size() == a.size() || a.ends_with("=true");
      continue;
    }
    TRY(o.*flag->text, value());
  }
  // As crictl: lists are tables, single things are JSON.
  if (o.output.empty()) o.output = !o.words.empty() && (o.words[0].starts_with("inspect") || o.words[0] == "info") ? "json" : "table";
  if (o.output != "json" && o.output != "yaml" && o.output != "table") return bad_request("don't support \"" + o.output + "\" format: json, yaml or table");
  return o;
}

}  // namespace
}  // namespace crictl

int run_crictl(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)
    if (std::string_view a = argv[i]; a == "--help" || a == "-h" || a == "help") return crictl::usage(stdout), 0;
    else if (a == "exec") break;
  auto o = crictl::parse(argc, argv);
  if (!o.ok()) return crictl::fail(o.status().message());
  if (o->words.empty()) return crictl::usage(stderr), 1;
  for (const auto& c : crictl::kCommands) {
    if (c.name != o->words[0] && (c.alias.empty() || c.alias != o->words[0])) continue;
    if (c.run) return c.run(*o);
    return crictl::fail("the command \"" + o->words[0] + "\" is not in this build: the node agent alone starts and ends pods; use k8lite kubectl");
  }
  return crictl::fail("unknown command \"" + o->words[0] + "\"; see k8lite crictl --help");
}

}  // namespace k8lite::app
