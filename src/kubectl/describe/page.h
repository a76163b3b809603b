// The sheet a description is written on: lines with tabs between label and value, set in columns at the end as Go's tabwriter does
// (each run of neighbouring lines that have a column shares its width). Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace k8lite::kubectl {

// Text with tabs as columns: at least `padding` spaces behind the widest cell of each block.
std::string align_tabs(std::string_view text, size_t padding = 2);

class Page {
 public:
  // Two spaces a level, the text, a line end. Terminal escapes in it are made visible.
  void line(int level, std::string_view text);
  void raw(std::string_view text);  // as it is, no line end added
  // "Label:<tab>value"
  void field(int level, std::string_view label, std::string_view value) { line(level, std::string(label) + ":\t" + std::string(value)); }
  std::string text() const { return align_tabs(text_); }
  const std::string& unaligned() const { return text_; }

 private:
  std::string text_;
};

// "Labels:  a=b" with one pair a line, <none> without; `indent` stands before the title (pod templates).
void put_labels(Page& page, std::string_view title, const json::Node& labels, std::string_view indent = "");
// The same as "key: value"; long and multi-line values below their key, the last-applied annotation left out.
void put_annotations(Page& page, std::string_view title, const json::Node& annotations, std::string_view indent = "");
void put_name(Page& page, const json::Node& object);      // Name and, where there is one, Namespace
void put_metadata(Page& page, const json::Node& object);  // name, namespace, labels, annotations
void put_controller(Page& page, const json::Node& object);

std::string long_time(const json::Node& timestamp);  // "Sat, 21 Nov 2026 08:03:02 +0000" in local time
std::string true_false(const json::Node& value);     // True or False
std::string value_text(const json::Node& value);     // texts bare, numbers as they are, <nil> for null
std::string selector_of(const json::Node& label_selector);  // metav1.LabelSelector: "a=b,x in (p,q)" or <none>
std::string pairs_text(const json::Node& map);               // "a=b,c=d" in order of the keys, <none> for none
std::string age(const json::Node& timestamp, Instant now);
std::vector<std::string> sorted_names(const json::Node& map);
std::string bracketed(const json::Node& list);               // "[a b]"
std::string text_list(const json::Node& list, std::string_view separator = ",");

}  // namespace k8lite::kubectl
