#include "kubelet/kubelet_args.h"

#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::kubelet {
namespace {

Result<int64_t> number(std::string_view text, int64_t least) {
  auto n = parse_int(text);
  if (!n || *n < least)
    return bad_request("\"" + std::string(text) + "\" is not a number from " + std::to_string(least));
  return *n;
}

Result<Duration> duration(std::string_view text) {
  auto d = parse_go_duration(text);
  if (!d || *d < Duration{0}) return bad_request("\"" + std::string(text) + "\" is not a duration such as 1m30s");
  return *d;
}

Result<> reserve(std::string_view text, KubeletArgs& out) {
  for (auto part : split(text, ',')) {
    size_t equals = part.find('=');
    auto q = equals == part.npos ? std::nullopt : Quantity::parse(part.substr(equals + 1));
    if (!q || q->is_negative()) return bad_request("\"" + std::string(part) + "\" is not RESOURCE=QUANTITY");
    std::string_view name = part.substr(0, equals);
    if (name == "cpu")
      out.reserved_cpu_milli += q->milli_value();
    else if (name == "memory")
      out.reserved_memory += q->value();
    else if (name == "ephemeral-storage")
      out.reserved_storage += q->value();
  }
  return {};
}

enum class Flag { Manifests, Hard, Soft, SoftGrace, Reclaim, MaxGrace, Transition, MaxPods, Pids, Reserved, Shutdown, ShutdownCritical, LogSize, LogFiles };
struct Row {
  std::string_view name;
  Flag flag;
};
constexpr Row kRows[] = {{"pod-manifest-path", Flag::Manifests},
                         {"eviction-hard", Flag::Hard},
                         {"eviction-soft", Flag::Soft},
                         {"eviction-soft-grace-period", Flag::SoftGrace},
                         {"eviction-minimum-reclaim", Flag::Reclaim},
                         {"eviction-max-pod-grace-period", Flag::MaxGrace},
                         {"eviction-pressure-transition-period", Flag::Transition},
                         {"max-pods", Flag::MaxPods},
                         {"pod-max-pids", Flag::Pids},
                         {"shutdown-grace-period", Flag::Shutdown},
                         {"shutdown-grace-period-critical-pods", Flag::ShutdownCritical},
                         {"container-log-max-size", Flag::LogSize},
                         {"container-log-max-files", Flag::LogFiles},
                         {"kube-reserved", Flag::Reserved},
                         {"system-reserved", Flag::Reserved}};

Result<> apply(Flag flag, std::string_view value, KubeletArgs& out) {
  int64_t n = 0;
  switch (flag) {
    case Flag::Manifests:
      out.pod_manifest_path = value;
      return {};
    case Flag::Hard:
      return parse_thresholds(value, false, out.eviction);
    case Flag::Soft:
      return parse_thresholds(value, true, out.eviction);
    case Flag::SoftGrace: {
      for (auto part : split(value, ',')) {
        size_t equals = part.find('=');
        if (equals == part.npos) return bad_request("\"" + std::string(part) + "\" is not SIGNAL=DURATION");
        TRY(out.eviction.soft_grace[std::string(part.substr(0, equals))], duration(part.substr(equals + 1)));
      }
      return {};
    }
    case Flag::Reclaim:
      return parse_reclaim(value, out.eviction);
    case Flag::MaxGrace: {
      TRY(out.eviction.max_pod_grace, number(value, 0));
      return {};
    }
    case Flag::Transition: {
      TRY(out.eviction.transition, duration(value));
      return {};
    }
    case Flag::MaxPods: {
      TRY(n, number(value, 1));
      out.max_pods = static_cast<int>(n);
      return {};
    }
    case Flag::Pids: {
      TRY(out.pod_pids_limit, number(value, -1));
      return {};
    }
    case Flag::Shutdown: {
      TRY(out.shutdown_grace, duration(value));
      return {};
    }
    case Flag::ShutdownCritical: {
      TRY(out.shutdown_grace_critical, duration(value));
      return {};
    }
    case Flag::LogSize: {
      auto q = Quantity::parse(value);
      if (!q || q->value() <= 0) return bad_request("\"" + std::string(value) + "\" is not a size such as 10Mi");
      out.log_bytes = q->value();
      return {};
    }
    case Flag::LogFiles: {
      TRY(out.log_files, number(value, 2));
      return {};
    }
    case Flag::Reserved:
      return reserve(value, out);
  }
  return {};
}

}  // namespace

Result<KubeletArgs> parse_kubelet_args(const std::vector<std::string>& args) {
  KubeletArgs out;
  for (std::string_view arg : args) {
    while (arg.starts_with('-')) arg.remove_prefix(1);
    size_t equals = arg.find('=');
    std::string_view name = arg.substr(0, equals),
                     value = equals == arg.npos ? std::string_view() : arg.substr(equals + 1);
    const Row* row = nullptr;
    for (const Row& r : kRows)
      if (r.name == name) row = &r;
    if (!row) {
      if (name == "image-gc-high-threshold" || name == "image-gc-low-threshold" || name == "minimum-image-ttl-duration") continue;  // image_gc_policy() reads these
      out.unknown.emplace_back(name);
      continue;
    }
    if (auto r = apply(row->flag, value, out); !r.ok()) return r.status().within("kubelet-arg " + std::string(name));
  }
  if (out.shutdown_grace_critical > out.shutdown_grace)
    return bad_request("kubelet-arg shutdown-grace-period-critical-pods must be less than or equal to shutdown-grace-period");
  if (out.shutdown_grace > Duration{0} && out.shutdown_grace < seconds(1))
    return bad_request("kubelet-arg shutdown-grace-period must be either zero or otherwise >= 1 sec");
  for (const auto& t : out.eviction.thresholds)
    if (t.soft && !out.eviction.soft_grace.count(std::string(signal_name(t.signal))))
      return bad_request("kubelet-arg eviction-soft: grace period must be specified for the soft eviction threshold " +
                         std::string(signal_name(t.signal)));
  return out;
}

}  // namespace k8lite::kubelet
