// The tree of a Go template: what the parser makes and the evaluator walks.
#pragma once
#include <string>
#include <vector>

#include "kubectl/go_template.h"

namespace k8lite::kubectl {

struct GoPipe;

// One word of a command: a literal, a function's name, the dot, a variable or a pipeline in parentheses, each with fields behind it.
struct GoOperand {
  enum class Kind : unsigned char { Literal, Function, Dot, Variable, Pipe } kind = Kind::Dot;
  json::Node literal;
  std::string name;                  // of a function, or "$x"
  std::vector<std::string> fields;   // ".a.b"
  std::vector<GoPipe> pipe;          // one, for Kind::Pipe
  std::string text, where;           // as written, and "line:column", for errors
};

struct GoPipe {
  std::vector<std::string> variables;  // "$i", "$e"
  bool declares = false;               // ":=" rather than "="
  std::vector<std::vector<GoOperand>> commands;
};

struct GoTemplate::Block {
  struct Item {
    enum class Kind : unsigned char { Text, Print, If, Range, With, Break, Continue } kind = Kind::Text;
    std::string text;
    GoPipe pipe;
    std::vector<Block> then, otherwise;  // at most one each
  };
  std::vector<Item> items;
};

Result<GoTemplate::Block> parse_go_template(std::string_view text);

}  // namespace k8lite::kubectl
