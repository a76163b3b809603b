// Column widths are found recursively, one column at a time, over the lines that have it.
#include "kubectl/describe/page.h"

#include <algorithm>
#include <ctime>

#include "base/strings.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

constexpr size_t kAnnotationWidth = 140;
constexpr std::string_view kSkippedAnnotation = "kubectl.kubernetes.io/last-applied-configuration";

size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

struct Columns {
  std::vector<std::vector<std::string_view>> lines;
  size_t padding;
  std::vector<size_t> widths = {};
  std::string out = {};

  void write(size_t from, size_t to) {
    for (size_t l = from; l < to; ++l) {
      for (size_t c = 0; c < lines[l].size(); ++c) {
        out += lines[l][c];
        if (c < widths.size() && c + 1 < lines[l].size()) out.append(widths[c] - width_of(lines[l][c]), ' ');
      }
      if (l + 1 < lines.size()) out += '\n';
    }
  }

  bool has_column(size_t line, size_t column) const { return column + 1 < lines[line].size(); }

  void format(size_t from, size_t to) {
    size_t column = widths.size();
    for (size_t at = from; at < to; ++at) {
      if (!has_column(at, column)) continue;
      write(from, at);
      from = at;
      size_t width = 0;
      for (; at < to && has_column(at, column); ++at) width = std::max(width, width_of(lines[at][column]) + padding);
      widths.push_back(width);
      format(from, at);
      widths.pop_back();
      from = at;
    }
    write(from, to);
  }
};

}  // namespace

std::string align_tabs(std::string_view text, size_t padding) {
  Columns c{{}, padding};
  for (std::string_view l : split(text, '\n')) c.lines.push_back(split(l, '\t'));
  c.format(0, c.lines.size());
  return std::move(c.out);
}

void Page::line(int level, std::string_view text) {
  text_.append(static_cast<size_t>(level) * 2, ' ');
  raw(text);
  text_ += '\n';
}

void Page::raw(std::string_view text) {
  for (char c : text) {
    if (c == '\x1b') text_ += "^[";
    else if (c == '\r') text_ += "\\r";
    else text_ += c;
  }
}

std::vector<std::string> sorted_names(const Node& map) {
  std::vector<std::string> out;
  for (const auto& m : map.members()) out.push_back(m.first);
  std::sort(out.begin(), out.end());
  return out;
}

void put_labels(Page& page, std::string_view title, const Node& labels, std::string_view indent) {
  std::string lead = std::string(indent) + std::string(title) + ":\t";
  if (labels.empty()) page.line(0, lead + "<none>");
  for (const std::string& k : sorted_names(labels)) {
    page.line(0, lead + k + "=" + labels[k].str());
    lead = "\t";
  }
}

void put_annotations(Page& page, std::string_view title, const Node& annotations, std::string_view indent) {
  std::string lead = std::string(indent) + std::string(title) + ":\t";
  bool any = false;
  for (const std::string& k : sorted_names(annotations)) {
    if (k == kSkippedAnnotation) continue;
    any = true;
    std::string value = annotations[k].str();
    if (value.ends_with('\n')) value.pop_back();
    if (value.size() + k.size() + 2 > kAnnotationWidth || value.find('\n') != std::string::npos) {
      page.line(0, lead + k + ":");
      for (std::string_view l : split(value, '\n'))
        page.line(0, "\t  " + (l.size() > kAnnotationWidth - 2 ? std::string(l.substr(0, kAnnotationWidth - 2)) + "..." : std::string(l)));
    } else {
      page.line(0, lead + k + ": " + value);
    }
    lead = std::string(indent) + "\t";
  }
  if (!any) page.line(0, lead + "<none>");
}

void put_name(Page& page, const Node& object) {
  page.field(0, "Name", object.path("metadata.name").str());
  if (const std::string& ns = object.path("metadata.namespace").str(); !ns.empty()) page.field(0, "Namespace", ns);
}

void put_metadata(Page& page, const Node& object) {
  put_name(page, object);
  put_labels(page, "Labels", object.path("metadata.labels"));
  put_annotations(page, "Annotations", object.path("metadata.annotations"));
}

void put_controller(Page& page, const Node& object) {
  for (const Node& o : object.path("metadata.ownerReferences").items())
    if (o["controller"].bool_or(false)) page.field(0, "Controlled By", o["kind"].str() + "/" + o["name"].str());
}

std::string long_time(const Node& timestamp) {
  auto t = parse_rfc3339(timestamp.str());
  if (!t) return "Mon, 01 Jan 0001 00:00:00 +0000";
  std::time_t whole = static_cast<std::time_t>(t->us / 1'000'000);
  std::tm parts{};
  ::localtime_r(&whole, &parts);
  char text[64];
  return std::string(text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S %z", &parts));
}

std::string true_false(const Node& value) { return value.bool_or(false) ? "True" : "False"; }

std::string value_text(const Node& value) {
  if (value.is_string()) return value.str();
  return value.is_null() || !value.exists() ? "<nil>" : value.dump();
}

std::string pairs_text(const Node& map) {
  std::string out;
  for (const std::string& k : sorted_names(map)) out += (out.empty() ? "" : ",") + k + "=" + map[k].str();
  return out.empty() ? "<none>" : out;
}

std::string selector_of(const Node& selector) {
  std::vector<std::pair<std::string, std::string>> parts;
  for (const auto& m : selector["matchLabels"].members()) parts.emplace_back(m.first, m.first + "=" + m.second.str());
  for (const Node& e : selector["matchExpressions"].items()) {
    std::string key = e["key"].str(), op = e["operator"].str();
    std::vector<std::string> values;
    for (const Node& v : e["values"].items()) values.push_back(v.str());
    std::sort(values.begin(), values.end());
    if (op == "In") parts.emplace_back(key, key + " in (" + join(values, ",") + ")");
    if (op == "NotIn") parts.emplace_back(key, key + " notin (" + join(values, ",") + ")");
    if (op == "Exists") parts.emplace_back(key, key);
    if (op == "DoesNotExist") parts.emplace_back(key, "!" + key);
  }
  std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string out;
  for (const auto& p : parts) out += (out.empty() ? "" : ",") + p.second;
  return out.empty() ? "<none>" : out;
}

std::string age(const Node& timestamp, Instant now) {
  auto t = parse_rfc3339(timestamp.str());
  return t ? human_duration(now - *t) : "<unknown>";
}

std::string text_list(const Node& list, std::string_view separator) {
  std::string out;
  for (const Node& x : list.items()) {
    if (!out.empty()) out += separator;
    out += value_text(x);
  }
  return out;
}

std::string bracketed(const Node& list) { return "[" + text_list(list, " ") + "]"; }

}  // namespace k8lite::kubectl
