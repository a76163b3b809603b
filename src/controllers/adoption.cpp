#include "controllers/adoption.h"

#include "api/kinds.h"

namespace k8lite::controllers {

Result<bool> may_adopt(machinery::Client& client, const json::Doc& owner) {
  std::string version = owner["apiVersion"].str();
  size_t slash = version.find('/');
  std::string group = slash == version.npos ? "" : version.substr(0, slash);
  for (const auto& row : api::builtin_kinds()) {
    if (row->group != group || !owner["kind"].equals(row->kind)) continue;
    auto live = client.get({row->group, row->version, row->plural, namespace_of(owner), name_of(owner), ""});
    if (!live.ok() && !live.status().is(Reason::NotFound)) return live.status();
    return live.ok() && uid_of(*live) == uid_of(owner) && !live->path("metadata.deletionTimestamp");
  }
  return false;
}

}  // namespace k8lite::controllers
