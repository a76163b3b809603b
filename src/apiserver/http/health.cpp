#include "apiserver/http/health.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"

namespace k8lite::apiserver {
namespace {

constexpr std::pair<std::string_view, unsigned> kEndpoints[] = {
    {"healthz", kHealthz}, {"livez", kLivez}, {"readyz", kReadyz}};

std::vector<std::string> excluded(const net::Query& query) {
  std::vector<std::string> out;
  for (auto list : query.all("exclude"))
    for (auto one : split(list, ','))
      if (std::string name = replace_all(std::string(trim(one)), "\"", ""); !name.empty()) out.push_back(name);
  return out;
}

}  // namespace

void Health::add(unsigned where, std::string name, Check check) {
  std::lock_guard lock(mutex_);
  checks_.push_back({where, std::move(name), std::move(check)});
}

Health::Answer Health::all(std::string_view endpoint, unsigned bit, const net::Query& query) const {
  std::vector<std::string> without = excluded(query);
  std::string text, name(endpoint);
  bool good = true;
  for (const Named& c : checks_) {
    if (!(c.where & bit)) continue;
    if (auto it = std::find(without.begin(), without.end(), c.name); it != without.end()) {
      without.erase(it);
      text += "[+]" + c.name + " excluded: ok\n";
    } else if (c.check().empty()) {
      text += "[+]" + c.name + " ok\n";
    } else {
      good = false;
      text += "[-]" + c.name + " failed: reason withheld\n";
    }
  }
  if (!without.empty()) {
    for (auto& w : without) w = json::quoted(w);
    text += "warn: some health checks cannot be excluded: no matches for " + join(without, ", ") + "\n";
  }
  if (!good) return {500, text + name + " check failed\n"};
  if (!query.has("verbose")) return {200, "ok"};
  return {200, text + name + " check passed\n"};
}

Health::Answer Health::ask(std::string_view path, const net::Query& query) const {
  std::lock_guard lock(mutex_);
  for (auto [endpoint, bit] : kEndpoints) {
    if (path.substr(1, endpoint.size()) != endpoint) continue;
    std::string_view rest = path.substr(1 + endpoint.size());
    if (rest.empty() || rest == "/") return all(endpoint, bit, query);
    for (const Named& c : checks_) {
      if (!(c.where & bit) || rest.substr(1) != c.name) continue;
      std::string problem = c.check();
      return problem.empty() ? Answer{200, "ok"} : Answer{500, "internal server error: " + problem + "\n"};
    }
  }
  return {404, ""};
}

std::vector<std::string> Health::paths() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (auto [endpoint, bit] : kEndpoints) {
    out.push_back("/" + std::string(endpoint));
    for (const Named& c : checks_)
      if (c.where & bit) out.push_back("/" + std::string(endpoint) + "/" + c.name);
  }
  return out;
}

}  // namespace k8lite::apiserver
