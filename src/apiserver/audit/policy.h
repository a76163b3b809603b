// What the audit log is to say of which request: audit.k8s.io/v1 Policy (Kubernetes documentation, "Auditing"). The
// first rule that fits decides; a request that fits none is not logged. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/authz/rbac.h"

namespace k8lite::apiserver::audit {

enum class Level : unsigned char { None, Metadata, Request, RequestResponse };
enum Stage : unsigned { kRequestReceived = 1, kResponseStarted = 2, kResponseComplete = 4, kPanic = 8 };
std::string_view level_name(Level level);
std::string_view stage_name(Stage stage);

struct Decision {
  Level level = Level::None;
  unsigned omitted = 0;  // stages
  bool omit_managed_fields = false;
  bool tells(Stage s) const { return level != Level::None && !(omitted & s); }
};

class Policy {
 public:
  // YAML or JSON. BadRequest names the file, the rule and the field: unknown fields, levels and stages are refused, so
  // that a typing error does not leave a gap in the log.
  static Result<Policy> parse(std::string_view text, const std::string& where);
  Decision decide(const authz::User& user, const RequestInfo& request) const;

 private:
  struct Resources {
    std::string group;
    std::vector<std::string> resources, names;
  };
  struct Rule {
    Decision decision;
    std::vector<std::string> users, groups, verbs, namespaces, urls;
    std::vector<Resources> resources;
  };
  static Result<Rule> parse_rule(const json::Node& rule, bool omit_managed_fields);
  static bool fits(const Rule& rule, const authz::User& user, const RequestInfo& request);
  static bool fits_resource(const Rule& rule, const RequestInfo& request);
  std::vector<Rule> rules_;
};

}  // namespace k8lite::apiserver::audit
