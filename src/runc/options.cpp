// See options.h.
#include "runc/options.h"

#include <stdlib.h>

#include "runc/common.h"

namespace k8lite::runc {

const std::string* Options::find(const std::string& name) const {
  for (auto f = flags.rbegin(); f != flags.rend(); ++f)
    if (f->first == name) return &f->second;
  return nullptr;
}
bool Options::has(const std::string& name) const {
  const std::string* v = find(name);
  return v && *v != "false";
}
std::string Options::get(const std::string& name, const std::string& otherwise) const {
  const std::string* v = find(name);
  return v ? *v : otherwise;
}
int64_t Options::number(const std::string& name, int64_t otherwise) const {
  const std::string* v = find(name);
  if (!v) return otherwise;
  char* end = nullptr;
  int64_t n = strtoll(v->c_str(), &end, 10);
  if (v->empty() || *end) refuse("invalid value \"" + *v + "\" for flag -" + name);
  return n;
}
std::vector<std::string> Options::all(const std::string& name) const {
  std::vector<std::string> out;
  for (const auto& f : flags)
    if (f.first == name) out.push_back(f.second);
  return out;
}

std::string parse_options(const std::vector<std::string>& words, const std::string& known, Options& out,
                          bool anywhere) {
  size_t i = 0;
  for (; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") {
      ++i;
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      if (!anywhere) break;
      out.args.push_back(word);
      continue;
    }
    std::string name = word.substr(word[1] == '-' ? 2 : 1), value;
    size_t equals = name.find('=');
    bool has_value = equals != std::string::npos;
    if (has_value) value = name.substr(equals + 1), name.resize(equals);
    std::string kept;
    bool wants = false;
    for (const std::string& entry : split(known, ' ')) {
      bool takes = entry.back() == '=';
      for (const std::string& n : split(entry.substr(0, entry.size() - takes), ','))
        if (n == name) kept = entry.substr(0, entry.find_first_of(",=")), wants = takes;
    }
    if (kept.empty()) return "flag provided but not defined: -" + name;
    if (wants && !has_value) {
      if (++i >= words.size()) return "flag needs an argument: -" + name;
      value = words[i];
    } else if (!wants && !has_value) {
      value = "true";
    }
    out.flags.emplace_back(kept, value);
  }
  for (; i < words.size(); ++i) out.args.push_back(words[i]);
  return "";
}

}  // namespace k8lite::runc
