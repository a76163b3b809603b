// Inside of src/apiserver: who writes, as managedFields name it.
#pragma once
#include "api/apply/managed_fields.h"
#include "apiserver/rest.h"

namespace k8lite::apiserver {

// 422 for "CreateOptions", "UpdateOptions" or "PatchOptions".
Status field_manager_error(const std::string& options, Cause cause);
Result<> check_field_manager(const std::string& options, const WriteParams& params, bool required);
// 422 with these causes, worded as Kubernetes words it.
Status invalid_object(const Target& target, const std::string& name, std::vector<Cause> causes, std::string kind = {});
api::apply::Writer writer_of(const Target& target, const WriteParams& params, Instant now);

}  // namespace k8lite::apiserver
