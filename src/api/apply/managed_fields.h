// metadata.managedFields: who owns which fields of an object, kept up on every write, and server-side apply on top of it (KEP-555).
// Pure: objects in, objects out; the API server reads, calls these, writes.
#pragma once
#include <functional>

#include "api/apply/typed.h"
#include "base/clock.h"

namespace k8lite::api::apply {

inline constexpr size_t kMaxUpdateManagers = 10;  // more are merged, the oldest first, into "ancient-changes"
inline constexpr size_t kMaxManagerName = 128;    // bytes

// One entry. Two are the same manager's when name, operation and subresource agree and, for updates, the version too.
struct Manager {
  std::string name, operation, api_version, subresource, time;
  FieldSet fields;
  bool applies() const { return operation == "Apply"; }
  bool same(const Manager& o) const {
    return name == o.name && operation == o.operation && subresource == o.subresource && (applies() || api_version == o.api_version);
  }
};
using Managers = std::vector<Manager>;

// BadRequest for entries no server would have written.
Result<Managers> decode_managers(const json::Node& managed_fields);
// Sorted: Apply before Update, then by time and name.
json::Node encode_managers(Managers managers);

struct Writer {
  std::string manager, api_version, subresource;
  Instant now;
};

// Sets the managedFields of `after`, which a create or update by `writer` made of `before` (null on create) and is otherwise ready to
// be stored. The body may carry managedFields of its own: valid ones are taken (not through a subresource), [] or [{}] resets,
// anything else leaves those of `before`. An object without any stays without: it is tracked from its first apply on.
void track_update(const json::Node& before, json::Node& after, const schema::Type& type, const Writer& writer);

// Merges a configuration into the live object ({} when there is none) and gives it to `writer`: fields it applied before and no longer
// names go, unless somebody else owns them. Conflict (with a cause for each field) when it changes fields of others, unless `force`.
// The manager "kubectl" takes over from client-side apply without conflicts what the last-applied annotation says was applied.
// `complete` brings the merged object into the form in which objects are stored (spelling of quantities, defaults, no nulls), before it is
// compared with the live one: what only looks different is no conflict.
using Complete = std::function<Result<>(json::Node& object)>;
Result<json::Node> apply(const json::Node& live, const json::Node& config, const schema::Type& type, const Writer& writer, bool force,
                         const Complete& complete = {});

// Equal but for the times of managedFields: such a write is none.
bool same_but_times(const json::Node& a, const json::Node& b);

// What no manager owns: what names the object, and the server's own of metadata.
const FieldSet& never_owned();
// Merges the oldest updates when there are more than kMaxUpdateManagers.
void cap(Managers& managers);

// What precedes the first '/', at most kMaxManagerName bytes.
std::string manager_of_user_agent(std::string_view user_agent);

}  // namespace k8lite::api::apply
