// A small JSON tree for the OCI runtime, which is a program of its own of some hundred kilobytes: numbers stay text, so
// that no tables for floating point come along. What is missing reads as a missing value, so look-ups chain:
// spec["linux"]["resources"]["pids"].
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace k8lite::runc {

class Json {
 public:
  enum class Kind : uint8_t { Missing, Null, Bool, Number, String, Array, Object };

  Json() = default;
  Json(bool b) : kind_(Kind::Bool), text_(b ? "true" : "false") {}
  Json(int n) : Json(static_cast<int64_t>(n)) {}
  Json(int64_t n) : kind_(Kind::Number), text_(std::to_string(n)) {}
  Json(uint64_t n) : kind_(Kind::Number), text_(std::to_string(n)) {}
  Json(const char* s) : kind_(Kind::String), text_(s) {}
  Json(std::string s) : kind_(Kind::String), text_(std::move(s)) {}
  static Json object() { return Json(Kind::Object); }
  static Json array() { return Json(Kind::Array); }

  // "" and the tree, or what is wrong at which byte. Nesting is limited to 128.
  static std::string parse(std::string_view text, Json& out);

  Kind kind() const { return kind_; }
  bool exists() const { return kind_ != Kind::Missing && kind_ != Kind::Null; }
  bool is_string() const { return kind_ == Kind::String; }
  bool is_object() const { return kind_ == Kind::Object; }
  bool is_array() const { return kind_ == Kind::Array; }
  const Json& operator[](std::string_view key) const;
  const std::vector<Json>& items() const { return items_; }                              // of an array
  const std::vector<std::pair<std::string, Json>>& members() const { return members_; }  // of an object
  const std::string& str() const;                                                        // of a string, else ""
  std::string str_or(const char* otherwise) const { return is_string() ? text_ : otherwise; }
  int64_t int_or(int64_t otherwise) const;  // whole part of a number
  uint64_t uint_or(uint64_t otherwise) const;
  bool bool_or(bool otherwise) const { return kind_ == Kind::Bool ? text_ == "true" : otherwise; }
  std::vector<std::string> strings() const;  // the strings of an array

  Json& set(std::string_view key, Json value);  // of an object; replaces
  Json& append(Json value);
  std::string dump(bool pretty = false) const;

 private:
  explicit Json(Kind kind) : kind_(kind) {}
  void dump_to(std::string& out, int depth, bool pretty) const;
  friend struct JsonParser;
  Kind kind_ = Kind::Missing;
  std::string text_;
  std::vector<Json> items_;
  std::vector<std::pair<std::string, Json>> members_;
};

std::string quoted(std::string_view text);

}  // namespace k8lite::runc
