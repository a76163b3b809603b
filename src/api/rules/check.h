// What every validator writes with: the place it stands at (a field path as Kubernetes prints it), the causes it adds,
// and the text formats of apimachinery's util/validation. A validator is a row of embedded/rules/*.txt or, where fields
// depend on each other, a Hook. Pure; one Check lives for one object.
#pragma once
#include <initializer_list>
#include <map>
#include <span>

#include "api/kinds.h"

namespace k8lite::api::rules {

using json::Node;
using Causes = std::vector<Cause>;
using Texts = std::vector<std::string>;

// Text formats; the names in brackets are those of the rule files.
enum class Format : unsigned char {
  Label,       // [label] RFC 1123 label
  Subdomain,   // [subdomain] RFC 1123 subdomain
  Label1035,   // [label1035] RFC 1035 label
  Qualified,   // [qualified] prefix/name
  LabelValue,  // [labelvalue]
  ConfigKey,   // [configkey] key of a ConfigMap or Secret
  EnvName,     // [envname]
  PortName,    // [portname]
  Ip,
  Cidr,            // [ip] [cidr]
  HttpHeader,      // [header]
  PathSegment,     // [segment] stands in a URL's path
  RelativePath,    // [relative] not absolute, no '..'
  LocalPath,       // [local] relative and not starting with '..'
  NoBacksteps,     // [nobacksteps]
  AbsolutePath,    // [absolute]
  FullyQualified,  // [domain3] a domain of at least three parts
  DomainPath,      // [domainpath] example.com/path
  CIdentifier,     // [cident]
  SubdomainUnderscore,
};
// Everything wrong with the text, worded as Kubernetes words it; nothing when it is fine.
Texts mistakes(Format format, std::string_view text);
inline bool fits(Format format, std::string_view text) { return mistakes(format, text).empty(); }
std::string range_words(int64_t low, int64_t high);  // "must be between 1 and 65535, inclusive"

class Check {
 public:
  Check(const KindRow& row, const Node& object, const Node* before, Causes& out, std::string_view part = {})
      : kind(row), root(object), old(before), subresource(part), causes(out) {}

  const KindRow& kind;
  const Node& root;
  const Node* old;               // null on create
  std::string_view subresource;  // "", "ephemeralcontainers", "resize"
  Causes& causes;
  std::string path;                                 // of the value being looked at; "" is the object
  std::map<std::string_view, const Node*> volumes;  // of `pod` by name; a StatefulSet's claim templates too
  const Node* pod = nullptr;                        // the pod spec around, for what containers share

  // The path of a child: "name", "a.b", "[3]", "[key]"; "" is the value itself.
  std::string at(std::string_view child) const;

  void required(std::string_view child, std::string_view why = {});
  void invalid(std::string_view child, const Node& value, std::string_view why);
  void forbidden(std::string_view child, std::string_view why);
  void duplicate(std::string_view child, const Node& value);
  void absent(std::string_view child, const Node& value, std::string_view why = {});
  void unsupported(std::string_view child, const Node& value,
                   std::string_view supported);  // "A,B": in the order they are printed
  void too_long(std::string_view child, size_t limit);
  void too_many(std::string_view child, size_t count, size_t limit);

  // The same with a look at the value; an absent value is never wrong here.
  bool format(std::string_view child, const Node& value, Format format);  // false, and causes, when it is
  void one_of(std::string_view child, const Node& value, std::string_view supported);
  void within(std::string_view child, const Node& value, int64_t low, int64_t high);
  void at_least_zero(std::string_view child, const Node& value);
  void int_or_percent(std::string_view child, const Node& value);               // not negative
  void unchanged(std::string_view child, const Node& now, const Node& before);  // "field is immutable"
  void labels(std::string_view child, const Node& map);
  void annotations(std::string_view child, const Node& map);
};

// Stands one step deeper for as long as it lives.
class Step {
 public:
  Step(Check& c, std::string_view child) : check_(c), size_(c.path.size()) { c.path = c.at(child); }
  ~Step() { check_.path.resize(size_); }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

 private:
  Check& check_;
  size_t size_;
};

std::string item(std::string_view list, size_t i);               // "ports[2]"
std::string key_of(std::string_view map, std::string_view key);  // "limits[cpu]"
bool listed(std::string_view text, std::string_view comma_separated);
// Is it there and not empty ("", {}, [])?
inline bool given(const Node& n) { return n.exists() && !n.empty(); }

// A Missing node: what stands where nothing stands.
inline const Node& nothing() { return Node().get(""); }

// Rules that tables cannot say, by type. Called with the object of that type and what stood in its place before
// (Missing: nothing).
using Hook = void (*)(Check& c, const Node& now, const Node& before);
struct TypeHook {
  std::string_view type;
  Hook hook;
};
using Hooks = std::span<const TypeHook>;
Hooks pod_hooks();
Hooks container_hooks();
Hooks scheduling_hooks();
Hooks workload_hooks();
Hooks job_hooks();
Hooks service_hooks();
Hooks network_hooks();
Hooks storage_hooks();
Hooks core_hooks();
Hooks quota_hooks();
Hooks policy_hooks();
Hooks admission_hooks();
Hooks flow_hooks();
Hooks device_hooks();

// Names, labels, annotations, owners, finalizers: every kind, custom ones too.
void check_metadata(Check& c);
// Walks the object along its type: the rule files' checks, the hooks, required texts.
void check_fields(Check& c);
// status.cpp: an update of the status alone.
void check_status(Check& c);
// The same for one value inside, where only a hook knows that its turn is now.
void check_type(Check& c, std::string_view type, std::string_view child, const Node& value);

// A metav1.LabelSelector that must select the labels of a pod template, and "empty ... is invalid" words for one that
// selects everything.
bool selects(const Node& selector, const Node& labels);
// Names and amounts of resources (limits, quotas, capacities).
enum class ResourceUse : unsigned char { Any, Container, Pod, Quota };
void check_resource(Check& c, std::string_view child, std::string_view name, const Node& amount, ResourceUse use);
void check_resource_name(Check& c, std::string_view child, std::string_view name, ResourceUse use);
void check_resource_amount(Check& c, std::string_view child, std::string_view name, const Node& amount);
bool overcommits(std::string_view resource_name);
void check_taints(Check& c, std::string_view child, const Node& taints);
void check_pod_update(Check& c);  // the pod's own, by c.subresource

}  // namespace k8lite::api::rules
