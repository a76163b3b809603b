// A list, then a watch of one name; a watch that ends is begun again with a list. The server ends the watch at the deadline.
#include "kubectl/waiting.h"

#include <thread>

#include "base/strings.h"

namespace k8lite::kubectl {

using json::Node;

int64_t Deadline::seconds_left() const {
  if (!ends_) return 0;
  return std::max<int64_t>(1, (at_ - system_clock().mono()).count() / 1'000'000 + 1);
}

Result<> watch_until(Session& s, const Target& t, const Deadline& deadline, const std::function<Result<bool>(const Node&)>& look) {
  for (;;) {
    std::string version, fields = "metadata.name=" + t.name;
    TRY(auto now, list_objects(s, t.mapping, t.ns, "", fields, &version));
    TRY(bool done, look(now.empty() ? Node() : now[0]));
    if (done) return {};
    if (deadline.passed()) return timed_out("timed out waiting for the condition on " + t.mapping.resource + "/" + t.name);
    int64_t left = deadline.seconds_left();
    TRY(auto reading, s.open(with_query(url_of(t.mapping, t.ns), {{"watch", "true"}, {"fieldSelector", fields}, {"resourceVersion", version},
                                                                  {"timeoutSeconds", left ? std::to_string(left) : ""}})));
    for (bool end = false; !end;) {
      auto line = reading->line(end);
      if (!line.ok() || end) break;
      if (trim(*line).empty()) continue;
      TRY(Node event, Node::parse(*line));
      std::string type = std::as_const(event)["type"].str();
      if (type == "ERROR") break;
      if (type == "BOOKMARK") continue;
      TRY(bool good, look(type == "DELETED" ? Node() : std::as_const(event)["object"]));
      if (good) return {};
      if (deadline.passed()) break;
    }
    std::this_thread::sleep_for(milliseconds(50));  // a server that ends watches at once must not be asked in a tight loop
  }
}

Result<> wait_gone(Session& s, const Target& t, const std::string& uid, const Deadline& deadline) {
  return watch_until(s, t, deadline, [&uid](const Node& object) -> Result<bool> {
    return !object.is_object() || (!uid.empty() && object.path("metadata.uid").str() != uid);
  });
}

}  // namespace k8lite::kubectl
