// Watches over HTTP: one chunk for each batch of events, until the client, the time or the history ends it.
#include "apiserver/http/front.h"
#include "base/strings.h"

namespace k8lite::apiserver {

using async::Task;
using json::Node;

namespace {

std::string_view event_name(machinery::WatchEvent::Type type) {
  switch (type) {
    case machinery::WatchEvent::Type::Added: return "ADDED";
    case machinery::WatchEvent::Type::Modified: return "MODIFIED";
    case machinery::WatchEvent::Type::Deleted: return "DELETED";
    case machinery::WatchEvent::Type::Bookmark: return "BOOKMARK";
    case machinery::WatchEvent::Type::Error: return "ERROR";
  }
  return {};
}

std::string bookmark_text(const ResourceType& type, int64_t revision, bool initial_end) {
  Node meta = Node::obj({{"resourceVersion", std::to_string(revision)}, {"creationTimestamp", Node()}});
  if (initial_end) meta["annotations"].set("k8s.io/initial-events-end", "true");
  return Node::obj({{"kind", type.row->kind}, {"apiVersion", api_version(type.object)}, {"metadata", std::move(meta)}}).dump();
}

std::string event_line(std::string_view name, std::string_view object) {
  std::string out = "{\"type\":\"";
  out.append(name).append("\",\"object\":").append(object).append("}\n");
  return out;
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
  auto accept = read_accept(call.request.headers.get("Accept"));
  if (!accept.ok()) co_return co_await send_status(call.response, accept.status());
  const net::Query& q = call.request.query;
  ListParams params = list_params(q);
  if (!target.name.empty()) params.field_selector = "metadata.name=" + target.name;
  auto watch = rest_.watch(target, params, is_true(q.get("sendInitialEvents")));
  if (!watch.ok() && !watch.status().is(Reason::Expired)) co_return co_await send_status(call.response, watch.status());
  (void)co_await call.response.start(200, {{"Content-Type", "application/json"}, {"Cache-Control", "no-cache, private"}});
  if (!watch.ok()) {
    (void)co_await call.response.write(event_line("ERROR", status_object(watch.status()).dump()));
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
  constexpr int64_t kDefaultSeconds = 1800;
  int64_t limit = parse_int(q.get("timeoutSeconds")).value_or(0);
  Duration length = seconds(limit > 0 ? limit : kDefaultSeconds + static_cast<int64_t>(fnv1a32(call.request.target) % kDefaultSeconds));
  auto late = std::make_shared<bool>(false);
  uint64_t timer = loop_.after(length, [wake, late] {
    *late = true;
    wake->notify();
  });
  bool bookmarks = is_true(q.get("allowWatchBookmarks")), first_table = true;
  ++watches_;
  for (bool ended = false; !ended && !*gone;) {
    auto items = (*watch)->poll();
    std::string out;
    if (!items.ok()) {
      out = event_line("ERROR", status_object(items.status()).dump());
      ended = true;
    } else {
      for (const WatchItem& item : *items) {
        if (!item.object) {
          out += event_line("BOOKMARK", bookmark_text(*target.type, item.revision, true));
        } else if (accept->form == Accept::Form::Table) {
          out += event_line(event_name(item.type), table_text(*target.type, {item.object}, q.get("includeObject"), first_table, "{\"resourceVersion\":\"" + std::to_string(item.revision) + "\"}", clock_.now()));
          first_table = false;
        } else {
          out += event_text(target, item, accept->form == Accept::Form::PartialMetadata);
        }
      }
    }
    if (!out.empty()) {
      if (!(co_await call.response.write(out)).ok()) break;
      continue;
    }
    if (*late || (retirement && retirement->retired())) break;
    co_await wake->wait();
  }
  loop_.cancel_timer(timer);
  --watches_;
  (*watch)->close();
  if (*gone) co_return;
  if (bookmarks) (void)co_await call.response.write(event_line("BOOKMARK", bookmark_text(*target.type, (*watch)->revision(), false)));
  (void)co_await call.response.finish();
}

}  // namespace k8lite::apiserver
