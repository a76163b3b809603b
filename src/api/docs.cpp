#include "api/docs.h"

#include <algorithm>
#include <tuple>

#include "base/embedded.h"
#include "base/gunzip.h"
#include "base/log.h"
#include "base/strings.h"

namespace k8lite::embedded_docs {
std::span<const k8lite::EmbeddedFile> files();
}

namespace k8lite::api {
namespace {
constexpr size_t kMaxText = 4 << 20;  // unpacked; far more than there is
}

Docs::Docs() {
  for (const EmbeddedFile& file : embedded_docs::files()) {
    auto text = gunzip(file.content, kMaxText);
    if (text.ok()) text_ = std::move(*text);
    else log_error("descriptions of fields cannot be unpacked", {{"error", text.status().message()}});
  }
  std::string_view group;
  for (std::string_view line : split(text_, '\n')) {
    if (line.starts_with("group ")) group = line.substr(6);
    else if (!line.empty() && line[0] != '#') read(line, group);
  }
  auto before = [](const Line& a, const Line& b) { return std::tie(a.type, a.field) < std::tie(b.type, b.field); };
  std::sort(lines_.begin(), lines_.end(), before);
}

void Docs::read(std::string_view line, std::string_view group) {
  if (size_t equals = line.find(" = "); equals != line.npos) {
    aliases_.push_back({group, line.substr(0, equals), {}, line.substr(equals + 3)});
    return;
  }
  size_t colon = line.find(": "), dot = line.substr(0, colon).find('.');
  if (colon == line.npos) return;
  Line out{group, line.substr(0, std::min(dot, colon)), {}, line.substr(colon + 2)};
  if (dot != line.npos) out.field = line.substr(dot + 1, colon - dot - 1);
  (out.type.starts_with('*') ? shared_ : lines_).push_back(out);
}

std::string_view Docs::exact(std::string_view group, std::string_view type, std::string_view field) const {
  auto it = std::lower_bound(lines_.begin(), lines_.end(), std::tie(type, field), [](const Line& l, const auto& key) { return std::tie(l.type, l.field) < key; });
  for (; it != lines_.end() && it->type == type && it->field == field; ++it)
    if (it->group == group) return it->text;
  return {};
}

// The longest suffix wins, and the own group over all groups.
std::string_view Docs::shared(std::string_view group, std::string_view type, std::string_view field) const {
  const Line* best = nullptr;
  for (const Line& l : shared_) {
    if (l.field != field || (l.group != "*" && l.group != group) || !type.ends_with(l.type.substr(1))) continue;
    if (!best || l.type.size() > best->type.size() || (l.type.size() == best->type.size() && l.group != "*")) best = &l;
  }
  return best ? best->text : std::string_view();
}

std::string_view Docs::of(std::string_view type_name, std::string_view field) const {
  size_t dot = type_name.find('.');
  if (dot == type_name.npos) return {};
  std::string_view group = type_name.substr(0, dot), type = type_name.substr(dot + 1);
  if (auto text = exact(group, type, field); !text.empty()) return text;
  for (const Line& alias : aliases_)
    if (alias.group == group && alias.type == type)
      if (auto text = exact(group, alias.text, field); !text.empty()) return text;
  return shared(group, type, field);
}

}  // namespace k8lite::api
