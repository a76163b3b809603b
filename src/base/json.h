// JSON in two forms. `Doc` is the one immutable form of an object at rest and in flight: compact JSON bytes plus an index of its
// containers (8 bytes for each object or array), parsed once a write and shared by store, watch, informers and patches. `Value` is
// a read-only view into a Doc. `Node` is a mutable tree for the few places that build or change an object.
// Nothing here throws, and a missing field reads as a missing Value, so views chain: doc["spec"]["replicas"].int_or(1).
#pragma once
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace k8lite::json {

enum class Kind : unsigned char { Missing, Null, Bool, Number, String, Array, Object };

class Node;

namespace detail {
// Byte range of one container in document order, and how many containers lie inside it (all depths).
struct Container {
  uint32_t end;     // offset just past its closing bracket
  uint32_t nested;  // containers inside it
};
// One piece of memory holds the counter, the bytes' string and the index: stored objects are many.
struct DocData {
  std::string bytes;
  std::atomic<uint32_t> holders{1};
  uint32_t containers = 0;
  Container index[];  // `containers` of them
  static DocData* create(std::string bytes, const std::vector<Container>& index);
  void let_go() noexcept;
};
void append_utf8(std::string& out, uint32_t code_point);
}  // namespace detail

// A view into a Doc; valid as long as a Doc (copy) holds the bytes. Cheap to copy.
class Value {
 public:
  Value() = default;

  Kind kind() const;
  bool exists() const { return data_ != nullptr; }
  explicit operator bool() const { return exists(); }  // true when the field is there (also when null or false)
  bool is_null() const { return kind() == Kind::Null; }
  bool is_string() const { return kind() == Kind::String; }
  bool is_object() const { return kind() == Kind::Object; }
  bool is_array() const { return kind() == Kind::Array; }

  // Member or element; missing when this is no object/array or has none such. Linear in the members before it.
  Value operator[](std::string_view key) const;
  Value at(size_t i) const;
  // Walks a dotted path of member names without escapes: "spec.template.spec".
  Value path(std::string_view dotted) const;

  std::string str(std::string_view otherwise = {}) const;  // decoded text of a String, else `otherwise`
  bool equals(std::string_view text) const;                // is a String with this text
  int64_t int_or(int64_t otherwise) const;                 // Number (truncated), else `otherwise`
  double double_or(double otherwise) const;
  bool bool_or(bool otherwise) const;
  bool is_integer() const;  // a Number without fraction or exponent that fits 64 bits

  size_t size() const;  // members or elements; 0 otherwise
  bool empty() const;   // missing, null, "", [] or {}

  std::string_view raw() const;  // the JSON bytes of this value; "" when missing
  Node to_node() const;

  struct Member;
  class MemberRange;
  class ItemRange;
  MemberRange members() const;  // for (auto m : v.members()) use(m.key(), m.value)
  ItemRange items() const;      // for (Value v : list.items())

 private:
  friend class Doc;
  Value(const detail::DocData* d, uint32_t offset, uint32_t index) : data_(d), offset_(offset), index_(index) {}
  // Steps past this value: offset behind it and the index of the next container.
  std::pair<uint32_t, uint32_t> after() const;

  const detail::DocData* data_ = nullptr;
  uint32_t offset_ = 0;
  uint32_t index_ = 0;  // index of the first container at or behind offset_
};

struct Value::Member {
  std::string_view raw_key;  // between the quotes, still escaped
  Value value;
  std::string key() const;
};

class Value::MemberRange {
 public:
  class Iterator {
   public:
    Member operator*() const { return member_; }
    const Member* operator->() const { return &member_; }
    Iterator& operator++();
    bool operator!=(const Iterator& o) const { return done_ != o.done_; }

   private:
    friend class MemberRange;
    void read(uint32_t offset, uint32_t index);
    const detail::DocData* data_ = nullptr;
    Member member_;
    bool done_ = true;
  };
  Iterator begin() const;
  Iterator end() const { return {}; }

 private:
  friend class Value;
  const detail::DocData* data_ = nullptr;
  uint32_t offset_ = 0, index_ = 0;
};

class Value::ItemRange {
 public:
  class Iterator {
   public:
    Value operator*() const { return value_; }
    Iterator& operator++();
    bool operator!=(const Iterator& o) const { return value_.exists() != o.value_.exists(); }

   private:
    friend class ItemRange;
    Value value_;
  };
  Iterator begin() const;
  Iterator end() const { return {}; }

 private:
  friend class Value;
  const detail::DocData* data_ = nullptr;
  uint32_t offset_ = 0, index_ = 0;
};

struct ParseOptions {
  uint32_t max_depth = 512;                             // deeper nesting is an error naming the limit
  std::vector<std::string>* duplicates = nullptr;       // gets the dotted path of each key seen twice (the last value wins)
};

// Immutable, reference-counted. An empty Doc (default) has no bytes and a missing root.
class Doc {
 public:
  Doc() = default;
  Doc(const Doc& o) noexcept : data_(o.data_) {
    if (data_) data_->holders.fetch_add(1, std::memory_order_relaxed);
  }
  Doc(Doc&& o) noexcept : data_(std::exchange(o.data_, nullptr)) {}
  Doc& operator=(Doc o) noexcept {
    std::swap(data_, o.data_);
    return *this;
  }
  ~Doc() {
    if (data_) data_->let_go();
  }
  // Errors are BadRequest with the byte offset. Accepts any valid UTF-8 JSON text; keeps members in order.
  static Result<Doc> parse(std::string_view text, ParseOptions options = {});
  static Doc from(const Node& node);
  // For bytes that came from bytes() before (the store's own files): indexed, not validated.
  static Doc from_canonical(std::string bytes);

  explicit operator bool() const { return data_ != nullptr; }
  Value root() const;
  Value operator[](std::string_view key) const { return root()[key]; }
  Value path(std::string_view dotted) const { return root().path(dotted); }
  const std::string& bytes() const;
  Node to_node() const;
  size_t memory() const;  // bytes held, for accounting
  bool same(const Doc& o) const { return data_ == o.data_; }
  bool operator==(const Doc& o) const { return same(o) || bytes() == o.bytes(); }

 private:
  detail::DocData* data_ = nullptr;  // never changed once it is made
};

// Mutable JSON value. Objects keep the order of insertion; a Missing node is what find() and get() return for nothing.
class Node {
 public:
  using Member = std::pair<std::string, Node>;

  Node() : int_(0) {}  // null
  Node(std::nullptr_t) {}
  Node(bool b) : kind_(Kind::Bool), int_(b) {}
  Node(int v) : Node(static_cast<int64_t>(v)) {}
  Node(unsigned v) : Node(static_cast<int64_t>(v)) {}
  Node(long v) : kind_(Kind::Number), int_(v) {}
  Node(long long v) : Node(static_cast<long>(v)) {}
  Node(unsigned long v) : Node(static_cast<long>(v)) {}
  Node(double v) : kind_(Kind::Number), is_double_(true), double_(v) {}
  Node(const char* s) : kind_(Kind::String), str_(s) {}
  Node(std::string s) : kind_(Kind::String), str_(std::move(s)) {}
  Node(std::string_view s) : kind_(Kind::String), str_(s) {}
  Node(const Node& o);
  Node(Node&& o) noexcept { take(o); }
  Node& operator=(const Node& o);
  Node& operator=(Node&& o) noexcept;
  ~Node() { clear(); }
  static Node object();
  static Node array();
  // Node::obj({{"a", 1}, {"b", Node::arr({"x", "y"})}})
  static Node obj(std::initializer_list<std::pair<std::string_view, Node>> members);
  static Node arr(std::initializer_list<Node> items);

  static Result<Node> parse(std::string_view text, ParseOptions options = {});

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::Null; }
  bool is_bool() const { return kind_ == Kind::Bool; }
  bool is_number() const { return kind_ == Kind::Number; }
  bool is_integer() const { return kind_ == Kind::Number && !is_double_; }
  bool is_string() const { return kind_ == Kind::String; }
  bool is_array() const { return kind_ == Kind::Array; }
  bool is_object() const { return kind_ == Kind::Object; }
  bool exists() const { return kind_ != Kind::Missing; }
  bool empty() const;  // missing, null, "", [] or {}
  size_t size() const;

  const std::string& str() const;  // text of a String, "" otherwise
  std::string str_or(std::string_view otherwise) const { return is_string() ? str_ : std::string(otherwise); }
  int64_t int_or(int64_t otherwise) const;
  double double_or(double otherwise) const;
  bool bool_or(bool otherwise) const { return is_bool() ? int_ != 0 : otherwise; }

  // Objects. operator[] turns null into an object and adds the member (null) where it is not there; the others never change anything.
  Node& operator[](std::string_view key);
  const Node& operator[](std::string_view key) const { return get(key); }
  const Node& get(std::string_view key) const;  // the member or a Missing node
  Node* find(std::string_view key);             // nullptr when absent
  const Node* find(std::string_view key) const;
  const Node& path(std::string_view dotted) const;
  void set(std::string_view key, Node value) { (*this)[key] = std::move(value); }
  bool erase(std::string_view key);
  std::vector<Member>& members();  // of anything but an object: none, and what is added is lost
  const std::vector<Member>& members() const { return const_cast<Node*>(this)->members(); }

  // Arrays. append turns null into an array.
  Node& append(Node value);
  std::vector<Node>& items();  // of anything but an array: none, and what is added is lost
  const std::vector<Node>& items() const { return const_cast<Node*>(this)->items(); }

  // Same JSON value; the order of members does not matter, 1 and 1.0 are equal.
  bool operator==(const Node& o) const;

  std::string dump() const;                        // compact
  std::string dump_pretty(int indent = 4) const;   // as kubectl -o json prints
  void dump_to(std::string& out, std::vector<detail::Container>* index = nullptr) const;

 private:
  friend struct NodeParser;
  static const Node& missing();
  void take(Node& o) noexcept;
  void clear() noexcept;

  Kind kind_ = Kind::Null;
  bool is_double_ = false;
  // Which of these lives, kind_ says: the whole is 40 bytes.
  union {
    int64_t int_ = 0;
    double double_;
    std::string str_;
    std::vector<Node> items_;
    std::vector<Member> members_;
  };
};

inline Node Doc::to_node() const { return root().to_node(); }

// Appends text as a JSON string with its quotes.
void append_quoted(std::string& out, std::string_view text);
std::string quoted(std::string_view text);
// Shortest text that reads back as the same double, as encoding/json prints it (1e+21 form for large exponents).
std::string number_text(double d);

}  // namespace k8lite::json
