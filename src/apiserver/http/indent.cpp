#include "apiserver/http/indent.h"

namespace k8lite::apiserver {

void Indenter::feed(std::string_view json, std::string& out) {
  out.reserve(out.size() + json.size() + json.size() / 2);
  for (char c : json) {
    if (text_) {
      out += c;
      if (escaped_) escaped_ = false;
      else if (c == '\\') escaped_ = true;
      else if (c == '"') text_ = false;
      continue;
    }
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    bool closes = c == '}' || c == ']';
    if (opened_ && !closes) line(out);
    if (closes && depth_ > 0) {
      --depth_;
      if (!opened_) line(out);
    }
    opened_ = c == '{' || c == '[';
    if (opened_) ++depth_;
    text_ = c == '"';
    out += c;
    if (c == ':') out += ' ';
    if (c == ',') line(out);
  }
}

}  // namespace k8lite::apiserver
