// Reads embedded/rules/*.txt once and walks objects with it. The form, one line each ('#' begins a comment):
//   type core/v1.Container
//    <field> <check>...     checks run in this order, then the walk goes into the field's own type
//    .                      here runs the type's hook (check.h); without such a line it runs last
//    | <a,b,c> "none" "many"  at most one of these fields, of which the first counts; "none": what is said where none
//    is there
// Checks, with `=` and an argument (in quotes where it has spaces):
//   required[=why]  enum=A,B  range=1..5  min=0  weight  gt0  positive  port  filemode  nonneg  percent  quantity
//   maxlen=N  maxitems=N  minitems  unique[=field]  labels  annotations  immutable  forbidden=why  and the names of
//   formats (formats.cpp).
// `!` behind a check: it looks at an absent value too, as 0 or "". `flat`: items are reported at the list's own path.
// `keys`: the checks behind it look at a map's keys. `optional`: the schema's "required" does not count. `stop`: the
// walk does not go in.
#include <algorithm>
#include <deque>
#include <set>
#include <unordered_map>

#include "api/rules/check.h"
#include "base/embedded.h"
#include "base/log.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::embedded_rules {
std::span<const k8lite::EmbeddedFile> files();
}

namespace k8lite::api::rules {
namespace {

using schema::Base;
using schema::Field;
using schema::Shape;
using schema::Type;

enum class Op : unsigned char {
  Required,
  Enum,
  Range,
  Min,
  Weight,
  GreaterZero,
  Positive,
  Port,
  FileMode,
  NonNegative,
  Percent,
  Quantity,
  MaxLength,
  MaxItems,
  MinItems,
  Unique,
  Labels,
  Annotations,
  Immutable,
  Forbidden,
  Format,
  Flat,
  Keys,
  Optional,
  Stop
};
struct OpName {
  std::string_view name;
  Op op;
  Format format = Format::Label;
};
constexpr OpName kOps[] = {
    {"required", Op::Required},
    {"enum", Op::Enum},
    {"range", Op::Range},
    {"min", Op::Min},
    {"weight", Op::Weight},
    {"gt0", Op::GreaterZero},
    {"positive", Op::Positive},
    {"port", Op::Port},
    {"filemode", Op::FileMode},
    {"nonneg", Op::NonNegative},
    {"percent", Op::Percent},
    {"quantity", Op::Quantity},
    {"maxlen", Op::MaxLength},
    {"maxitems", Op::MaxItems},
    {"minitems", Op::MinItems},
    {"unique", Op::Unique},
    {"labels", Op::Labels},
    {"annotations", Op::Annotations},
    {"immutable", Op::Immutable},
    {"forbidden", Op::Forbidden},
    {"flat", Op::Flat},
    {"keys", Op::Keys},
    {"optional", Op::Optional},
    {"stop", Op::Stop},
    {"label", Op::Format, Format::Label},
    {"subdomain", Op::Format, Format::Subdomain},
    {"label1035", Op::Format, Format::Label1035},
    {"qualified", Op::Format, Format::Qualified},
    {"labelvalue", Op::Format, Format::LabelValue},
    {"configkey", Op::Format, Format::ConfigKey},
    {"envname", Op::Format, Format::EnvName},
    {"portname", Op::Format, Format::PortName},
    {"ip", Op::Format, Format::Ip},
    {"cidr", Op::Format, Format::Cidr},
    {"header", Op::Format, Format::HttpHeader},
    {"segment", Op::Format, Format::PathSegment},
    {"relative", Op::Format, Format::RelativePath},
    {"local", Op::Format, Format::LocalPath},
    {"nobacksteps", Op::Format, Format::NoBacksteps},
    {"absolute", Op::Format, Format::AbsolutePath},
    {"domain3", Op::Format, Format::FullyQualified},
    {"domainpath", Op::Format, Format::DomainPath},
    {"cident", Op::Format, Format::CIdentifier},
};

struct Test {
  const OpName* op;
  std::string_view argument;
  bool strict = false;
};
// One step of a type's plan, in the order in which causes are to come.
struct Plan {
  enum class Kind : unsigned char { Field, Hook, Union } kind = Kind::Field;
  const Field* field = nullptr;
  std::vector<Test> tests;
  std::vector<const Field*> choices;  // Union
  std::string_view none, many;
  bool has(Op op) const {
    return std::any_of(tests.begin(), tests.end(), [op](const Test& t) { return t.op->op == op; });
  }
};
struct TypePlan {
  std::vector<Plan> steps;
  Hook hook = nullptr;
  bool planned(const Field& f) const {
    return std::any_of(steps.begin(), steps.end(), [&f](const Plan& p) {
      return p.field == &f || std::find(p.choices.begin(), p.choices.end(), &f) != p.choices.end();
    });
  }
};
using Plans = std::unordered_map<const Type*, TypePlan>;

// Words of a line; what stands in quotes is one with what stands before it: a="b c" -> a=b c.
void words_of(std::string_view line, std::deque<std::string>& out) {
  std::string* word = nullptr;
  bool quoted = false;
  for (char c : line) {
    if (c == ' ' && !quoted) {
      word = nullptr;
      continue;
    }
    if (!word) word = &out.emplace_back();
    if (c == '"')
      quoted = !quoted;
    else
      *word += c;
  }
}

Plan read_plan(const Type& type, const std::vector<std::string_view>& words) {
  Plan plan;
  if (words[0] == ".") {
    plan.kind = Plan::Kind::Hook;
  } else if (words[0] == "|") {
    plan.kind = Plan::Kind::Union;
    for (std::string_view name : split(words[1], ',')) {
      if (const Field* f = type.find(name))
        plan.choices.push_back(f);
      else
        log_error("rules: no such field", {{"type", type.name}, {"field", name}});
    }
    plan.none = words[2];
    plan.many = words[3];
  } else {
    plan.field = type.find(words[0]);
    if (!plan.field) log_error("rules: no such field", {{"type", type.name}, {"field", words[0]}});
    for (size_t i = 1; i < words.size(); ++i) {
      std::string_view word = words[i], argument;
      if (size_t equals = word.find('='); equals != word.npos)
        argument = word.substr(equals + 1), word = word.substr(0, equals);
      bool strict = word.ends_with('!');
      if (strict) word.remove_suffix(1);
      auto op = std::find_if(std::begin(kOps), std::end(kOps), [word](const OpName& o) { return o.name == word; });
      if (op == std::end(kOps))
        log_error("rules: no such check", {{"type", type.name}, {"field", words[0]}, {"check", word}});
      else
        plan.tests.push_back({op, argument, strict});
    }
  }
  return plan;
}

Plans load() {
  static std::deque<std::string> texts;  // what the plans point into
  Plans plans;
  for (const EmbeddedFile& file : embedded_rules::files()) {
    const Type* type = nullptr;
    for (std::string_view line : split(file.content, '\n')) {
      if (line.empty() || line[0] == '#') continue;
      size_t first = texts.size();
      words_of(line, texts);
      std::vector<std::string_view> words(texts.begin() + static_cast<std::ptrdiff_t>(first), texts.end());
      if (line[0] != ' ') {
        type = schema::find_type(words[1]);
        if (!type) log_error("rules: no such type", {{"type", words[1]}});
      } else if (type) {
        Plan plan = read_plan(*type, words);
        if (plan.kind != Plan::Kind::Field || plan.field) plans[type].steps.push_back(std::move(plan));
      }
    }
  }
  for (Hooks hooks : {pod_hooks(), container_hooks(), scheduling_hooks(), workload_hooks(), job_hooks(),
                      service_hooks(), network_hooks(), storage_hooks(), core_hooks(), quota_hooks(), policy_hooks(),
                      admission_hooks(), flow_hooks(), device_hooks()})
    for (const TypeHook& h : hooks) {
      const Type* type = schema::find_type(h.type);
      if (type)
        plans[type].hook = h.hook;
      else
        log_error("rules: no such type", {{"type", h.type}});
    }
  // What no line names is walked all the same, behind the rest.
  for (const Type* type : schema::all_types()) {
    TypePlan& plan = plans[type];
    for (const Field& f : type->fields) {
      bool text = f.required && f.base == Base::String && f.shape == Shape::Single;
      if ((f.base != Base::Object && !text) || plan.planned(f)) continue;
      Plan step;
      step.field = &f;
      plan.steps.push_back(std::move(step));
    }
    if (plan.hook &&
        std::none_of(plan.steps.begin(), plan.steps.end(), [](const Plan& p) { return p.kind == Plan::Kind::Hook; })) {
      Plan step;
      step.kind = Plan::Kind::Hook;
      plan.steps.push_back(std::move(step));
    }
  }
  return plans;
}

const Plans& plans() {
  static const Plans instance = load();
  return instance;
}

// ---- checks of one value ----

void check_text(Check& c, std::string_view child, const Node& value, const Test& t) {
  if (!value.is_string() && !t.strict) return;
  if (value.str().empty() && !t.strict && t.op->op != Op::Enum) return;
  const Node text = value.is_string() ? value : Node("");
  switch (t.op->op) {
    case Op::Enum:
      return c.one_of(child, text, t.argument);
    case Op::Format:
      return (void)c.format(child, text, t.op->format);
    case Op::MaxLength:
      if (text.str().size() > static_cast<size_t>(parse_int(t.argument).value_or(0)))
        c.too_long(child, static_cast<size_t>(parse_int(t.argument).value_or(0)));
      return;
    default:
      return;
  }
}

void check_number(Check& c, std::string_view child, const Node& value, const Test& t) {
  if (!value.is_number() && !t.strict) return;
  if (value.is_string()) return;
  int64_t n = value.int_or(0);
  const Node number(n);
  switch (t.op->op) {
    case Op::Range: {
      size_t dots = t.argument.find("..");
      return c.within(child, number, parse_int(t.argument.substr(0, dots)).value_or(0),
                      parse_int(t.argument.substr(dots + 2)).value_or(0));
    }
    case Op::Min:
      if (n < parse_int(t.argument).value_or(0))
        c.invalid(child, number, "must be greater than or equal to " + std::string(t.argument));
      return;
    case Op::NonNegative:
      return c.at_least_zero(child, number);
    case Op::Port:
      return c.within(child, number, 1, 65535);
    case Op::Weight:
      if (n < 1 || n > 100) c.invalid(child, number, "must be in the range 1-100");
      return;
    case Op::GreaterZero:
      if (n < 1) c.invalid(child, number, "must be greater than 0");
      return;
    case Op::Positive:
      if (n < 1) c.invalid(child, number, "must be greater than zero");
      return;
    case Op::FileMode:
      if (n < 0 || n > 0777) c.invalid(child, number, "must be a number between 0 and 0777 (octal), both inclusive");
      return;
    default:
      return;
  }
}

void check_unique(Check& c, const Field& field, const Node& list, const Test& t, bool flat) {
  std::set<std::string> seen;
  for (size_t i = 0; i < list.items().size(); ++i) {
    const Node& value = t.argument.empty() ? list.items()[i] : list.items()[i].get(t.argument);
    if (!given(value) || seen.insert(value.dump()).second) continue;
    c.duplicate((flat ? std::string(field.name) : item(field.name, i)) +
                    (t.argument.empty() ? "" : "." + std::string(t.argument)),
                value);
  }
}

void check_value(Check& c, std::string_view child, const Node& value, const Test& t) {
  switch (t.op->op) {
    case Op::Enum:
    case Op::Format:
    case Op::MaxLength:
      return check_text(c, child, value, t);
    case Op::Percent:
      if (value.exists()) c.int_or_percent(child, value);
      return;
    case Op::Quantity:
      if (auto q = Quantity::parse(value.str()); q && q->is_negative())
        c.invalid(child, value, "must be greater than or equal to 0");
      return;
    default:
      return check_number(c, child, value, t);
  }
}

// Checks of the field as a whole; true where it says the others need not look.
bool check_whole(Check& c, const Field& field, const Node& value, const Node& before, const Test& t, bool flat) {
  switch (t.op->op) {
    case Op::Required:
      if (given(value) || (value.exists() && field.shape == Shape::Single && field.base != Base::String)) return false;
      c.required(field.name, t.argument);
      return true;
    case Op::Forbidden:
      if (given(value) || value.is_number() || value.is_bool()) c.forbidden(field.name, t.argument);
      return value.exists();
    case Op::Immutable:
      if (c.old) c.unchanged(field.name, value, before);
      return false;
    case Op::Unique:
      return check_unique(c, field, value, t, flat), false;
    case Op::Labels:
      return c.labels(field.name, value), false;
    case Op::Annotations:
      return c.annotations(field.name, value), false;
    case Op::MaxItems: {
      size_t limit = static_cast<size_t>(parse_int(t.argument).value_or(0));
      if (value.size() > limit) c.too_many(field.name, value.size(), limit);
      return value.size() > limit;
    }
    default:
      return false;
  }
}

bool is_whole(Op op) {
  return op == Op::Required || op == Op::Forbidden || op == Op::Immutable || op == Op::Unique || op == Op::Labels ||
         op == Op::Annotations || op == Op::MaxItems || op == Op::Flat || op == Op::Keys || op == Op::Optional ||
         op == Op::Stop;
}

// False: the field is missing or forbidden, its inside is of no interest.
bool check_field(Check& c, const Plan& plan, const Node& value, const Node& before) {
  const Field& field = *plan.field;
  if (plan.tests.empty() || (!plan.has(Op::Required) && !plan.has(Op::Optional))) {
    if (field.required && field.base == Base::String && field.shape == Shape::Single && value.str().empty())
      return c.required(field.name), false;
  }
  bool flat = plan.has(Op::Flat), keys = false;
  for (const Test& t : plan.tests) {
    if (is_whole(t.op->op)) {
      keys |= t.op->op == Op::Keys;
      if (check_whole(c, field, value, before, t, flat)) return false;
    } else if (field.shape == Shape::Single) {
      check_value(c, field.name, value, t);
    } else if (field.shape == Shape::List) {
      for (size_t i = 0; i < value.items().size(); ++i)
        check_value(c, flat ? std::string(field.name) : item(field.name, i), value.items()[i], t);
    } else {
      for (const auto& [key, entry] : value.members())
        check_value(c, flat ? std::string(field.name) : key_of(field.name, key), keys ? Node(key) : entry, t);
    }
  }
  return true;
}

void walk(Check& c, const Type& type, const Node& now, const Node& before);

void walk_field(Check& c, const Field& field, const Node& value, const Node& before) {
  if (field.base != Base::Object || field.type->name == "meta/v1.ObjectMeta") return;
  if (field.shape == Shape::Single) {
    if (!value.is_object()) return;
    Step step(c, field.name);
    return walk(c, *field.type, value, before);
  }
  if (field.shape == Shape::List) {
    for (size_t i = 0; i < value.items().size(); ++i) {
      Step step(c, item(field.name, i));
      walk(c, *field.type, value.items()[i], nothing());
    }
    return;
  }
  for (const auto& [key, entry] : value.members()) {
    Step step(c, key_of(field.name, key));
    walk(c, *field.type, entry, before.get(key));
  }
}

void walk_union(Check& c, const Plan& plan, const Node& now, const Node& before) {
  const Field* chosen = nullptr;
  for (const Field* f : plan.choices) {
    if (!now.get(f->name).exists()) continue;
    if (chosen) {
      c.forbidden(f->name, plan.many);
      continue;
    }
    chosen = f;
    walk_field(c, *f, now.get(f->name), before.get(f->name));
  }
  if (!chosen && !plan.none.empty()) c.required("", plan.none);
}

void enter_pod(Check& c, const Node& spec) {
  static const Node kClaim = Node::obj({{"persistentVolumeClaim", Node::object()}});
  c.pod = &spec;
  c.volumes.clear();
  for (const Node& t : c.root.path("spec.volumeClaimTemplates").items())
    c.volumes[t.path("metadata.name").str()] = &kClaim;
  for (const Node& v : spec.get("volumes").items()) c.volumes[v.get("name").str()] = &v;
}

void walk(Check& c, const Type& type, const Node& now, const Node& before) {
  auto found = plans().find(&type);
  if (found == plans().end()) return;
  bool top = c.path.empty();
  const Node* pod = c.pod;
  if (type.name == "core/v1.PodSpec") enter_pod(c, now);
  for (const Plan& plan : found->second.steps) {
    if (plan.kind == Plan::Kind::Hook) {
      if (found->second.hook) found->second.hook(c, now, before);
    } else if (plan.kind == Plan::Kind::Union) {
      walk_union(c, plan, now, before);
    } else if (!(top && (plan.field->name == "status" || plan.field->name == "metadata"))) {
      const Node &value = now.get(plan.field->name), &was = before.get(plan.field->name);
      if (check_field(c, plan, value, was) && !plan.has(Op::Stop)) walk_field(c, *plan.field, value, was);
    }
  }
  c.pod = pod;
}

}  // namespace

void check_fields(Check& c) {
  if (c.kind.type) walk(c, *c.kind.type, c.root, c.old ? *c.old : nothing());
}

void check_type(Check& c, std::string_view type, std::string_view child, const Node& value) {
  if (!value.is_object()) return;
  Step step(c, child);
  walk(c, *schema::find_type(type), value, nothing());
}

}  // namespace k8lite::api::rules
