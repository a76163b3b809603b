// Indents compact JSON for people, piece by piece: what is being read is never held. As Go's json.MarshalIndent with two spaces.
#pragma once
#include <string>
#include <string_view>

namespace k8lite::apiserver {

class Indenter {
 public:
  // Appends the next piece of a document, which may be cut anywhere.
  void feed(std::string_view json, std::string& out);

 private:
  void line(std::string& out) const { out.append(1, '\n').append(2 * depth_, ' '); }
  size_t depth_ = 0;
  bool text_ = false, escaped_ = false, opened_ = false;  // inside a text; behind a backslash; behind { or [
};

}  // namespace k8lite::apiserver
