// What the fields of the built-in types mean, in a sentence each, for OpenAPI and `kubectl explain`. The texts (embedded/docs/) lie
// compressed in the executable; an object of this class unpacks them and lets go of them when it goes.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace k8lite::api {

class Docs {
 public:
  Docs();
  Docs(const Docs&) = delete;
  Docs& operator=(const Docs&) = delete;

  // Of a field ("core/v1.Pod", "spec"), or of the type itself with field "". "" where nothing is written.
  std::string_view of(std::string_view type, std::string_view field) const;

 private:
  struct Line {
    std::string_view group, type, field, text;  // group "*": every group; type "*Suffix"
  };
  void read(std::string_view line, std::string_view group);
  std::string_view exact(std::string_view group, std::string_view type, std::string_view field) const;
  std::string_view shared(std::string_view group, std::string_view type, std::string_view field) const;

  std::string text_;
  std::vector<Line> lines_;    // sorted by type, then field
  std::vector<Line> shared_;   // whose type begins with *
  std::vector<Line> aliases_;  // text: the type that says it
};

}  // namespace k8lite::api
