// The command line as runc has it: flags (one dash or two, value behind "=" or as the next word) until the first other
// word.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace k8lite::runc {

struct Options {
  std::vector<std::pair<std::string, std::string>> flags;
  std::vector<std::string> args;
  const std::string* find(const std::string& name) const;  // the last one given
  bool has(const std::string& name) const;                 // given, and not "false"
  std::string get(const std::string& name, const std::string& otherwise = "") const;
  int64_t number(const std::string& name, int64_t otherwise) const;  // fails on what is no number
  std::vector<std::string> all(const std::string& name) const;
};

// `known`: words "bundle,b=" (with a value) or "detach,d" (without), separated by spaces; the first name is the one
// kept. With `anywhere`, flags may stand behind the first other word, too. Gives "" or what is wrong.
std::string parse_options(const std::vector<std::string>& words, const std::string& known, Options& out,
                          bool anywhere = false);

}  // namespace k8lite::runc
