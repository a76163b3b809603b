// Command-line flags in GNU style as pflag reads them: --name=value, --name value, -n value, -nvalue, -it; flags may stand between
// arguments, "--" ends them. Which flags exist is data; reading them is one function.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace k8lite::kubectl {

enum class FlagKind : unsigned char { Bool, Text, List, Number, Time };

struct FlagSpec {
  std::string name;
  char shorthand = 0;
  FlagKind kind = FlagKind::Text;
  std::string otherwise;       // value when the flag is absent
  std::string help;
  std::string bare = {};       // value when it stands without "=value"; "" : a value must follow (Bool: "true")
};

class Flags {
 public:
  // Errors are worded as pflag's: `unknown flag: --x`, `flag needs an argument: --x`.
  static Result<Flags> parse(const std::vector<FlagSpec>& specs, const std::vector<std::string>& words);

  bool changed(std::string_view name) const;  // given on the command line
  bool on(std::string_view name) const;
  std::string text(std::string_view name) const;  // the last one given, else the default
  std::vector<std::string> all(std::string_view name) const;         // as given, not split
  std::vector<std::string> list(std::string_view name) const;        // split at commas
  int64_t number(std::string_view name) const;
  Duration time(std::string_view name) const;  // "30s"; a plain number counts seconds

  std::vector<std::string> args;
  int dash = -1;  // how many of args stand before "--"; -1 without one

 private:
  const FlagSpec* spec(std::string_view name) const;
  Result<> set(const FlagSpec& spec, std::string value);
  std::vector<FlagSpec> specs_;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

// "30s" or "30" (seconds), also "-1".
std::optional<Duration> parse_timeout(std::string_view text);

}  // namespace k8lite::kubectl
