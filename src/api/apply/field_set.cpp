#include "api/apply/field_set.h"

#include <algorithm>

#include "base/strings.h"

namespace k8lite::api::apply {
namespace {

using json::Node;

constexpr std::string_view kSelf = ".";
constexpr int kMaxDepth = 256;  // of a decoded set: objects are far shallower

// Fields come before keys, these before values, these before positions.
int rank(std::string_view element) {
  switch (element.empty() ? '\0' : element[0]) {
    case 'f': return 0;
    case 'k': return 1;
    case 'v': return 2;
    default: return 3;
  }
}

bool before(std::string_view a, std::string_view b) {
  int ra = rank(a), rb = rank(b);
  if (ra != rb) return ra < rb;
  return ra == 3 && a.size() != b.size() ? a.size() < b.size() : a < b;
}

const FieldSet& nothing() {
  static const FieldSet set;
  return set;
}

Result<FieldSet> decode_at(const Node& fields, int depth) {
  if (!fields.is_object()) return bad_request("fieldsV1: an object is wanted, not " + fields.dump().substr(0, 60));
  if (depth > kMaxDepth) return bad_request("fieldsV1: nested deeper than " + std::to_string(kMaxDepth) + " levels");
  std::vector<FieldSet::Entry> entries;
  entries.reserve(fields.size());
  for (const auto& [text, value] : fields.members()) {
    if (text == kSelf) continue;
    TRY(std::string element, canonical_element(text));
    if (!value.is_object()) return bad_request("fieldsV1: " + text + ": an object is wanted");
    TRY(FieldSet children, decode_at(value, depth + 1));
    entries.push_back({std::move(element), value.empty() || value.find(kSelf), std::move(children)});
  }
  return FieldSet::of(std::move(entries));
}

}  // namespace

std::string field_element(std::string_view name) { return std::string("f:").append(name); }
std::string value_element(const Node& value) { return "v:" + value.dump(); }

std::string key_element(std::vector<Node::Member> keys) {
  std::sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  Node object = Node::object();
  object.members() = std::move(keys);
  return "k:" + object.dump();
}

Result<std::string> canonical_element(std::string_view text) {
  if (text.size() >= 2 && text[1] == ':') {
    std::string_view rest = text.substr(2);
    if (text[0] == 'f') return std::string(text);
    if (text[0] == 'i') {
      if (auto n = parse_int(rest)) return "i:" + std::to_string(*n);
    } else if (text[0] == 'v' || text[0] == 'k') {
      auto value = Node::parse(rest);
      if (value.ok() && text[0] == 'v') return value_element(*value);
      if (value.ok() && value->is_object()) return key_element(std::move(value->members()));
    }
  }
  return bad_request("fieldsV1: " + json::quoted(text) + " is no path element");
}

FieldSet FieldSet::of(std::vector<Entry> entries) {
  std::erase_if(entries, [](const Entry& e) { return !e.member && e.children.empty(); });
  auto less = [](const Entry& a, const Entry& b) { return before(a.element, b.element); };
  if (!std::is_sorted(entries.begin(), entries.end(), less)) std::stable_sort(entries.begin(), entries.end(), less);
  FieldSet out;
  for (Entry& e : entries) {
    if (out.entries_.empty() || out.entries_.back().element != e.element) {
      out.entries_.push_back(std::move(e));
      continue;
    }
    Entry& same = out.entries_.back();
    same.member |= e.member;
    same.children = same.children.united(e.children);
  }
  return out;
}

const FieldSet::Entry* FieldSet::find(std::string_view element) const {
  auto it = std::lower_bound(entries_.begin(), entries_.end(), element, [](const Entry& e, std::string_view x) { return before(e.element, x); });
  return it != entries_.end() && it->element == element ? &*it : nullptr;
}

FieldSet::Entry& FieldSet::at(std::string_view element) {
  // Sets are mostly built in order.
  if (entries_.empty() || before(entries_.back().element, element)) return entries_.emplace_back(Entry{std::string(element), false, {}});
  auto it = std::lower_bound(entries_.begin(), entries_.end(), element, [](const Entry& e, std::string_view x) { return before(e.element, x); });
  if (it != entries_.end() && it->element == element) return *it;
  return *entries_.insert(it, Entry{std::string(element), false, {}});
}

const FieldSet& FieldSet::below(std::string_view element) const {
  const Entry* e = find(element);
  return e ? e->children : nothing();
}

bool FieldSet::has(std::string_view element) const {
  const Entry* e = find(element);
  return e && e->member;
}

void FieldSet::insert(std::string_view element) { at(element).member = true; }

void FieldSet::insert(const FieldPath& path) {
  FieldSet* set = this;
  for (size_t i = 0; i < path.size(); ++i) {
    Entry& e = set->at(path[i]);
    if (i + 1 == path.size()) e.member = true;
    set = &e.children;
  }
}

void FieldSet::insert_below(std::string_view element, FieldSet set) {
  if (set.empty()) return;
  Entry& e = at(element);
  e.children = e.children.empty() ? std::move(set) : e.children.united(set);
}

FieldSet FieldSet::united(const FieldSet& other) const& {
  if (other.empty()) return *this;
  if (empty()) return other;
  FieldSet out;
  out.entries_.reserve(std::max(entries_.size(), other.entries_.size()));
  auto a = entries_.begin(), b = other.entries_.begin();
  while (a != entries_.end() || b != other.entries_.end()) {
    if (b == other.entries_.end() || (a != entries_.end() && before(a->element, b->element))) out.entries_.push_back(*a++);
    else if (a == entries_.end() || before(b->element, a->element)) out.entries_.push_back(*b++);
    else {
      out.entries_.push_back({a->element, a->member || b->member, a->children.united(b->children)});
      ++a, ++b;
    }
  }
  return out;
}

FieldSet FieldSet::united(const FieldSet& other) && { return other.empty() ? std::move(*this) : std::as_const(*this).united(other); }

FieldSet FieldSet::minus(const FieldSet& other) const& { return FieldSet(*this).minus(other); }
FieldSet FieldSet::minus(const FieldSet& other) && {
  if (other.empty()) return std::move(*this);
  std::erase_if(entries_, [&other](Entry& e) {
    const Entry* o = other.find(e.element);
    if (!o) return false;
    e.member = e.member && !o->member;
    e.children = std::move(e.children).minus(o->children);
    return !e.member && e.children.empty();
  });
  return std::move(*this);
}

FieldSet FieldSet::shared(const FieldSet& other) const {
  FieldSet out;
  for (const Entry& e : entries_) {
    const Entry* o = other.find(e.element);
    if (!o) continue;
    Entry both{e.element, e.member && o->member, e.children.shared(o->children)};
    if (both.member || !both.children.empty()) out.entries_.push_back(std::move(both));
  }
  return out;
}

void FieldSet::collect(FieldPath& prefix, std::vector<FieldPath>& out) const {
  for (const Entry& e : entries_) {
    prefix.push_back(e.element);
    if (e.member) out.push_back(prefix);
    e.children.collect(prefix, out);
    prefix.pop_back();
  }
}

std::vector<FieldPath> FieldSet::paths() const {
  std::vector<FieldPath> out;
  FieldPath prefix;
  collect(prefix, out);
  return out;
}

bool FieldSet::operator==(const FieldSet& other) const { return entries_ == other.entries_; }

Node FieldSet::encode() const {
  Node out = Node::object();
  out.members().reserve(entries_.size());
  for (const Entry& e : entries_) {
    Node inner = e.children.encode();
    if (e.member && !e.children.empty()) inner.members().insert(inner.members().begin(), {std::string(kSelf), Node::object()});
    out.members().emplace_back(e.element, std::move(inner));
  }
  return out;
}

Result<FieldSet> FieldSet::decode(const Node& fields) { return decode_at(fields, 0); }

std::string path_text(const FieldPath& path) {
  std::string out;
  for (std::string_view element : path) {
    std::string_view rest = element.substr(2);
    switch (element[0]) {
      case 'f': out.append(".").append(rest); break;
      case 'v': out.append("[=").append(rest).append("]"); break;
      case 'k': {
        out += '[';
        bool first = true;
        const Node keys = Node::parse(rest).value_or({});
        for (const auto& [name, value] : keys.members()) {
          if (!first) out += ',';
          first = false;
          out.append(name).append("=").append(value.dump());
        }
        out += ']';
        break;
      }
      default: out.append("[").append(rest).append("]");
    }
  }
  return out;
}

}  // namespace k8lite::api::apply
