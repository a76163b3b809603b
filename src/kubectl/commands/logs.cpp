// kubectl logs: one container, all of a pod, or the pods of a selector or workload; followed side by side with -f.
#include <algorithm>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/commands/streams.h"
#include "kubectl/printers.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

struct Source {
  Target pod;
  std::string container, prefix;
};

std::string log_url(const Session& s, const Source& one, bool follow) {
  const Flags& f = s.flags;
  std::string tail = f.changed("tail") ? f.text("tail") : f.changed("selector") ? "10" : "";
  if (tail == "-1") tail.clear();
  std::string since = f.changed("since") && f.time("since").count() > 0 ? std::to_string((f.time("since").count() + 999'999) / 1'000'000) : "";
  return with_query(one.pod.url("log"), {{"container", one.container}, {"follow", follow ? "true" : ""}, {"previous", f.on("previous") ? "true" : ""}, {"timestamps", f.on("timestamps") ? "true" : ""},
                                         {"tailLines", tail}, {"sinceSeconds", since}, {"sinceTime", f.text("since-time")}, {"limitBytes", f.number("limit-bytes") > 0 ? f.text("limit-bytes") : ""}});
}

// Whole lines only where several sources share the output.
Result<> copy(Session& s, Reading& reading, const std::string& prefix, std::mutex& mutex, bool lines) {
  for (;;) {
    if (!lines) {
      TRY(std::string piece, reading.chunk());
      if (piece.empty()) return {};
      s.out(piece);
      continue;
    }
    bool done = false;
    TRY(std::string line, reading.line(done));
    if (done) return {};
    std::lock_guard lock(mutex);
    s.out(prefix + line + "\n");
  }
}

Result<> one_log(Session& s, const Source& source, bool follow, bool lines, std::mutex& mutex) {
  TRY(auto reading, s.open(log_url(s, source, follow), "application/json, */*"));
  return copy(s, *reading, source.prefix, mutex, lines);
}

Result<> follow_all(Session& s, const std::vector<Source>& sources) {
  std::mutex mutex;
  std::vector<std::unique_ptr<Reading>> readings;
  for (const Source& one : sources) {
    TRY(auto reading, s.open(log_url(s, one, true), "application/json, */*"));
    readings.push_back(std::move(reading));
  }
  std::vector<std::thread> threads;
  std::vector<Status> ends(sources.size());
  for (size_t i = 0; i < sources.size(); ++i)
    threads.emplace_back([&s, &readings, &sources, &mutex, &ends, i] {
      auto done = copy(s, *readings[i], sources[i].prefix, mutex, true);
      if (!done.ok()) ends[i] = done.status();
    });
  for (std::thread& t : threads) t.join();
  for (const Status& e : ends)
    if (!e.ok()) return e;
  return {};
}

std::vector<std::string> containers_of(const Node& pod) {
  std::vector<std::string> out;
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"})
    for (const Node& c : pod["spec"][list].items()) out.push_back(c["name"].str());
  return out;
}

// logs says in which namespace it looked.
Status not_found_in(Session& s, const Status& status) {
  std::string text = status.message();
  if (!status.is(Reason::NotFound) || !text.starts_with("E")) return status;
  text[0] = 'e';
  auto ns = s.ns();
  return Status(status.reason(), text + " in namespace " + json::quoted(ns.ok() ? *ns : ""));
}

Result<> logs(Session& s) {
  const Flags& f = s.flags;
  bool by_selector = f.changed("selector");
  if (f.args.empty() && !by_selector && !f.changed("filename"))
    return usage("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command\nSee 'kubectl logs -h' for help and examples");
  if (by_selector && !f.args.empty()) return usage("only a selector (-l) or a POD name is allowed\nSee 'kubectl logs -h' for help and examples");
  if (f.args.size() > 2) return usage("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command\nSee 'kubectl logs -h' for help and examples");
  if (f.changed("since") && f.changed("since-time")) return usage("at most one of `sinceTime` or `sinceSeconds` may be specified");
  if (f.args.size() == 2 && f.changed("container")) return usage("only one of -c or an inline [CONTAINER] arg is allowed");
  if (f.number("tail") < -1) return usage("--tail must be greater than or equal to -1");
  if (f.changed("limit-bytes") && f.number("limit-bytes") < 1) return usage("--limit-bytes must be greater than 0");
  if (f.changed("since-time") && !parse_rfc3339(f.text("since-time"))) {
    std::string text = f.text("since-time");
    return usage("parsing time " + json::quoted(text) + " as \"2006-01-02T15:04:05Z07:00\": cannot parse " + json::quoted(text) + " as \"2006\"");
  }
  std::vector<Target> pods;
  if (by_selector) {
    TRY(std::string ns, s.ns());
    TRY(Mapping m, s.mapping("pods"));
    TRY(auto objects, list_objects(s, m, ns, f.text("selector")));
    for (Node& o : objects) {
      std::string name = o.path("metadata.name").str();
      pods.push_back({m, ns, name, std::move(o), ""});
    }
    if (pods.empty()) {
      s.err("No resources found in " + ns + " namespace.\n");
      return {};
    }
  } else if (f.on("all-pods") && f.args[0].find('/') != std::string::npos) {
    TRY(auto targets, choose_targets(s, {}));
    TRY(pods, pods_of(s, targets.at(0)));
  } else {
    auto pod = one_pod(s, f.args[0]);
    if (!pod.ok()) return not_found_in(s, pod.status());
    pods.push_back(std::move(pod).value());
  }
  bool prefix = f.on("prefix") || f.on("all-pods");
  std::vector<Source> sources;
  for (Target& p : pods) {
    std::vector<std::string> names;
    if (f.on("all-containers")) {
      names = containers_of(p.object);
    } else {
      std::string wanted = f.args.size() > 1 ? f.args[1] : f.text("container");
      if (wanted.empty()) {
        TRY(wanted, default_container(s, p.object, false));
      } else if (auto all = containers_of(p.object); std::find(all.begin(), all.end(), wanted) == all.end()) {
        return usage("container " + wanted + " is not valid for pod " + p.name);
      }
      names.push_back(wanted);
    }
    for (const std::string& n : names) sources.push_back({p, n, prefix ? "[pod/" + p.name + "/" + n + "] " : ""});
  }
  if (f.on("follow") && sources.size() > 1) {
    if (sources.size() > static_cast<size_t>(f.number("max-log-requests")))
      return usage("you are attempting to follow " + std::to_string(sources.size()) + " log streams, but maximum allowed concurrency is " + f.text("max-log-requests") + ", use --max-log-requests to increase the limit");
    return follow_all(s, sources);
  }
  std::mutex mutex;
  for (const Source& one : sources) {
    auto done = one_log(s, one, f.on("follow"), prefix, mutex);
    if (done.ok()) continue;
    if (!f.on("ignore-errors")) return done;
    std::string text = done.status().message();
    if (size_t colon = text.find("): "); text.starts_with("Error from server (") && colon != std::string::npos) text = text.substr(colon + 3);
    s.out("error: " + text + "\n");
  }
  return {};
}

}  // namespace

Result<> copy_log(Session& s, const Target& pod, const std::string& container, const std::string& prefix, bool follow) {
  std::mutex mutex;
  TRY(auto reading, s.open(with_query(pod.url("log"), {{"container", container}, {"follow", follow ? "true" : ""}}), "application/json, */*"));
  return copy(s, *reading, prefix, mutex, !prefix.empty());
}

Result<std::string> default_container(Session& s, const Node& pod, bool quiet) {
  const Node& wanted = pod.path("metadata.annotations")["kubectl.kubernetes.io/default-container"];
  const auto& list = pod.path("spec.containers").items();
  if (list.empty()) return usage("pod " + pod.path("metadata.name").str() + " does not have any containers");
  for (const Node& c : list)
    if (wanted.is_string() && c["name"] == wanted) return wanted.str();
  std::string first = list[0]["name"].str();
  if (list.size() > 1 && !quiet) {
    std::vector<std::string> names;
    for (const Node& c : list) names.push_back(c["name"].str());
    for (const Node& c : pod.path("spec.initContainers").items()) names.push_back(c["name"].str() + " (init)");
    s.err("Defaulted container \"" + first + "\" out of: " + join(names, ", ") + "\n");
  }
  return first;
}

std::string selector_text(const Node& object) {
  const Node& selector = object.path("spec.selector");
  bool plain = !selector.find("matchLabels") && !selector.find("matchExpressions");
  std::vector<std::string> parts;
  for (const auto& m : (plain ? selector : selector["matchLabels"]).members()) parts.push_back(m.first + "=" + m.second.str());
  for (const Node& e : selector["matchExpressions"].items()) {
    std::vector<std::string> values;
    for (const Node& v : e["values"].items()) values.push_back(v.str());
    std::string op = e["operator"].str(), key = e["key"].str();
    if (op == "In") parts.push_back(key + " in (" + join(values, ",") + ")");
    if (op == "NotIn") parts.push_back(key + " notin (" + join(values, ",") + ")");
    if (op == "Exists") parts.push_back(key);
    if (op == "DoesNotExist") parts.push_back("!" + key);
  }
  return join(parts, ",");
}

Result<std::vector<Target>> pods_of(Session& s, const Target& t) {
  if (t.mapping.kind == "Pod") return std::vector<Target>{t};
  std::string selector = selector_text(t.object);
  if (selector.empty()) return usage("cannot get the logs from *v1." + t.mapping.kind + ": selector for *v1." + t.mapping.kind + " not implemented");
  TRY(Mapping m, s.mapping("pods"));
  TRY(auto objects, list_objects(s, m, t.ns, selector));
  auto rank = [](const Node& p) {
    const Node& phase = p.path("status.phase");
    bool ready = false;
    for (const Node& c : p.path("status.conditions").items()) ready = ready || (c["type"].str() == "Ready" && c["status"].str() == "True");
    return p.path("spec.nodeName").empty() ? 4 : ready ? 0 : phase.str() == "Running" ? 1 : phase.str() == "Pending" ? 2 : 3;
  };
  std::stable_sort(objects.begin(), objects.end(), [&rank](const Node& a, const Node& b) { return rank(a) < rank(b); });
  std::vector<Target> out;
  for (Node& o : objects) {
    std::string name = o.path("metadata.name").str();
    out.push_back({m, t.ns, name, std::move(o), ""});
  }
  return out;
}

Result<Target> one_pod(Session& s, const std::string& word, Telling telling) {
  std::vector<std::string> words = {word.find('/') == std::string::npos ? "pod/" + word : word};
  TRY(auto targets, targets_from_words(s, words));
  Target t = targets.at(0);
  TRY(t.object, s.get(t.url()));
  if (t.mapping.kind == "Pod") return t;
  for (int waited = 0;; ++waited) {
    TRY(auto pods, pods_of(s, t));
    if (pods.size() > 1 && telling == Telling::Loud) s.err("Found " + std::to_string(pods.size()) + " pods, using pod/" + pods[0].name + "\n");
    if (!pods.empty()) return pods[0];
    int64_t limit = std::max<int64_t>(1, s.flags.time("pod-running-timeout").count() / 1'000'000);
    if (waited >= limit) return usage("timed out waiting for the condition");
    std::this_thread::sleep_for(seconds(1));
  }
}

std::vector<Command> log_commands() {
  return {{"logs", "Troubleshooting and Debugging Commands", "Print the logs for a container in a pod", "[-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]",
           {{"follow", 'f', FlagKind::Bool, "false", "Stream the log as it grows"},
            {"previous", 'p', FlagKind::Bool, "false", "The container's run before this one"},
            {"container", 'c', FlagKind::Text, "", "Container to print"},
            {"tail", 0, FlagKind::Number, "-1", "Only the last lines (10 with a selector)"},
            {"since", 0, FlagKind::Time, "0s", "Only what is newer than this duration"},
            {"since-time", 0, FlagKind::Text, "", "Only what is newer than this RFC 3339 time"},
            {"timestamps", 0, FlagKind::Bool, "false", "Time before each line"},
            {"all-containers", 0, FlagKind::Bool, "false", "All containers of the pod"},
            {"all-pods", 0, FlagKind::Bool, "false", "All pods of the workload"},
            {"selector", 'l', FlagKind::Text, "", "Label selector of the pods"},
            {"prefix", 0, FlagKind::Bool, "false", "Name of pod and container before each line"},
            {"limit-bytes", 0, FlagKind::Number, "0", "At most this many bytes"},
            {"max-log-requests", 0, FlagKind::Number, "5", "Streams to follow at once"},
            {"ignore-errors", 0, FlagKind::Bool, "false", "Go on after an error"},
            {"insecure-skip-tls-verify-backend", 0, FlagKind::Bool, "false", "Accepted"},
            {"pod-running-timeout", 0, FlagKind::Time, "20s", "How long to wait for a pod"}},
           logs}};
}

}  // namespace k8lite::kubectl
