// Watches over HTTP: one chunk for each batch of events, until the client, the time or the history ends it.
#include <algorithm>

#include "apiserver/http/front.h"
#include "apiserver/http/render.h"
#include "apiserver/list_options.h"
#include "base/strings.h"

namespace k8lite::apiserver {

using async::Task;

namespace {

std::string_view event_name(machinery::WatchEvent::Type type) {
  switch (type) {
    case machinery::WatchEvent::Type::Added: return "ADDED";
    case machinery::WatchEvent::Type::Deleted: return "DELETED";
    default: return "MODIFIED";
  }
}

constexpr int64_t kDefaultSeconds = 1800, kBookmarkSeconds = 60;

// A watch of one object by its path is one by its name; a selector may only say the same.
Result<> narrow_to_name(const Target& t, ListParams& p) {
  if (t.name.empty()) return {};
  std::string own = "metadata.name=" + t.name;
  if (!p.field_selector.empty() && p.field_selector != own) {
    TRY(auto selector, api::FieldSelector::parse(p.field_selector));
    bool same = std::any_of(selector.terms().begin(), selector.terms().end(), [&t](const auto& term) { return term.field == "metadata.name" && term.equal && term.value == t.name; });
    if (!same) return bad_request("fieldSelector metadata.name doesn't match requested name");
    return {};
  }
  p.field_selector = own;
  return {};
}

}  // namespace

// What many watchers get in a row is put into text once. Large objects are not kept.
const std::string& Front::event_text(const Target& target, const WatchItem& item, bool partial) {
  constexpr size_t kKept = 16 * 1024;
  EventText& e = events_[static_cast<size_t>(item.revision) % events_.size()];
  if (e.revision == item.revision && e.type == item.type && e.partial == partial && e.resource == target.type && e.doc.same(item.object->doc)) return e.text;
  if (e.text.capacity() > kKept) e.text = {};
  e.text.clear();
  e.text.append("{\"type\":\"").append(event_name(item.type)).append("\",\"object\":");
  if (partial) e.text += partial_metadata(*target.type, *item.object);
  else append_served(e.text, item.object->doc, item.object->revision, target.type->object);
  e.text += "}\n";
  bool keep = e.text.size() <= kKept;
  e.revision = keep ? item.revision : 0;
  e.doc = keep ? item.object->doc : json::Doc();
  e.type = item.type;
  e.partial = partial;
  e.resource = target.type;
  return e.text;
}

Task<void> Front::serve_watch(Call& call, Target target) {
  auto accept = read_accept(call.request, true);
  if (!accept.ok()) co_return co_await send_status(call.response, accept.status());
  const net::Query& q = call.request.query;
  auto params = read_list_options(q, true);
  // The authoriser may have taken the name from a selector; only one from the path narrows.
  if (params.ok())
    if (auto narrowed = narrow_to_name(target, *params); !narrowed.ok()) params = narrowed.status();
  if (!params.ok()) co_return co_await send_error(call.request, call.response, params.status());
  auto watch = rest_.watch(target, *params, params->send_initial_events.value_or(false));
  if (!watch.ok() && !watch.status().is(Reason::Expired)) co_return co_await send_error(call.request, call.response, watch.status());
  EventWriter writer(*accept, target.type, std::string(q.get("includeObject")));
  (void)co_await call.response.start(200, {{"Content-Type", writer.content_type()}, {"Cache-Control", "no-cache, private"}});
  if (!watch.ok()) {
    std::string error;
    writer.add_error(error, watch.status());
    (void)co_await call.response.write(error);
    (void)co_await call.response.finish();
    co_return;
  }
  auto wake = std::make_shared<async::Notify>();
  auto gone = std::make_shared<std::atomic<bool>>(false);
  call.response.on_disconnect([wake, gone] {
    *gone = true;
    wake->notify();
  });
  (*watch)->on_ready([wake] { wake->notify(); });
  Retirement* retirement = target.type->retirement.get();
  auto listening = retirement ? retirement->listen([wake] { wake->notify(); }) : nullptr;
  int64_t limit = parse_int(q.get("timeoutSeconds")).value_or(0);
  Duration length = seconds(limit > 0 ? limit : kDefaultSeconds + static_cast<int64_t>(fnv1a32(call.request.target) % kDefaultSeconds));
  auto late = std::make_shared<bool>(false);
  uint64_t timer = loop_.after(length, [wake, late] {
    *late = true;
    wake->notify();
  });
  bool bookmarks = is_true(q.get("allowWatchBookmarks"));
  bool cached = accept->format == Accept::Format::Json && accept->form != Accept::Form::Table;
  auto next_bookmark = clock_.mono() + seconds(kBookmarkSeconds);
  int64_t told = 0;  // the revision that the client knows of
  for (bool ended = false; !ended && !*gone;) {
    auto items = (*watch)->poll();
    std::string out;
    if (!items.ok()) {
      writer.add_error(out, items.status());
      ended = true;
    } else {
      for (const WatchItem& item : *items) {
        told = item.revision;
        if (cached && item.object) out += event_text(target, item, accept->form == Accept::Form::PartialMetadata);
        else writer.add(out, item, clock_.now());
      }
    }
    if (bookmarks && !ended && clock_.mono() >= next_bookmark) {
      next_bookmark = clock_.mono() + seconds(kBookmarkSeconds);
      // One that says nothing new is not sent.
      if (int64_t now = (*watch)->revision(); now > told) writer.add_bookmark(out, now, false, clock_.now()), told = now;
    }
    if (!out.empty()) {
      if (!(co_await call.response.write(out)).ok()) break;
      continue;
    }
    if (*late || (retirement && retirement->retired())) break;
    if (bookmarks) co_await wake->wait_for(loop_, std::max(next_bookmark - clock_.mono(), Duration{0}));
    else co_await wake->wait();
  }
  loop_.cancel_timer(timer);
  (*watch)->close();
  if (*gone) co_return;
  if (bookmarks) {
    std::string last;
    writer.add_bookmark(last, (*watch)->revision(), false, clock_.now());
    (void)co_await call.response.write(last);
  }
  (void)co_await call.response.finish();
}

}  // namespace k8lite::apiserver
