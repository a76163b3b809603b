// What may be asked of a list, a watch or a write besides the object itself: the options of meta/v1, checked and worded
// as Kubernetes does (apimachinery: ValidateListOptions, ValidateCreateOptions, ValidateDeleteOptions). Pure.
#pragma once
#include "apiserver/rest.h"
#include "net/http.h"

namespace k8lite::apiserver {

// 422 for "ListOptions", "CreateOptions", "DeleteOptions" …
Status options_error(const std::string& options, std::vector<Cause> causes);

Result<ListParams> read_list_options(const net::Query& query, bool watch);
// Those of a create, update or patch; `options` is "CreateOptions", "UpdateOptions" or "PatchOptions".
Result<> read_write_options(const std::string& options, const net::Query& query, WriteParams& params);
// Of a delete: from the body when there is one, else from the query, as upstream reads them.
Result<DeleteRequest> read_delete_options(const json::Node* body, const net::Query& query, WriteParams& params);

// The revision that a list asks for: 0 any; NotOlderThan and Exact as the fields say. Timeout (504) with the cause that
// client-go looks for when the server has not come that far yet.
struct WantedRevision {
  int64_t exact = 0;
};
Result<WantedRevision> wanted_revision(const ListParams& params, int64_t newest);
Status too_large_revision(int64_t wanted, int64_t newest);

// The name under which a kind's field selector is asked for and where its value stands.
struct FieldLabel {
  std::string path;
  std::string absent;  // what an absent field counts as
};
FieldLabel field_label(const api::KindRow& row, std::string_view label);

}  // namespace k8lite::apiserver
