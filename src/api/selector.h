// Label and field selectors: parsed once, matched against many objects. Pure. (Kubernetes "Labels and Selectors" and "Field
// Selectors" documentation.) Empty selectors match everything.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace k8lite::api {

class LabelSelector {
 public:
  enum class Operator : unsigned char { In, NotIn, Exists, DoesNotExist, Greater, Less };
  struct Requirement {
    std::string key;
    Operator op;
    std::vector<std::string> values;
  };

  // "a=b,c!=d,e in (x,y),f notin (z),g,!h,i>3". BadRequest naming what was found where.
  static Result<LabelSelector> parse(std::string_view text);
  // metav1.LabelSelector: matchLabels and matchExpressions. A missing object matches nothing, {} everything.
  static Result<LabelSelector> from_object(json::Value selector);

  bool matches(json::Value labels) const;
  bool empty() const { return requirements_.empty() && !nothing_; }
  std::string text() const;  // the selector as kubectl prints it: keys and values sorted
  const std::vector<Requirement>& requirements() const { return requirements_; }

 private:
  std::vector<Requirement> requirements_;
  bool nothing_ = false;
};

// "metadata.name=x,spec.nodeName!=y"; a backslash escapes ',', '=' and itself in values.
class FieldSelector {
 public:
  struct Term {
    std::string field, value;
    bool equal = true;
    std::string path;    // where it stands; "" : where `field` says
    std::string absent;  // what an absent field counts as
  };
  static Result<FieldSelector> parse(std::string_view text);
  // Fields are looked up by their dotted path; an absent one counts as "". Numbers and booleans compare by their JSON text.
  bool matches(json::Value object) const;
  const std::vector<Term>& terms() const { return terms_; }
  std::vector<Term>& terms() { return terms_; }

 private:
  std::vector<Term> terms_;
};

}  // namespace k8lite::api
