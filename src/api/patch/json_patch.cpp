// RFC 6902 over json::Node; paths are JSON pointers (RFC 6901).
#include "api/patch/patch.h"
#include "base/strings.h"

namespace k8lite::api::patch {
namespace {

using json::Node;
using Pointer = std::vector<std::string>;

Result<Pointer> parse_pointer(const std::string& text) {
  Pointer out;
  if (text.empty()) return out;
  if (text[0] != '/') return bad_request("path \"" + text + "\" does not start with \"/\"");
  for (auto piece : split(std::string_view(text).substr(1), '/')) {
    std::string token;
    for (size_t i = 0; i < piece.size(); ++i) {
      if (piece[i] != '~') {
        token += piece[i];
        continue;
      }
      if (++i == piece.size() || (piece[i] != '0' && piece[i] != '1')) return bad_request("path \"" + text + "\" has a \"~\" that is neither ~0 nor ~1");
      token += piece[i] == '0' ? '~' : '/';
    }
    out.push_back(std::move(token));
  }
  return out;
}

// An array index below `limit`; no sign, no leading zeros.
Result<size_t> parse_index(const std::string& token, size_t limit) {
  bool digits = !token.empty() && token.size() < 10 && (token.size() == 1 || token[0] != '0');
  for (char c : token) digits &= c >= '0' && c <= '9';
  if (!digits) return Status(Reason::Invalid, "\"" + token + "\" is no array index");
  auto n = static_cast<size_t>(*parse_int(token));
  if (n >= limit) return Status(Reason::Invalid, "index " + token + " is out of bounds");
  return n;
}

Result<Node*> step(Node& node, const std::string& token) {
  if (node.is_object()) {
    if (Node* member = node.find(token)) return member;
    return Status(Reason::Invalid, "there is no member \"" + token + "\"");
  }
  if (node.is_array()) {
    TRY(size_t i, parse_index(token, node.size()));
    return &node.items()[i];
  }
  return Status(Reason::Invalid, "there is nothing below \"" + token + "\"");
}

Result<Node*> walk(Node& root, const Pointer& path, size_t drop_last) {
  Node* node = &root;
  for (size_t i = 0; i + drop_last < path.size(); ++i) {
    TRY(node, step(*node, path[i]));
  }
  return node;
}

Result<> add(Node& root, const Pointer& path, Node value) {
  if (path.empty()) {
    root = std::move(value);
    return {};
  }
  TRY(Node * parent, walk(root, path, 1));
  if (parent->is_object()) {
    parent->set(path.back(), std::move(value));
    return {};
  }
  if (!parent->is_array()) return Status(Reason::Invalid, "there is nothing to add \"" + path.back() + "\" to");
  size_t at = parent->size();
  if (path.back() != "-") {
    TRY(at, parse_index(path.back(), parent->size() + 1));
  }
  parent->items().insert(parent->items().begin() + static_cast<std::ptrdiff_t>(at), std::move(value));
  return {};
}

Result<Node> remove(Node& root, const Pointer& path) {
  if (path.empty()) return Status(Reason::Invalid, "the whole document cannot be removed");
  TRY(Node * parent, walk(root, path, 1));
  TRY(Node * target, step(*parent, path.back()));
  Node taken = std::move(*target);
  if (parent->is_object()) parent->erase(path.back());
  else parent->items().erase(parent->items().begin() + (target - parent->items().data()));
  return taken;
}

bool is_prefix(const Pointer& a, const Pointer& b) { return a.size() < b.size() && std::equal(a.begin(), a.end(), b.begin()); }

Result<> apply_one(Node& root, const std::string& op, const Pointer& path, const Node& operation) {
  const Node* value = operation.find("value");
  if ((op == "add" || op == "replace" || op == "test") && !value) return bad_request("the member \"value\" is missing");
  Pointer from;
  if (op == "move" || op == "copy") {
    const Node* f = operation.find("from");
    if (!f || !f->is_string()) return bad_request("the member \"from\" is missing");
    TRY(from, parse_pointer(f->str()));
  }
  if (op == "add") return add(root, path, *value);
  if (op == "remove") {
    TRY_OK(remove(root, path));
    return {};
  }
  if (op == "replace") {
    TRY(Node * target, walk(root, path, 0));
    *target = *value;
    return {};
  }
  if (op == "move") {
    if (is_prefix(from, path)) return Status(Reason::Invalid, "a value cannot be moved into itself");
    TRY(Node taken, remove(root, from));
    return add(root, path, std::move(taken));
  }
  if (op == "copy") {
    TRY(Node * source, walk(root, from, 0));
    return add(root, path, Node(*source));
  }
  if (op == "test") {
    TRY(Node * target, walk(root, path, 0));
    if (*target == *value) return {};
    return Status(Reason::Invalid, "the value is " + target->dump() + ", not " + value->dump());
  }
  return bad_request("unknown operation");
}

}  // namespace

Result<Node> apply_json_patch(Node document, const Node& operations) {
  if (!operations.is_array()) return bad_request("a JSON patch is an array of operations");
  if (operations.size() > kMaxOperations)
    return Status(Reason::RequestEntityTooLarge, "The allowed maximum operations in a JSON patch is " + std::to_string(kMaxOperations) + ", got " + std::to_string(operations.size()));
  for (size_t i = 0; i < operations.size(); ++i) {
    const Node& operation = operations.items()[i];
    const Node *op = operation.find("op"), *path = operation.find("path");
    std::string where = "JSON patch operation " + std::to_string(i);
    if (!op || !op->is_string() || !path || !path->is_string()) return bad_request(where + ": \"op\" and \"path\" must be strings");
    where.append(" (").append(op->str()).append(" ").append(path->str()).append(")");
    auto pointer = parse_pointer(path->str());
    if (!pointer.ok()) return std::move(pointer).status().within(where);
    if (auto r = apply_one(document, op->str(), *pointer, operation); !r.ok()) return std::move(r).status().within(where);
  }
  return document;
}

Node apply_merge_patch(Node document, const Node& patch) {
  if (!patch.is_object()) return patch;
  if (!document.is_object()) document = Node::object();
  for (const auto& [key, value] : patch.members()) {
    if (value.is_null()) {
      document.erase(key);
    } else {
      Node* member = document.find(key);
      Node merged = apply_merge_patch(member ? std::move(*member) : Node(), value);
      document.set(key, std::move(merged));
    }
  }
  return document;
}

Node make_merge_patch(const Node& from, const Node& to) {
  if (!from.is_object() || !to.is_object()) return to;
  Node out = Node::object();
  for (const auto& [key, value] : to.members()) {
    const Node* old = from.find(key);
    if (old && *old == value) continue;
    // A new object is sent as a patch of {} too: null members inside it would remove nothing.
    out.set(key, old && old->is_object() && value.is_object() ? make_merge_patch(*old, value) : value);
  }
  for (const auto& member : from.members())
    if (!to.find(member.first)) out.set(member.first, Node());
  return out;
}

}  // namespace k8lite::api::patch
