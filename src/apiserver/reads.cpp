// The reading verbs of Rest: get, list and watch, with the selectors of each kind. They take the store's snapshots as they are and never wait.
#include <algorithm>

#include "apiserver/field_manager.h"
#include "apiserver/list_options.h"
#include "base/strings.h"

namespace k8lite::apiserver {

Result<Answer> Rest::get(const Target& t, const std::string& resource_version) const {
  ListParams at;
  at.resource_version = resource_version;
  TRY_OK(wanted_revision(at, store_.revision()));
  TRY(auto object, registry_.get(t.type->object, t.ns, t.name));
  object = in_served_form(std::move(object), t.type->object);
  if (t.subresource == "scale") return Answer{t.type, nullptr, scale_of(t, *object)};
  if (!t.subresource.empty() && t.subresource != "status" && t.subresource != "ephemeralcontainers" && t.subresource != "resize" && t.subresource != "approval")
    return Status(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource");
  return Answer{t.type, object, {}};
}

namespace {

struct Selectors {
  api::LabelSelector labels;
  api::FieldSelector fields;
};
Result<Selectors> read_selectors(const Target& t, const ListParams& p) {
  Selectors s;
  TRY(s.labels, api::LabelSelector::parse(p.label_selector));
  TRY(s.fields, api::FieldSelector::parse(p.field_selector));
  const auto& known = t.type->row->field_selectors;
  for (auto& term : s.fields.terms()) {
    if (term.field != "metadata.name" && term.field != "metadata.namespace" && std::find(known.begin(), known.end(), term.field) == known.end())
      return bad_request(known.empty() ? json::quoted(term.field) + " is not a known field selector: only \"metadata.name\", \"metadata.namespace\"" : "field label not supported: " + term.field);
    FieldLabel label = field_label(*t.type->row, term.field);
    if (label.path != term.field) term.path = std::move(label.path);
    term.absent = std::move(label.absent);
  }
  return s;
}
bool selected(const Selectors& s, const json::Doc& doc) {
  return (s.labels.empty() || s.labels.matches(doc["metadata"]["labels"])) && (s.fields.terms().empty() || s.fields.matches(doc.root()));
}

}  // namespace

Result<Page> Rest::list(const Target& t, const ListParams& p) const {
  TRY(Selectors selectors, read_selectors(t, p));
  if (p.limit < 0) return bad_request("limit: must be at least 0");
  TRY(WantedRevision wanted, wanted_revision(p, store_.revision()));
  Page page;
  RegistryListOptions options{t.ns, static_cast<size_t>(p.limit), p.continue_token, wanted.exact};
  // A selector may throw away most of a chunk: chunks are read until the page is full.
  for (;;) {
    TRY(auto got, registry_.list(t.type->object, options));
    page.revision = got.revision;
    for (auto& o : got.items) {
      o = in_served_form(std::move(o), t.type->object);
      if (selected(selectors, o->doc)) page.items.push_back(std::move(o));
    }
    page.continue_token = got.continue_token;
    page.remaining = selectors.labels.empty() && selectors.fields.terms().empty() ? got.remaining : 0;
    if (page.continue_token.empty() || static_cast<int64_t>(page.items.size()) >= p.limit) return page;
    options.continue_token = page.continue_token;
    options.limit = static_cast<size_t>(p.limit) - page.items.size();
  }
}

Result<std::unique_ptr<ObjectWatch>> Rest::watch(const Target& t, const ListParams& p, bool send_initial_events) const {
  TRY(Selectors selectors, read_selectors(t, p));
  std::string prefix = storage_key(t.type->object, t.ns, "");
  bool anything = p.resource_version.empty() || p.resource_version == "0";
  bool from_state = send_initial_events || (anything && !p.send_initial_events);
  std::vector<store::ObjectPtr> initial;
  int64_t after = 0;
  if (from_state) {
    TRY(auto now, store_.list(prefix, {}));
    after = now.revision;
    for (auto& o : now.items) {
      o = in_served_form(std::move(o), t.type->object);
      if (selected(selectors, o->doc)) initial.push_back(std::move(o));
    }
  } else if (!anything) {
    auto rv = parse_int(p.resource_version);
    if (!rv || *rv < 0) return invalid_object(t, "", {{"FieldValueInvalid", "Invalid value: " + json::quoted(p.resource_version) + ": strconv.ParseUint: parsing " + json::quoted(p.resource_version) + ": invalid syntax", "resourceVersion"}});
    after = *rv;
  }
  TRY(auto watch, store_.watch(prefix, after));
  return std::make_unique<ObjectWatch>(t.type, std::move(watch), std::move(selectors.labels), std::move(selectors.fields), std::move(initial), after, send_initial_events);
}

ObjectWatch::ObjectWatch(ResourceTypePtr type, std::unique_ptr<store::Watch> watch, api::LabelSelector labels, api::FieldSelector fields, std::vector<store::ObjectPtr> initial, int64_t revision, bool mark_initial_end)
    : type_(std::move(type)), watch_(std::move(watch)), labels_(std::move(labels)), fields_(std::move(fields)), initial_(std::move(initial)), revision_(revision), mark_initial_end_(mark_initial_end) {}

bool ObjectWatch::matches(const json::Doc& doc) const {
  return (labels_.empty() || labels_.matches(doc["metadata"]["labels"])) && (fields_.terms().empty() || fields_.matches(doc.root()));
}

void ObjectWatch::on_ready(std::function<void()> fn) { watch_->on_ready(std::move(fn)); }

Result<std::vector<WatchItem>> ObjectWatch::poll() {
  using Type = machinery::WatchEvent::Type;
  std::vector<WatchItem> out;
  if (!begun_) {
    begun_ = true;
    for (auto& o : initial_) out.push_back({Type::Added, o, o->revision});
    initial_.clear();
    if (mark_initial_end_) out.push_back({Type::Bookmark, nullptr, revision_});
    if (!out.empty()) return out;
  }
  // Only a poll that finds nothing at all arms on_ready() again: batches in which nothing matches are passed over here.
  for (;;) {
    TRY(auto batch, watch_->poll());
    revision_ = std::max(revision_, batch.revision);
    if (batch.events.empty()) return out;
    for (auto& e : batch.events) {
      if (type_->object.conversion) {
        e.object = in_served_form(std::move(e.object), type_->object);
        e.previous = in_served_form(std::move(e.previous), type_->object);
      }
      append_item(e, out);
    }
    if (!out.empty()) return out;
  }
}

void ObjectWatch::append_item(const store::Event& e, std::vector<WatchItem>& out) const {
  using Type = machinery::WatchEvent::Type;
  bool now = e.type != store::Event::Type::Removed && matches(e.object->doc);
  bool before = e.previous ? matches(e.previous->doc) : e.type == store::Event::Type::Removed && matches(e.object->doc);
  if (now) out.push_back({before ? Type::Modified : Type::Added, e.object, e.object->revision, before ? e.previous : nullptr});
  else if (before) {
    // The last state that matched, with the revision of the change that took it away.
    auto last = std::make_shared<store::Object>(e.previous ? *e.previous : *e.object);
    last->revision = e.object->revision;
    out.push_back({Type::Deleted, last, last->revision});
  }
}

std::vector<std::pair<std::string, int64_t>> Rest::object_counts() const {
  std::vector<std::pair<std::string, int64_t>> out;
  for (const auto& type : types_.all()) {
    const auto& verbs = type->row->verbs;
    // Versions of one kind share what is stored.
    bool told = std::any_of(out.begin(), out.end(), [&type](const auto& o) { return o.first == type->qualified(); });
    if (told || type->object.conversion || std::find(verbs.begin(), verbs.end(), "list") == verbs.end()) continue;
    auto one = store_.list(storage_key(type->object, "", ""), {.start_key = {}, .limit = 1, .at = 0});
    if (one.ok()) out.emplace_back(type->qualified(), static_cast<int64_t>(one->items.size()) + one->remaining);
  }
  return out;
}

}  // namespace k8lite::apiserver
