// Names and amounts of resources: which names stand alone, which need a domain, which count whole things. (Kubernetes
// documentation, "Resource units in Kubernetes", "Extended resources".)
#include "api/rules/check.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

constexpr std::string_view kCounted =
    "pods,resourcequotas,services,replicationcontrollers,secrets,configmaps,persistentvolumeclaims,services.nodeports,"
    "services.loadbalancers";
constexpr std::string_view kQuota =
    "cpu,memory,ephemeral-storage,requests.cpu,requests.memory,requests.storage,requests.ephemeral-storage,limits.cpu,"
    "limits.memory,limits.ephemeral-storage,pods,resourcequotas,services,"
    "replicationcontrollers,secrets,persistentvolumeclaims,configmaps,services.nodeports,services.loadbalancers";

bool native(std::string_view name) { return name.find('/') == name.npos || name.find("kubernetes.io/") != name.npos; }
bool huge(std::string_view name) { return name.starts_with("hugepages-"); }
bool extended(std::string_view name) {
  return !native(name) && !name.starts_with("requests.") && fits(Format::Qualified, "requests." + std::string(name));
}
bool standard(std::string_view name) {
  return listed(name, kQuota) || name == "storage" || huge(name) || name.starts_with("requests.hugepages-");
}

}  // namespace

bool overcommits(std::string_view name) { return native(name) && !huge(name); }

void check_resource_name(Check& c, std::string_view child, std::string_view name, ResourceUse use) {
  if (!c.format(child, Node(name), Format::Qualified)) return;
  bool bare = name.find('/') == name.npos;
  const Node shown(name);
  if (bare && !standard(name)) c.invalid(child, shown, "must be a standard resource type or fully qualified");
  switch (use) {
    case ResourceUse::Container:
      if (bare && name != "cpu" && name != "memory" && name != "ephemeral-storage" && !huge(name))
        c.invalid(child, shown, "must be a standard resource for containers");
      if (!bare && !native(name) && !extended(name))
        c.invalid(child, shown, "doesn't follow extended resource name standard");
      return;
    case ResourceUse::Pod:
      if (name != "cpu" && name != "memory" && !huge(name)) c.unsupported(child, shown, "cpu,hugepages-,memory");
      return;
    case ResourceUse::Quota:
      if (bare && !listed(name, kQuota) && !huge(name) && !name.starts_with("requests.hugepages-"))
        c.invalid(child, shown, "must be a standard resource for quota");
      return;
    case ResourceUse::Any:
      return;
  }
}

void check_resource_amount(Check& c, std::string_view child, std::string_view name, const Node& amount) {
  auto q = Quantity::parse(amount.is_string() ? amount.str() : amount.dump());
  if (!q) return;  // decoding has said so
  if (q->is_negative()) c.invalid(child, amount, "must be greater than or equal to 0");
  bool whole = Quantity::of(q->value()) == *q;
  if (!whole && (listed(name, kCounted) || extended(name))) c.invalid(child, amount, "must be an integer");
  if (!huge(name)) return;
  auto size = Quantity::parse(name.substr(10));
  if (size && !size->is_zero() && q->value() % size->value() != 0)
    c.invalid(child, amount, amount.str() + " is not positive integer multiple of " + std::string(name));
}

void check_resource(Check& c, std::string_view child, std::string_view name, const Node& amount, ResourceUse use) {
  check_resource_name(c, child, name, use);
  check_resource_amount(c, child, name, amount);
}

}  // namespace k8lite::api::rules
