// Answers as bytes: an object, a list or the event of a watch in the form and the encoding that the client asked for
// (JSON, YAML, protobuf; whole, as a Table or only its metadata).
#pragma once
#include "apiserver/http/negotiate.h"

namespace k8lite::apiserver {

struct Rendered {
  std::string body, content_type;
};

// An answer to a request for one object. BadRequest for an `includeObject` that is none; NotAcceptable for what has no
// protobuf form.
Result<Rendered> render(const Accept& accept, const Answer& answer, std::string_view include_object, Instant now);
Result<Rendered> render_list(const Accept& accept, ResourceTypePtr type, Page page, std::string_view include_object,
                             Instant now);
// An error: never fails, JSON where nothing else fits.
// `continue_token`: how a list that has lost its snapshot can go on.
Rendered render_status(const Accept& accept, const Status& status, const std::string& continue_token = {});

// The events of one watch. Tables carry their columns in the first event only.
class EventWriter {
 public:
  EventWriter(Accept accept, ResourceTypePtr type, std::string include_object)
      : accept_(accept), type_(std::move(type)), include_object_(std::move(include_object)) {}
  std::string content_type() const;
  void add(std::string& out, const WatchItem& item, Instant now);
  // A bookmark; `initial_end` marks the end of the initial events.
  void add_bookmark(std::string& out, int64_t revision, bool initial_end, Instant now);
  void add_error(std::string& out, const Status& status);

 private:
  void add_object(std::string& out, std::string_view name, const store::ObjectPtr& object, bool bookmark, Instant now);
  void frame(std::string& out, std::string_view name, std::string_view object) const;
  const Accept accept_;
  const ResourceTypePtr type_;
  const std::string include_object_;
  bool first_ = true;
};

}  // namespace k8lite::apiserver
