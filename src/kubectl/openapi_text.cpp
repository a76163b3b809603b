// Schemas refer to each other by $ref, alone or in an allOf of one; lists and maps are looked through.
#include "kubectl/openapi_text.h"

#include <algorithm>

#include "base/strings.h"
#include "kubectl/jsonpath.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

constexpr size_t kWidth = 76;
constexpr size_t kMaxDepth = 20;

class Explainer {
 public:
  Explainer(const Node& openapi, std::string& out) : schemas_(openapi.path("components.schemas")), out_(out) {}

  Result<> explain(const Explained& what) {
    if (!what.group.empty()) out_ += "GROUP:      " + what.group + "\n";
    out_ += "KIND:       " + what.kind + "\nVERSION:    " + what.version + "\n\n";
    const Node* schema = kind_schema(what);
    if (!schema) return bad_request("GVK (" + what.group + "/" + what.version + ", Kind=" + what.kind + ") not found in OpenAPI schema");
    const Node* field = schema;
    for (const std::string& name : what.path) {
      const Node& owner = inside(*field);
      field = owner["properties"].find(name);
      if (!field) return bad_request("field " + json::quoted(name) + " does not exist");
    }
    if (!what.path.empty()) out_ += "FIELD: " + what.path.back() + " <" + type_of(*field) + ">\n\n";
    if (const Node& values = inside(*field)["enum"]; !values.empty()) {
      out_ += "ENUM:\n";
      for (const Node& v : values.items()) out_ += "    " + jsonpath_text(v) + "\n";
      out_ += "\n";
    } else if (!what.path.empty()) {
      out_ += "\n";
    }
    out_ += "DESCRIPTION:\n";
    std::string text = describe(*field);
    wrap(text.empty() ? "<empty>" : text);
    if (!text.empty()) out_ += "    \n";
    const Node& owner = inside(*field);
    if (!owner["properties"].empty()) {
      out_ += "FIELDS:\n";
      put_fields(owner, what.recursive, 1);
    }
    out_ += "\n";
    return {};
  }

 private:
  const Node* kind_schema(const Explained& what) const {
    for (const auto& s : schemas_.members())
      for (const Node& gvk : s.second["x-kubernetes-group-version-kind"].items())
        if (gvk["group"].str() == what.group && gvk["version"].str() == what.version && gvk["kind"].str() == what.kind) return &s.second;
    return nullptr;
  }

  static std::string ref_name(const Node& schema) {
    std::string ref = schema["$ref"].str();
    if (ref.empty() && schema["allOf"].size() == 1) ref = schema["allOf"].items()[0]["$ref"].str();
    return ref.substr(ref.rfind('/') + 1);
  }

  const Node& resolved(const Node& schema) const {
    std::string name = ref_name(schema);
    return name.empty() ? schema : schemas_[name];
  }

  // What a field is made of: through references, lists and maps.
  const Node& inside(const Node& schema) const {
    const Node* at = &resolved(schema);
    for (size_t i = 0; i < kMaxDepth; ++i) {
      if (at->find("items")) at = &resolved(at->get("items"));
      else if (at->get("additionalProperties").is_object()) at = &resolved(at->get("additionalProperties"));
      else break;
    }
    return *at;
  }

  static bool is_required(const Node& owner, const std::string& name) {
    const auto& list = owner["required"].items();
    return std::any_of(list.begin(), list.end(), [&name](const Node& n) { return n.str() == name; });
  }

  std::string type_of(const Node& schema) const {
    std::string ref = ref_name(schema);
    if (!ref.empty()) return ref.substr(ref.rfind('.') + 1);
    if (schema.find("items")) return "[]" + type_of(schema["items"]);
    if (schema["additionalProperties"].is_object()) return "map[string]" + type_of(schema["additionalProperties"]);
    std::string type = schema["type"].str_or("Object");
    return type == "object" ? "Object" : type;
  }

  std::string describe(const Node& schema) const {
    const std::string& own = schema["description"].str();
    std::string below = resolved(schema)["description"].str();
    if (below.empty() || &resolved(schema) == &schema) below = inside(schema)["description"].str();
    if (own.empty() || own == below) return own.empty() ? below : own;
    return below.empty() || schema.find("properties") ? own : own + "\n" + below;
  }

  // Words in lines of at most 76 columns, behind four spaces.
  void wrap(const std::string& text) {
    for (std::string_view paragraph : split(text, '\n')) {
      std::string line;
      for (std::string_view word : split(paragraph, ' ')) {
        if (!line.empty() && line.size() + 1 + word.size() > kWidth) {
          out_ += "    " + line + "\n";
          line.clear();
        }
        line += (line.empty() ? "" : " ") + std::string(word);
      }
      out_ += line.empty() ? "\n" : "    " + line + "\n";
    }
  }

  void put_fields(const Node& owner, bool recursive, size_t level) {
    Node properties = sorted_keys(owner["properties"]);
    for (const auto& p : properties.members()) {
      std::string pad(level * 2, ' ');
      out_ += pad + p.first + "\t<" + type_of(p.second) + ">" + (is_required(owner, p.first) ? " -required-" : "") + "\n";
      const Node& below = inside(p.second);
      if (!below["enum"].empty()) {
        std::vector<std::string> values;
        for (const Node& v : below["enum"].items()) values.push_back(jsonpath_text(v));
        out_ += pad + "enum: " + join(values, ", ") + "\n";
      }
      if (!recursive) {
        std::string text = p.second["description"].str();  // that of its type only where it has none of its own
        if (text.empty()) text = describe(p.second);
        wrap(text.empty() ? "<no description>" : text);
        out_ += "\n";
        continue;
      }
      std::string name = ref_name(p.second.find("items") ? p.second["items"] : p.second["additionalProperties"].is_object() ? p.second["additionalProperties"] : p.second);
      if (below["properties"].empty() || std::find(open_.begin(), open_.end(), name) != open_.end() || level > kMaxDepth) continue;
      open_.push_back(name);  // a kind of field inside of itself is named, not opened again
      put_fields(below, true, level + 1);
      open_.pop_back();
    }
  }

  const Node& schemas_;
  std::string& out_;
  std::vector<std::string> open_;
};

}  // namespace

Result<> explain_schema(const Node& openapi, const Explained& what, std::string& out) { return Explainer(openapi, out).explain(what); }

}  // namespace k8lite::kubectl
