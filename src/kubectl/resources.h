// The objects a command line means: from files, folders, URLs and stdin (-f), from TYPE NAME..., TYPE/NAME... and from selectors.
#pragma once
#include <string>
#include <vector>

#include "kubectl/session.h"

namespace k8lite::kubectl {

struct Target {
  Mapping mapping;
  std::string ns, name;  // name "" : all objects of the type
  json::Node object;     // from a file, or fetched; null otherwise
  std::string source;    // the file's name

  std::string url(std::string_view subresource = {}) const { return url_of(mapping, ns, name, subresource); }
  std::string label() const { return mapping.full_resource() + "/" + name; }
};

// The words of a command line as targets, nothing fetched. Types without names have name "".
Result<std::vector<Target>> targets_from_words(Session& session, const std::vector<std::string>& words);

// Every object of the files of -f (and -R), with mapping and namespace filled in. Errors name file, line and column.
// Objects that cannot be mapped are reported through session.fail() and left out.
Result<std::vector<Target>> targets_from_files(Session& session);

struct Choose {
  bool fetch = true;        // read each named object from the server
  bool types_alone = false; // a type without name or selector means all of its objects
  const std::vector<std::string>* words = nullptr;  // instead of the flags' arguments
};
// Files or words, types expanded by -l, --field-selector and --all. Objects that cannot be read go to session.fail().
Result<std::vector<Target>> choose_targets(Session& session, const Choose& choose);

// All objects of a type, page by page, each with apiVersion and kind. The list's resourceVersion goes to `version`.
Result<std::vector<json::Node>> list_objects(Session& session, const Mapping& mapping, const std::string& ns, const std::string& labels = {},
                                             const std::string& fields = {}, std::string* version = nullptr);

// The text of a file argument: a path, "-" or a URL.
Result<std::string> read_source(Session& session, const std::string& name);

}  // namespace k8lite::kubectl
