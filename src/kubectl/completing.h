// What may come next on a kubectl command line: commands, flags and their values, resource types and names. Shells ask through
// `kubectl __complete WORDS...`; what only a server or a kubeconfig knows is looked up through the functions handed in.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace k8lite::kubectl {

struct Lookup {
  std::function<std::vector<std::string>()> types;                          // "pods", "deployments.apps"
  std::function<std::vector<std::string>(const std::string& type)> names;   // of that type's objects
  std::function<std::vector<std::string>(const std::string& list)> config;  // names in "contexts", "clusters" or "users"
  std::function<std::vector<std::string>(const std::string& pod)> containers;
};

struct Completion {
  enum Directive : int { Files = 0, NoSpace = 2, NoFiles = 4 };  // cobra's numbers: the scripts of its shells work too
  std::vector<std::pair<std::string, std::string>> candidates;    // with a description, "" for none
  int directive = NoFiles;
};

// `words` are those behind the program's name; the last one ("" : not begun) is to be completed.
Completion complete(const std::vector<std::string>& words, const Lookup& lookup);
std::string completion_script(const std::string& shell);  // "" for a shell that is not known

}  // namespace k8lite::kubectl
