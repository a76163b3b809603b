// Whatever cannot be looked up (no server, no rights) is simply not offered.
#include "kubectl/commands/suggest.h"

#include <cstdio>

#include "kubectl/commands/commands.h"
#include "kubectl/completing.h"
#include "kubectl/resources.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

// The flags that say which server and namespace, as far as they are complete.
Flags connection_flags(const std::vector<std::string>& words) {
  std::vector<std::string> kept;
  for (size_t i = 0; i < words.size(); ++i)
    for (const FlagSpec& f : global_flags()) {
      if (f.kind == FlagKind::Bool) continue;
      bool bare = words[i] == "--" + f.name || (f.shorthand && words[i] == std::string("-") + f.shorthand);
      if (bare && i + 1 < words.size()) kept.insert(kept.end(), {words[i], words[i + 1]});
      if (words[i].starts_with("--" + f.name + "=")) kept.push_back(words[i]);
    }
  auto flags = Flags::parse(global_flags(), kept);
  return flags.ok() ? *flags : *Flags::parse(global_flags(), {});
}

std::vector<std::string> names_of(Session& s, const std::string& type) {
  std::vector<std::string> out;
  auto d = s.discovery();
  if (!d.ok()) return out;
  const Mapping* m = (*d)->find(type);
  auto ns = s.ns();
  if (!m || !ns.ok()) return out;
  auto list = list_objects(s, *m, m->namespaced ? *ns : "");
  if (list.ok())
    for (const Node& o : *list) out.push_back(o.path("metadata.name").str());
  return out;
}

}  // namespace

int suggest(bool descriptions, const std::vector<std::string>& words) {
  std::vector<std::string> finished = words;
  if (!finished.empty()) finished.pop_back();
  Session s(connection_flags(finished));
  Lookup lookup;
  lookup.names = [&s](const std::string& type) { return names_of(s, type); };
  lookup.types = [&s] {
    std::vector<std::string> out;
    auto d = s.discovery();
    if (!d.ok()) return out;
    for (const Mapping& m : (*d)->all())
      if (m.preferred && m.can("get")) out.push_back(m.full_resource());
    return out;
  };
  lookup.config = [&s](const std::string& list) {
    std::vector<std::string> out;
    auto config = config::merged_kubeconfig(s.kubeconfig_query());
    if (config.ok())
      for (const Node& e : std::as_const(*config)[list].items()) out.push_back(e["name"].str());
    return out;
  };
  lookup.containers = [&s](const std::string& pod) {
    std::vector<std::string> out;
    auto m = s.mapping("pods");
    auto ns = s.ns();
    if (!m.ok() || !ns.ok()) return out;
    auto object = s.get(url_of(*m, *ns, pod.substr(pod.find('/') + 1)));
    if (object.ok())
      for (const char* list : {"initContainers", "containers"})
        for (const Node& c : std::as_const(*object)["spec"][list].items()) out.push_back(c["name"].str());
    return out;
  };
  Completion c = complete(words, lookup);
  for (const auto& [word, description] : c.candidates) std::printf("%s%s%s\n", word.c_str(), descriptions && !description.empty() ? "\t" : "", descriptions ? description.c_str() : "");
  std::printf(":%d\n", c.directive);
  return 0;
}

}  // namespace k8lite::kubectl
