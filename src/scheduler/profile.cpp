#include "scheduler/profile.h"

#include <algorithm>

#include "base/strings.h"
#include "base/yaml.h"

namespace k8lite::scheduler {
namespace {

using json::Node;

enum : unsigned {
  kFilterPoint = 1,
  kScorePoint = 2,
  kPostFilterPoint = 4,
  kElsewhere = 8
};  // the last: part of every scheduler here

struct Known {
  std::string_view name;
  unsigned points;
  int64_t weight;
};
// In the order of Plugin.
constexpr Known kPlugins[] = {
    {"NodeUnschedulable", kFilterPoint, 0},
    {"NodeName", kFilterPoint, 0},
    {"TaintToleration", kFilterPoint | kScorePoint, 3},
    {"NodeAffinity", kFilterPoint | kScorePoint, 2},
    {"NodePorts", kFilterPoint, 0},
    {"NodeResourcesFit", kFilterPoint | kScorePoint, 1},
    {"VolumeRestrictions", kFilterPoint, 0},
    {"VolumeBinding", kFilterPoint, 0},
    {"PodTopologySpread", kFilterPoint | kScorePoint, 2},
    {"InterPodAffinity", kFilterPoint | kScorePoint, 2},
    {"NodeResourcesBalancedAllocation", kScorePoint, 1},
    {"ImageLocality", kScorePoint, 1},
    {"DefaultPreemption", kPostFilterPoint, 0},
};
static_assert(std::size(kPlugins) == kPluginCount);
constexpr std::string_view kAlways[] = {"PrioritySort", "DefaultBinder", "SchedulingGates"};
// Extension points of the framework, and which of ours they are.
struct Point {
  std::string_view name;
  unsigned points;
};
constexpr Point kPoints[] = {{"multiPoint", kFilterPoint | kScorePoint | kPostFilterPoint},
                             {"preEnqueue", kElsewhere},
                             {"queueSort", kElsewhere},
                             {"preFilter", kElsewhere},
                             {"filter", kFilterPoint},
                             {"postFilter", kPostFilterPoint},
                             {"preScore", kElsewhere},
                             {"score", kScorePoint},
                             {"reserve", kElsewhere},
                             {"permit", kElsewhere},
                             {"preBind", kElsewhere},
                             {"bind", kElsewhere},
                             {"postBind", kElsewhere}};

// Where we are in the file, for errors.
struct At {
  std::string path;
  Status wrong(const std::string& why) const { return bad_request(path + ": " + why); }
  At in(std::string_view key) const { return {path + "." + std::string(key)}; }
  At in(size_t i) const { return {path + "[" + std::to_string(i) + "]"}; }
};

Result<> only(const At& at, const Node& object, std::initializer_list<std::string_view> known) {
  if (!object.exists() || object.is_null()) return {};
  if (!object.is_object()) return at.wrong("is no object");
  for (const auto& [key, value] : object.members())
    if (std::find(known.begin(), known.end(), key) == known.end())
      return at.wrong("unknown field " + json::quoted(key));
  return {};
}

Result<int64_t> number(const At& at, const Node& n, int64_t otherwise, int64_t least, int64_t most) {
  if (!n.exists() || n.is_null()) return otherwise;
  if (!n.is_integer() || n.int_or(0) < least || n.int_or(0) > most)
    return at.wrong("must be a number from " + std::to_string(least) + " to " + std::to_string(most));
  return n.int_or(0);
}

Result<ResourceWeights> resources(const At& at, const Node& list, ResourceWeights otherwise) {
  if (!list.exists() || list.empty()) return otherwise;
  ResourceWeights out;
  for (size_t i = 0; i < list.items().size(); ++i) {
    const Node& r = list.items()[i];
    TRY_OK(only(at.in(i), r, {"name", "weight"}));
    TRY(int64_t weight, number(at.in(i).in("weight"), r.get("weight"), 1, 1, 100));
    if (r.get("name").str().empty()) return at.in(i).wrong("name is missing");
    out.emplace_back(r.get("name").str(), weight);
  }
  return out;
}

Result<> fit_arguments(const At& at, const Node& a, Profile& p) {
  TRY_OK(only(at, a, {"apiVersion", "kind", "ignoredResources", "ignoredResourceGroups", "scoringStrategy"}));
  for (const Node& n : a.get("ignoredResources").items()) p.ignored_resources.insert(n.str());
  for (const Node& n : a.get("ignoredResourceGroups").items()) p.ignored_groups.insert(n.str());
  const Node& s = a.get("scoringStrategy");
  At here = at.in("scoringStrategy");
  TRY_OK(only(here, s, {"type", "resources", "requestedToCapacityRatio"}));
  TRY(p.resources, resources(here.in("resources"), s.get("resources"), p.resources));
  std::string type = s.get("type").str_or("LeastAllocated");
  if (type == "LeastAllocated")
    p.strategy = Strategy::LeastAllocated;
  else if (type == "MostAllocated")
    p.strategy = Strategy::MostAllocated;
  else if (type == "RequestedToCapacityRatio")
    p.strategy = Strategy::RequestedToCapacityRatio;
  else
    return here.in("type").wrong("unknown strategy " + json::quoted(type));
  const Node& shape = s.path("requestedToCapacityRatio.shape");
  here = here.in("requestedToCapacityRatio").in("shape");
  for (size_t i = 0; i < shape.items().size(); ++i) {
    const Node& point = shape.items()[i];
    TRY_OK(only(here.in(i), point, {"utilization", "score"}));
    TRY(int64_t utilization, number(here.in(i).in("utilization"), point.get("utilization"), 0, 0, 100));
    TRY(int64_t score, number(here.in(i).in("score"), point.get("score"), 0, 0, 10));
    if (!p.shape.empty() && utilization <= p.shape.back().utilization)
      return here.in(i).wrong("utilization values must be sorted in increasing order");
    p.shape.push_back({utilization, score});
  }
  if (p.strategy == Strategy::RequestedToCapacityRatio && p.shape.empty())
    return here.wrong("at least one point must be specified");
  return {};
}

Result<> spread_arguments(const At& at, const Node& a, Profile& p) {
  TRY_OK(only(at, a, {"apiVersion", "kind", "defaultConstraints", "defaultingType"}));
  std::string type = a.get("defaultingType").str_or("System");
  const Node& list = a.get("defaultConstraints");
  if (type != "System" && type != "List")
    return at.in("defaultingType").wrong("must be System or List, not " + json::quoted(type));
  if (type == "System" && list.size())
    return at.in("defaultConstraints").wrong("when .defaultingType is System, it must be empty");
  p.system_defaults = type == "System";
  for (size_t i = 0; i < list.items().size(); ++i) {
    const Node& c = list.items()[i];
    At here = at.in("defaultConstraints").in(i);
    TRY_OK(only(here, c, {"maxSkew", "topologyKey", "whenUnsatisfiable"}));
    TRY(int64_t skew, number(here.in("maxSkew"), c.get("maxSkew"), 0, 1, INT32_MAX));
    std::string when = c.get("whenUnsatisfiable").str();
    if (c.get("topologyKey").str().empty()) return here.in("topologyKey").wrong("can not be empty");
    if (when != "DoNotSchedule" && when != "ScheduleAnyway")
      return here.in("whenUnsatisfiable").wrong("must be DoNotSchedule or ScheduleAnyway");
    p.constraints.push_back({c.get("topologyKey").str(), skew, when == "DoNotSchedule"});
  }
  return {};
}

Result<> other_arguments(Plugin plugin, const At& at, const Node& a, Profile& p) {
  switch (plugin) {
    case kNodeAffinity:
      TRY_OK(only(at, a, {"apiVersion", "kind", "addedAffinity"}));
      TRY_OK(
          only(at.in("addedAffinity"), a.get("addedAffinity"),
               {"requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"}));
      if (a.get("addedAffinity").is_object()) p.added_affinity = json::Doc::from(a.get("addedAffinity"));
      return {};
    case kBalancedAllocation: {
      TRY_OK(only(at, a, {"apiVersion", "kind", "resources"}));
      TRY(p.balanced, resources(at.in("resources"), a.get("resources"), p.balanced));
      return {};
    }
    case kInterPodAffinity: {
      TRY_OK(only(at, a, {"apiVersion", "kind", "hardPodAffinityWeight", "ignorePreferredTermsOfExistingPods"}));
      TRY(p.hard_affinity_weight, number(at.in("hardPodAffinityWeight"), a.get("hardPodAffinityWeight"), 1, 0, 100));
      p.ignore_preferred_of_existing = a.get("ignorePreferredTermsOfExistingPods").bool_or(false);
      return {};
    }
    case kDefaultPreemption: {
      TRY_OK(only(at, a, {"apiVersion", "kind", "minCandidateNodesPercentage", "minCandidateNodesAbsolute"}));
      TRY(p.candidate_percent,
          number(at.in("minCandidateNodesPercentage"), a.get("minCandidateNodesPercentage"), 10, 0, 100));
      TRY(p.candidates,
          number(at.in("minCandidateNodesAbsolute"), a.get("minCandidateNodesAbsolute"), 100, 0, INT32_MAX));
      return {};
    }
    default:
      return at.wrong("this plugin takes no arguments here");
  }
}

Result<Plugin> plugin_named(const At& at, const std::string& name) {
  for (size_t i = 0; i < kPluginCount; ++i)
    if (kPlugins[i].name == name) return static_cast<Plugin>(i);
  return at.wrong("plugin " + json::quoted(name) + " is not known here");
}

bool is_always(const std::string& name) {
  return std::find(std::begin(kAlways), std::end(kAlways), name) != std::end(kAlways);
}

void turn(Profile& p, size_t plugin, unsigned points, bool on, int64_t weight) {
  const Known& k = kPlugins[plugin];
  if (k.points & points & (kFilterPoint | kPostFilterPoint))
    p.filters = on ? p.filters | 1u << plugin : p.filters & ~(1u << plugin);
  if (k.points & points & kScorePoint) p.weights[plugin] = !on ? 0 : weight ? weight : std::max<int64_t>(k.weight, 1);
}

Result<> plugin_set(const At& at, const Node& set, unsigned points, Profile& p) {
  TRY_OK(only(at, set, {"enabled", "disabled"}));
  for (bool on : {false, true}) {
    const Node& list = set.get(on ? "enabled" : "disabled");
    for (size_t i = 0; i < list.items().size(); ++i) {
      const Node& one = list.items()[i];
      At here = at.in(on ? "enabled" : "disabled").in(i);
      TRY_OK(only(here, one, {"name", "weight"}));
      const std::string& name = one.get("name").str();
      TRY(int64_t weight, number(here.in("weight"), one.get("weight"), 0, 0, INT32_MAX / 100));
      if (!on && name == "*") {
        for (size_t k = 0; k < kPluginCount; ++k) turn(p, k, points, false, 0);
      } else if (is_always(name)) {
        if (!on) return here.wrong("plugin " + json::quoted(name) + " cannot be disabled here");
      } else {
        TRY(Plugin plugin, plugin_named(here, name));
        turn(p, plugin, points, on, weight);
      }
    }
  }
  return {};
}

Result<Profile> read_profile(const At& at, const Node& n) {
  TRY_OK(only(at, n, {"schedulerName", "percentageOfNodesToScore", "plugins", "pluginConfig"}));
  Profile p;
  p.name = n.get("schedulerName").str_or(p.name);
  TRY(p.percentage_of_nodes, number(at.in("percentageOfNodesToScore"), n.get("percentageOfNodesToScore"), 0, 0, 100));
  // What is said of single points counts more than what is said of all.
  const Node& plugins = n.get("plugins");
  for (const auto& [name, value] : plugins.members())
    if (std::none_of(std::begin(kPoints), std::end(kPoints), [&name = name](const Point& x) { return x.name == name; }))
      return at.in("plugins").wrong("unknown extension point " + json::quoted(name));
  for (const Point& point : kPoints)
    TRY_OK(plugin_set(at.in("plugins").in(point.name), plugins.get(point.name), point.points, p));
  const Node& list = n.get("pluginConfig");
  for (size_t i = 0; i < list.items().size(); ++i) {
    const Node& c = list.items()[i];
    At here = at.in("pluginConfig").in(i);
    TRY_OK(only(here, c, {"name", "args"}));
    TRY(Plugin plugin, plugin_named(here.in("name"), c.get("name").str()));
    const Node& a = c.get("args");
    here = here.in("args");
    if (plugin == kNodeResourcesFit)
      TRY_OK(fit_arguments(here, a, p));
    else if (plugin == kPodTopologySpread)
      TRY_OK(spread_arguments(here, a, p));
    else if (plugin == kVolumeBinding)
      TRY_OK(only(here, a, {"apiVersion", "kind", "bindTimeoutSeconds"}));
    else
      TRY_OK(other_arguments(plugin, here, a, p));
  }
  return p;
}

}  // namespace

std::string_view plugin_name(Plugin p) { return kPlugins[p].name; }

Profile::Profile() {
  for (size_t i = 0; i < kPluginCount; ++i) weights[i] = kPlugins[i].weight;
}

Result<Configuration> read_configuration(std::string_view text, std::string_view name) {
  TRY(auto documents, parse_yaml(text, name));
  At at{std::string(name)};
  if (documents.size() != 1) return at.wrong("must hold one KubeSchedulerConfiguration");
  const Node& n = documents[0].value;
  if (n.get("apiVersion").str() != "kubescheduler.config.k8s.io/v1" ||
      n.get("kind").str() != "KubeSchedulerConfiguration")
    return at.wrong("must be a KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1");
  // Those of one process on one machine have no meaning here: there is one scheduler, in the server, which never asks
  // over the network.
  TRY_OK(only(at, n,
              {"apiVersion", "kind", "profiles", "percentageOfNodesToScore", "podInitialBackoffSeconds",
               "podMaxBackoffSeconds", "parallelism", "leaderElection", "clientConnection", "enableProfiling",
               "enableContentionProfiling", "delayCacheUntilActive", "extenders"}));
  if (n.get("extenders").size()) return at.in("extenders").wrong("extenders are not supported");
  Configuration out;
  TRY(int64_t percent, number(at.in("percentageOfNodesToScore"), n.get("percentageOfNodesToScore"), 0, 0, 100));
  TRY(int64_t first, number(at.in("podInitialBackoffSeconds"), n.get("podInitialBackoffSeconds"), 1, 1, INT32_MAX));
  TRY(int64_t longest, number(at.in("podMaxBackoffSeconds"), n.get("podMaxBackoffSeconds"), 10, 1, INT32_MAX));
  if (longest < first)
    return at.in("podMaxBackoffSeconds").wrong("must be greater than or equal to podInitialBackoffSeconds");
  out.first_backoff = seconds(first);
  out.longest_backoff = seconds(longest);
  const Node& list = n.get("profiles");
  if (list.size()) out.profiles.clear();
  for (size_t i = 0; i < list.items().size(); ++i) {
    TRY(Profile p, read_profile(at.in("profiles").in(i), list.items()[i]));
    for (const Profile& before : out.profiles)
      if (before.name == p.name)
        return at.in("profiles").in(i).wrong("duplicate schedulerName " + json::quoted(p.name));
    out.profiles.push_back(std::move(p));
  }
  for (Profile& p : out.profiles)
    if (p.percentage_of_nodes == 0) p.percentage_of_nodes = percent;
  return out;
}

Result<Configuration> configuration_of(const std::vector<std::string>& arguments,
                                       Result<std::string> (*read_file)(const std::string& path)) {
  Configuration out;
  for (const std::string& argument : arguments) {
    size_t equal = argument.find('=');
    std::string key = argument.substr(0, equal), value = equal == argument.npos ? "" : argument.substr(equal + 1);
    if (key == "config") {
      TRY(std::string text, read_file(value));
      TRY(out, read_configuration(text, value));
    } else if (key != "v") {  // how much is logged is the whole server's matter
      return bad_request("kube-scheduler-arg: unknown argument " + json::quoted(key));
    }
  }
  return out;
}

}  // namespace k8lite::scheduler
