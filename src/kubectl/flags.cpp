// The parser below follows the command line once, left to right; values are checked against their kind as they are read.
#include "kubectl/flags.h"

#include "base/strings.h"

namespace k8lite::kubectl {

std::optional<Duration> parse_timeout(std::string_view text) {
  if (auto n = parse_int(text)) return Duration(*n * 1'000'000);
  return parse_go_duration(text);
}

const FlagSpec* Flags::spec(std::string_view name) const {
  for (const FlagSpec& s : specs_)
    if (s.name == name) return &s;
  return nullptr;
}

Result<> Flags::set(const FlagSpec& s, std::string value) {
  auto invalid = [&](std::string_view why) {
    return bad_request("invalid argument \"" + value + "\" for \"" + (s.shorthand ? std::string("-") + s.shorthand + ", " : "") + "--" + s.name +
                       "\" flag: " + std::string(why));
  };
  if (s.kind == FlagKind::Bool) {
    std::string v = lower(value);
    if (v == "true" || v == "t" || v == "1") value = "true";
    else if (v == "false" || v == "f" || v == "0") value = "false";
    else return invalid("strconv.ParseBool: parsing \"" + value + "\": invalid syntax");
  }
  if (s.kind == FlagKind::Number && !parse_int(value)) return invalid("strconv.ParseInt: parsing \"" + value + "\": invalid syntax");
  if (s.kind == FlagKind::Time && !parse_timeout(value)) return invalid("time: invalid duration \"" + value + "\"");
  values_[s.name].push_back(std::move(value));
  return {};
}

Result<Flags> Flags::parse(const std::vector<FlagSpec>& specs, const std::vector<std::string>& words) {
  Flags f;
  f.specs_ = specs;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& w = words[i];
    if (w == "--") {
      f.dash = static_cast<int>(f.args.size());
      f.args.insert(f.args.end(), words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
      break;
    }
    if (w.size() < 2 || w[0] != '-') {
      f.args.push_back(w);
      continue;
    }
    if (w[1] == '-') {
      size_t eq = w.find('=');
      std::string name = w.substr(2, eq == std::string::npos ? eq : eq - 2);
      const FlagSpec* s = f.spec(name);
      if (!s) return bad_request("unknown flag: --" + name);
      std::string bare = s->kind == FlagKind::Bool ? "true" : s->bare;
      if (eq != std::string::npos) TRY_OK(f.set(*s, w.substr(eq + 1)));
      else if (!bare.empty()) TRY_OK(f.set(*s, bare));
      else if (i + 1 < words.size()) TRY_OK(f.set(*s, words[++i]));
      else return bad_request("flag needs an argument: --" + name);
      continue;
    }
    for (size_t k = 1; k < w.size(); ++k) {
      const FlagSpec* s = nullptr;
      for (const FlagSpec& one : f.specs_)
        if (one.shorthand == w[k]) s = &one;
      if (!s) return bad_request("unknown shorthand flag: '" + std::string(1, w[k]) + "' in " + w);
      std::string bare = s->kind == FlagKind::Bool ? "true" : s->bare;
      if (k + 1 < w.size() && w[k + 1] == '=') {
        TRY_OK(f.set(*s, w.substr(k + 2)));
        break;
      }
      if (!bare.empty()) {
        TRY_OK(f.set(*s, bare));
        continue;
      }
      if (k + 1 < w.size()) TRY_OK(f.set(*s, w.substr(k + 1)));
      else if (i + 1 < words.size()) TRY_OK(f.set(*s, words[++i]));
      else return bad_request("flag needs an argument: '" + std::string(1, w[k]) + "' in " + w);
      break;
    }
  }
  return f;
}

bool Flags::changed(std::string_view name) const { return values_.find(name) != values_.end(); }

std::string Flags::text(std::string_view name) const {
  auto it = values_.find(name);
  if (it != values_.end()) return it->second.back();
  const FlagSpec* s = spec(name);
  return s ? s->otherwise : "";
}

bool Flags::on(std::string_view name) const { return text(name) == "true"; }

std::vector<std::string> Flags::all(std::string_view name) const {
  auto it = values_.find(name);
  return it == values_.end() ? std::vector<std::string>{} : it->second;
}

std::vector<std::string> Flags::list(std::string_view name) const {
  std::vector<std::string> out;
  for (const std::string& v : all(name))
    for (std::string& piece : split_strings(v, ','))
      if (!piece.empty()) out.push_back(std::move(piece));
  return out;
}

int64_t Flags::number(std::string_view name) const { return parse_int(text(name)).value_or(0); }
Duration Flags::time(std::string_view name) const { return parse_timeout(text(name)).value_or(Duration{0}); }

}  // namespace k8lite::kubectl
