// Content negotiation: what a client wants to read (JSON, YAML, a Table, only metadata) and how bodies are read and errors written.
#pragma once
#include "apiserver/rest.h"
#include "net/http.h"

namespace k8lite::apiserver {

struct Accept {
  enum class Form : unsigned char { Object, Table, PartialMetadata } form = Form::Object;
  enum class Format : unsigned char { Json, Yaml, Protobuf } format = Format::Json;
};
// The best of the alternatives in the header by quality and order (RFC 9110, 12.5.1); NotAcceptable when none can be served. `stream`: for
// a watch, which has no YAML.
Result<Accept> read_accept(std::string_view header, bool stream = false);
// The same for a request: of all its headers.
Result<Accept> read_accept(const net::Request& request, bool stream = false);
// Does the one who asks want lines to read? By `pretty` in the query or the header, else those who ask with curl, wget or a browser.
bool wants_pretty(const net::Request& request);

// A request body as a JSON tree, by its content type (JSON, YAML, protobuf). UnsupportedMediaType for others.
Result<json::Node> read_object_body(std::string_view content_type, std::string_view body, std::vector<std::string>* duplicates);

json::Node status_object(const Status& status);  // metav1.Status

// metav1.Table of these objects; `include` is None, Metadata or Object.
std::string table_text(const ResourceType& type, const std::vector<store::ObjectPtr>& items, std::string_view include, bool with_definitions, const std::string& list_metadata, Instant now);
// The text of what is no stored object (a Scale, a review), in the form that was asked for; a Status is always itself.
std::string document_text(const Accept& accept, const json::Doc& document, std::string_view include, Instant now);
std::string partial_metadata(const ResourceType& type, const store::Object& object);
// The text of a list, a piece of some 60 KiB a call; false when that was the last.
class ListText {
 public:
  ListText(ResourceTypePtr type, Page page, bool partial) : type_(std::move(type)), page_(std::move(page)), partial_(partial) {}
  bool next(std::string& out);

 private:
  ResourceTypePtr type_;
  Page page_;
  bool partial_;
  size_t at_ = 0;
};
std::string list_metadata(const Page& page);  // the JSON of metav1.ListMeta

}  // namespace k8lite::apiserver
