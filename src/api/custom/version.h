// One version of a custom resource: its compiled schema with what else a row of the kinds table needs, and the rows
// that a CustomResourceDefinition gives. Immutable; shared by the requests that use it.
#pragma once
#include <deque>

#include "api/custom/structural.h"
#include "api/kinds.h"

namespace k8lite::api::custom {

struct Version {
  SchemaPtr schema;                // of this version
  SchemaPtr stored;                // of the storage version: its defaults are filled in too, and into what is read
  json::Doc published;             // openAPIV3Schema as it was written
  std::deque<schema::Type> types;  // how server-side apply sees it; the first is the object's
  std::string list_kind;
  // Dotted, without the leading dot: spec.replicas. "" where there is no scale (or no selector).
  std::string spec_replicas, status_replicas, label_selector;
  std::string deprecation;  // the Warning that requests of this version get; "" : none
};

// The served versions of a definition, the rows' names those that were accepted; none before they are
// (status.conditions). A definition that is being deleted gives rows that nothing can be created by.
std::vector<KindPtr> rows_of(const json::Doc& definition);

// What a text after a simple JSON path (".spec.replicas") means: "spec.replicas".
std::string dotted(const std::string& json_path);

bool has_condition(json::Value definition, std::string_view type);  // with status True

// Types for server-side apply; they borrow from `schema`, which must live as long. The first is the object's.
std::deque<schema::Type> apply_types(const Schema& schema);

// The columns of additionalPrinterColumns (or Age) and what fills them.
Printing printing_of_version(const json::Node& version);

}  // namespace k8lite::api::custom
