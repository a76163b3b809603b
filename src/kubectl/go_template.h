// Go's text/template as -o go-template needs it: text with actions in double braces: fields, variables, pipelines, if, range, with,
// else, break and continue, parentheses, the comparison and printing functions, and kubectl's own `exists` and `base64decode`.
// Named templates (define, template, block) are refused. Pure.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"

namespace k8lite::kubectl {

class GoTemplate {
 public:
  // Errors are worded as Go's: `template: output:1: unclosed action`.
  static Result<GoTemplate> parse(std::string_view text);
  // After an error `out` has what was made before it.
  Result<> render(const json::Node& data, std::string& out) const;

  struct Block;

 private:
  std::shared_ptr<const Block> root_;
};

// A value as Go's %v prints it: map[a:1 b:[x y]], <nil>, texts bare. Integers as integers.
std::string go_text(const json::Node& value);
// A floating-point number as %v prints it: 1e+06, 0.5.
std::string go_float(double value);

}  // namespace k8lite::kubectl
