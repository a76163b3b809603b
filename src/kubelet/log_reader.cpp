#include "kubelet/log_reader.h"

#include <sys/stat.h>

#include <fstream>
#include <vector>

#include "base/strings.h"
#include "os/files.h"

namespace k8lite::kubelet {
namespace {

constexpr int kMaxFiles = 5;

// "<time> stdout F text": the text, with its line break when the line is whole.
void append_line(std::string_view line, const LogOptions& o, std::string& out) {
  size_t a = line.find(' '), b = line.find(' ', a + 1), c = line.find(' ', b + 1);
  if (a == line.npos || b == line.npos || c == line.npos) return;
  if (!o.since.empty() && line.substr(0, a) < o.since) return;
  if (o.timestamps) out.append(line.substr(0, a)).append(" ");
  out.append(line.substr(c + 1));
  if (line[b + 1] == 'F') out += '\n';
}

std::string last_lines(const std::string& text, int64_t n) {
  if (n < 0) return text;
  if (n == 0) return "";
  size_t at = text.size();
  if (at > 0 && text[at - 1] == '\n') --at;
  while (n > 0 && at > 0) {
    size_t before = text.rfind('\n', at - 1);
    if (before == text.npos) return text;
    at = before;
    --n;
  }
  return text.substr(at + 1);
}

}  // namespace

Result<LogText> read_log(const std::string& path, const LogOptions& o) {
  LogText out;
  for (int i = kMaxFiles; i >= 0; --i) {
    std::string file = i == 0 ? path : path + "." + std::to_string(i);
    if (i > 0 && !os::exists(file)) continue;
    auto text = os::read_file(file);
    if (!text.ok() && text.status().is(Reason::NotFound)) continue;
    if (!text.ok()) return text.status();
    for (auto line : split(*text, '\n'))
      if (!line.empty()) append_line(line, o, out.text);
    if (i == 0) out.offset = static_cast<int64_t>(text->size());
  }
  out.text = last_lines(out.text, o.tail);
  if (o.limit_bytes >= 0 && out.text.size() > static_cast<size_t>(o.limit_bytes)) out.text.resize(static_cast<size_t>(o.limit_bytes));
  return out;
}

LogText read_more(const std::string& path, int64_t offset, const LogOptions& o) {
  LogText out{{}, offset};
  struct stat st;
  if (::stat(path.c_str(), &st) != 0) return out;
  if (st.st_size < offset) out.offset = 0;  // rotated
  if (st.st_size == out.offset) return out;
  std::ifstream in(path, std::ios::binary);
  in.seekg(out.offset);
  std::string text(static_cast<size_t>(st.st_size - out.offset), '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  size_t end = text.rfind('\n');
  if (end == text.npos) return out;
  text.resize(end + 1);
  out.offset += static_cast<int64_t>(text.size());
  for (auto line : split(text, '\n'))
    if (!line.empty()) append_line(line, o, out.text);
  return out;
}

}  // namespace k8lite::kubelet
