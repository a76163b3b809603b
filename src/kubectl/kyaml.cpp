// Texts of several lines become one quoted text with escaped line ends, each line below the other.
#include "kubectl/kyaml.h"

#include <algorithm>

#include "base/strings.h"
#include "kubectl/jsonpath.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

// Names that YAML 1.1 would read as something else than a text stand in quotes.
bool bare_key(const std::string& key) {
  if (key.empty() || (!std::isalpha(static_cast<unsigned char>(key[0])) && key[0] != '_')) return false;
  for (char c : key)
    if (!std::isalnum(static_cast<unsigned char>(c)) && std::string_view("_-./").find(c) == std::string_view::npos) return false;
  std::string small = lower(key);
  for (const char* word : {"y", "yes", "n", "no", "t", "true", "f", "false", "on", "off", "null"})
    if (small == word) return false;
  return true;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out += std::string("\\") + c;
    else if (c == '\r') out += "\\r";
    else if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) out += "\\x" + to_hex(std::string_view(&c, 1));
    else out += c;
  }
  return out;
}

std::string text_of(const std::string& text, size_t indent) {
  if (text.find('\n') == std::string::npos) return "\"" + escaped(text) + "\"";
  std::string pad(indent + 2, ' '), out = "\"\\\n";
  bool ends = text.ends_with('\n');
  auto lines = split(std::string_view(text).substr(0, text.size() - ends), '\n');
  for (size_t i = 0; i < lines.size(); ++i) {
    bool leading = lines[i].starts_with(' ') || lines[i].starts_with('\t');
    out += pad + (leading ? "\\" : " ") + escaped(lines[i]) + (i + 1 < lines.size() || ends ? "\\n" : "") + "\\\n";
  }
  return out + pad + "\"";
}

void emit(const Node& n, size_t indent, std::string& out) {
  std::string pad(indent, ' ');
  if (n.is_object() && n.size()) {
    out += "{\n";
    for (const auto& m : n.members()) {
      out += pad + "  " + (bare_key(m.first) ? m.first : "\"" + escaped(m.first) + "\"") + ": ";
      emit(m.second, indent + 2, out);
      out += ",\n";
    }
    out += pad + "}";
  } else if (n.is_array() && n.size()) {
    bool cuddled = std::all_of(n.items().begin(), n.items().end(), [](const Node& i) { return (i.is_object() || i.is_array()) && i.size(); });
    out += cuddled ? "[" : "[\n";
    for (size_t i = 0; i < n.items().size(); ++i) {
      if (cuddled && i) out += ", ";
      if (!cuddled) out += pad + "  ";
      emit(n.items()[i], cuddled ? indent : indent + 2, out);
      if (!cuddled) out += ",\n";
    }
    out += cuddled ? "]" : pad + "]";
  } else {
    out += n.is_object() ? "{}" : n.is_array() ? "[]" : n.is_string() ? text_of(n.str(), indent) : n.dump();
  }
}

}  // namespace

std::string dump_kyaml(const Node& value) {
  std::string out = "---\n";
  emit(sorted_keys(value), 0, out);
  return out + "\n";
}

}  // namespace k8lite::kubectl
