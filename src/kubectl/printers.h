// How objects are printed: aligned tables, YAML, JSON, names, JSONPath and custom columns.
#pragma once
#include <string>
#include <vector>

#include "kubectl/session.h"

namespace k8lite::kubectl {

// Rows of cells, aligned as Go's tabwriter aligns them for kubectl (columns at least 6 wide, 3 spaces between).
class TextTable {
 public:
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  // `widths` (of columns, grows) lets later tables of a watch line up with the earlier ones.
  std::string text(std::vector<size_t>* widths = nullptr) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// The -o flag, taken apart: "jsonpath={.a}" is format "jsonpath" with argument "{.a}".
struct Output {
  std::string format, argument;
  static Result<Output> parse(const Session& session);
  bool table() const { return format.empty() || format == "wide"; }
};

// Prints one object (or a List) in a format that is not a table; `mapping` names it for -o name (null: by its kind).
Result<> print_object(Session& session, const Output& output, const json::Node& object, const Mapping* mapping = nullptr);
// The word line of a changing command, "deployment.apps/web created", or the object where -o asks for it.
Result<> print_done(Session& session, const json::Node& object, const Mapping& mapping, std::string_view word);
// Sort by the value a JSONPath names, as --sort-by does.
Result<> sort_objects(std::vector<json::Node>& objects, const std::string& expression);
// Adds "as (dry run)" and friends: "created (server dry run)".
std::string dry_run_suffix(const Session& session);
json::Node without_managed_fields(json::Node object);
json::Node list_of(std::vector<json::Node> objects);
std::string labels_text(const json::Node& labels, std::string_view separator = ",");  // "a=b,c=d" or <none>
std::string age_of(const json::Node& timestamp);                                       // "5m" or <unknown>

}  // namespace k8lite::kubectl
