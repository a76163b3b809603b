// The target that is a whole API server.
#include "fuzz/targets.h"
#include "support/api_world.h"

namespace k8lite::fuzz {

void request(std::string_view data) {
  static testing::ApiWorld world;
  size_t line = data.find('\n');
  std::string head(data.substr(0, line)), body(line == data.npos ? std::string_view() : data.substr(line + 1));
  size_t one = head.find(' '), two = one == head.npos ? one : head.find(' ', one + 1);
  std::string method = head.substr(0, one), target = one == head.npos ? "/" : head.substr(one + 1, two - one - 1),
              type = two == head.npos ? "application/json" : head.substr(two + 1);
  if (target.find("watch") != target.npos) return;  // it would never end
  if (!target.starts_with('/')) target = "/" + target;
  auto a = world.ask(method, target, body, {{"Content-Type", type}, {"Accept", type}});
  K8_MUST(a.status >= 200 && a.status < 600);
  K8_MUST(a.status != 500 || target.starts_with("/readyz"));
}

}  // namespace k8lite::fuzz
