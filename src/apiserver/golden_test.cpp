// Requests and what is answered, as text: test/conformance/http/*.txt, one world a file. "> METHOD target", headers, an empty line and a
// body ask; "< status", headers and a body are what must come. What differs from run to run is masked, and a request may name what the
// answer before it held: ${uid}, ${rv}, ${continue}. K8_GOLDEN=write writes the answers that came into the files, to be read as a diff.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/strings.h"
#include "support/api_world.h"

using namespace k8lite;
using json::Node;
using testing::ApiWorld;
using testing::HttpAnswer;

namespace {

namespace fs = std::filesystem;

struct Step {
  std::string before;                      // comments and empty lines
  std::string head, headers, body, answer;  // as they stand in the file; the answer with its "< "
};

std::vector<Step> read_steps(const fs::path& path, std::string& rest) {
  std::ifstream in(path);
  std::vector<Step> steps;
  enum { Before, Headers, Body, Answer } part = Before;
  std::string line, comments;
  while (std::getline(in, line)) {
    bool asks = line.starts_with("> "), comment = line.starts_with("#");
    if (asks) {
      steps.push_back({comments, line.substr(2), "", "", ""});
      comments.clear();
      part = Headers;
    } else if (comment && part != Body) {
      comments += line + "\n";
      part = Before;
    } else if (part == Before) {
      comments += line + "\n";
    } else if (line.starts_with("< ")) {
      steps.back().answer += line + "\n";
      part = Answer;
    } else if (part == Headers && line.empty()) {
      part = Body;
    } else {
      Step& s = steps.back();
      (part == Headers ? s.headers : part == Body ? s.body : s.answer) += line + "\n";
    }
  }
  rest = comments;
  for (Step& s : steps) s.answer = std::string(trim(s.answer));
  return steps;
}

// What is another one each time. Times are none of it: the clock of the world stands still.
void mask(Node& n) {
  if (n.is_array())
    for (Node& item : n.items()) mask(item);
  if (!n.is_object()) return;
  for (auto& [key, value] : n.members()) {
    bool text = value.is_string() && !value.str().empty();
    if (text && (key == "uid" || key == "continue" || key == "token" || key == "resourceVersion")) value = Node("<" + key + ">");
    else mask(value);
  }
}

std::string masked_text(std::string text, const Node& last) {
  for (const char* key : {"uid", "resourceVersion", "continue"}) {
    const std::string& value = last.get("metadata").get(key).str();
    for (size_t at = 0; value.size() > 8 && (at = text.find(value, at)) != text.npos;) text.replace(at, value.size(), std::string("<") + key + ">");
  }
  return text;
}

// The same of a text that is shown as it came: YAML, and JSON for people.
std::string masked_lines(std::string_view text) {
  std::string out, line;
  std::istringstream lines{std::string(text)};
  while (std::getline(lines, line)) {
    for (std::string key : {"uid", "resourceVersion", "continue", "token"}) {
      std::string_view bare = trim(std::string_view(line));
      if (!bare.starts_with(key + ": ") && !bare.starts_with("\"" + key + "\": ")) continue;
      bool comma = line.ends_with(",");
      line = line.substr(0, line.find(": ")) + ": <" + key + ">" + (comma ? "," : "");
    }
    out += line + "\n";
  }
  return std::string(trim(std::string_view(out)));
}

std::string text_of(const HttpAnswer& a) {
  std::string out = "< " + std::to_string(a.status) + "\n";
  for (const char* name : {"Content-Type", "Retry-After", "WWW-Authenticate", "Location"})
    if (auto v = a.headers.get(name); !v.empty()) out += std::string(name) + ": " + std::string(v) + "\n";
  for (auto v : a.headers.all("Warning")) out += "Warning: " + std::string(v) + "\n";
  out += "\n";
  if (a.headers.get("Content-Type").find("protobuf") != std::string_view::npos) return out + "(" + (a.body.empty() ? "nothing" : "bytes") + ")";
  bool stream = a.body.starts_with("{\"type\":");
  std::istringstream lines(a.body);
  std::string line;
  for (bool more = true; stream && more && std::getline(lines, line);) {
    Node n = Node::parse(line).value_or({});
    mask(n);
    out += masked_text(n.dump(), n) + "\n";
  }
  if (stream) return std::string(trim(out));
  auto n = Node::parse(a.body);
  // A body that came pretty has more lines than one.
  if (!n.ok() || a.body.find("\n ") != std::string::npos) return out + masked_lines(trim(a.body));
  Node last = *n;
  mask(*n);
  return out + masked_text(n->dump_pretty(2), last);
}

std::string filled(std::string text, const Node& last) {
  const std::pair<const char*, const char*> names[] = {{"${uid}", "uid"}, {"${rv}", "resourceVersion"}, {"${continue}", "continue"}};
  for (const auto& [name, key] : names)
    for (size_t at = 0; (at = text.find(name)) != text.npos;) text.replace(at, std::string_view(name).size(), last.get("metadata").get(key).str());
  return text;
}

HttpAnswer ask(ApiWorld& w, const Step& s, Node& last) {
  size_t space = s.head.find(' ');
  net::Headers headers;
  std::string token = "admin", line;
  std::istringstream lines(s.headers);
  while (std::getline(lines, line)) {
    size_t colon = line.find(": ");
    REQUIRE(colon != line.npos);
    if (line.starts_with("As: ")) token = line == "As: nobody" ? "" : line.substr(4);
    else headers.add(line.substr(0, colon), line.substr(colon + 2));
  }
  HttpAnswer a = w.ask(s.head.substr(0, space), filled(s.head.substr(space + 1), last), filled(std::string(trim(s.body)), last), headers, token);
  if (Node n = a.json(); n.get("metadata").get("resourceVersion").exists()) last = std::move(n);
  return a;
}

}  // namespace

TEST_CASE("golden: what is asked is answered as it is written down", "[golden]") {
  const char* mode = std::getenv("K8_GOLDEN");
  bool write = mode && std::string_view(mode) == "write";
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(K8_SOURCE_DIR "/test/conformance/http"))
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  REQUIRE_FALSE(files.empty());
  for (const auto& path : files) {
    ApiWorld w;
    (void)w.ask("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"default"}})");
    Node last;
    std::string rest, whole;
    for (const Step& s : read_steps(path, rest)) {
      std::string came = text_of(ask(w, s, last));
      INFO(path.filename().string() << ": " << s.head);
      if (!write) CHECK(s.answer == came);
      whole += s.before + "> " + s.head + "\n" + s.headers + (s.body.empty() ? "" : "\n" + s.body) + came + "\n\n";
    }
    if (write) std::ofstream(path) << trim(whole + rest) << "\n";
  }
}
