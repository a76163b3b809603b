// Words as kubectl's errors name them.
#include "kubectl/commands/ports.h"

#include "base/strings.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

struct Words {
  std::string local, remote;
};

Result<Words> words_of(const std::string& word) {
  auto parts = split_strings(word, ':');
  if (parts.size() > 2) return bad_request("invalid port format '" + word + "'");
  if (parts.size() == 1) return Words{parts[0], parts[0]};
  return Words{parts[0].empty() ? "0" : parts[0], parts[1]};
}

Result<int> number(const std::string& text, std::string_view which) {
  auto n = parse_int(text);
  if (!n || *n < 0 || *n > 65535) {
    bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    return bad_request("error parsing " + std::string(which) + " port '" + text + "': strconv.ParseUint: parsing " + json::quoted(text) + ": " + (digits ? "value out of range" : "invalid syntax"));
  }
  return static_cast<int>(*n);
}

// A container port by name; 0: there is none.
int container_port(const Node& pod, const std::string& name) {
  for (const char* list : {"containers", "initContainers"})
    for (const Node& c : pod["spec"][list].items())
      for (const Node& p : c["ports"].items())
        if (p["name"].str() == name) return static_cast<int>(p["containerPort"].int_or(0));
  return 0;
}

Result<PortPair> pair_of(const Words& w, int remote) {
  if (remote == 0) return bad_request("remote port must be > 0");
  TRY(int local, number(w.local, "local"));
  return PortPair{local, remote};
}

}  // namespace

Result<PortPair> pod_port(const std::string& word, const Node& pod) {
  TRY(Words w, words_of(word));
  bool same = w.local == w.remote;
  if (parse_int(w.remote)) {
    TRY(int remote, number(w.remote, "remote"));
    return pair_of(w, remote);
  }
  int remote = container_port(pod, w.remote);
  if (remote == 0) return bad_request("Pod '" + pod.path("metadata.name").str() + "' does not have a named port '" + w.remote + "'");
  if (same) w.local = std::to_string(remote);
  return pair_of(w, remote);
}

Result<PortPair> service_port(const std::string& word, const Node& service, const Node& pod) {
  TRY(Words w, words_of(word));
  std::string name = service.path("metadata.name").str();
  bool numeric = parse_int(w.remote).has_value();
  const Node* found = nullptr;
  for (const Node& p : service.path("spec.ports").items())
    if (numeric ? p["port"].int_or(0) == *parse_int(w.remote) : p["name"].str() == w.remote) found = &p;
  if (!found && numeric) return bad_request("Service " + name + " does not have a service port " + w.remote);
  if (!found) return bad_request("Service '" + name + "' does not have a named port '" + w.remote + "'");
  int port = static_cast<int>(found->get("port").int_or(0)), remote = port;
  if (!numeric && w.local == w.remote) w.local = std::to_string(port);
  const Node& target = found->get("targetPort");
  if (service.path("spec.clusterIP").str() != "None") {
    if (target.is_number() && target.int_or(0) > 0) remote = static_cast<int>(target.int_or(0));
    if (target.is_string()) {
      remote = container_port(pod, target.str());
      if (remote == 0) return bad_request("Pod '" + pod.path("metadata.name").str() + "' does not have a named port '" + target.str() + "'");
    }
  }
  return pair_of(w, remote);
}

}  // namespace k8lite::kubectl
