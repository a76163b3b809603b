// A set of field paths: what a manager owns (KEP-555). A path is a row of elements, each held in its fieldsV1 spelling: `f:replicas`
// (a field or map key), `k:{"name":"web"}` (an item of an associative list), `v:"x"` (an item of a set list), `i:0` (an item by
// position). Keys are kept canonical (members sorted, compact), so equal elements are equal texts. Pure values, no schema.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace k8lite::api::apply {

using FieldPath = std::vector<std::string>;

class FieldSet {
 public:
  struct Entry;

  bool empty() const { return entries_.empty(); }
  const std::vector<Entry>& entries() const { return entries_; }
  const Entry* find(std::string_view element) const;
  // The set below an element; an empty one when there is none.
  const FieldSet& below(std::string_view element) const;
  bool has(std::string_view element) const;  // is this one-element path a member?

  void insert(std::string_view element);                     // the path of this one element
  void insert(const FieldPath& path);                        // an empty path is not held
  void insert_below(std::string_view element, FieldSet set);  // united with what is below already; an empty set changes nothing

  // Exact paths: {a} minus {a.b} is {a}.
  FieldSet united(const FieldSet& other) const&;
  FieldSet united(const FieldSet& other) &&;
  FieldSet minus(const FieldSet& other) const&;
  FieldSet minus(const FieldSet& other) &&;
  FieldSet shared(const FieldSet& other) const;

  // One of any number of entries in any order, in n log n; what comes twice is united, entries that hold nothing are left out.
  static FieldSet of(std::vector<Entry> entries);

  std::vector<FieldPath> paths() const;
  bool operator==(const FieldSet& other) const;

  // fieldsV1, both ways. BadRequest for what is none; decoding an encoded set gives the same set.
  json::Node encode() const;
  static Result<FieldSet> decode(const json::Node& fields);

 private:
  Entry& at(std::string_view element);
  void collect(FieldPath& prefix, std::vector<FieldPath>& out) const;
  std::vector<Entry> entries_;  // sorted: fields, keys, values, positions
};

struct FieldSet::Entry {
  std::string element;
  bool member = false;  // the path that ends here is in the set
  FieldSet children;
  bool operator==(const Entry&) const = default;
};

// Elements.
std::string field_element(std::string_view name);
std::string value_element(const json::Node& value);
std::string key_element(std::vector<json::Node::Member> keys);
// Nothing when the text is no path element; else its canonical spelling.
Result<std::string> canonical_element(std::string_view text);

// `.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"]`, `.metadata.finalizers[="x"]`.
std::string path_text(const FieldPath& path);

}  // namespace k8lite::api::apply
