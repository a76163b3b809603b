#include "base/status.h"

#include <atomic>
#include <cstring>

namespace k8lite {
namespace {

struct ReasonRow {
  Reason reason;
  std::string_view name;
  int code;
};

// apimachinery meta/v1 StatusReason constants and the HTTP codes the API server sends with them.
constexpr ReasonRow kReasons[] = {
    {Reason::Ok, "", 200},
    {Reason::Unknown, "", 500},
    {Reason::BadRequest, "BadRequest", 400},
    {Reason::Unauthorized, "Unauthorized", 401},
    {Reason::Forbidden, "Forbidden", 403},
    {Reason::NotFound, "NotFound", 404},
    {Reason::AlreadyExists, "AlreadyExists", 409},
    {Reason::Conflict, "Conflict", 409},
    {Reason::Gone, "Gone", 410},
    {Reason::Expired, "Expired", 410},
    {Reason::Invalid, "Invalid", 422},
    {Reason::ServerTimeout, "ServerTimeout", 500},
    {Reason::Timeout, "Timeout", 504},
    {Reason::TooManyRequests, "TooManyRequests", 429},
    {Reason::MethodNotAllowed, "MethodNotAllowed", 405},
    {Reason::NotAcceptable, "NotAcceptable", 406},
    {Reason::UnsupportedMediaType, "UnsupportedMediaType", 415},
    {Reason::RequestEntityTooLarge, "RequestEntityTooLarge", 413},
    {Reason::InternalError, "InternalError", 500},
    {Reason::ServiceUnavailable, "ServiceUnavailable", 503},
};

std::string qualified(std::string_view group, std::string_view resource) {
  std::string out(resource);
  if (!group.empty()) out.append(".").append(group);
  return out;
}

Status object_status(Reason reason, std::string message, std::string_view group, std::string_view resource,
                     std::string_view name) {
  Status s(reason, std::move(message));
  s.set_details({.name = std::string(name), .group = std::string(group), .kind = std::string(resource), .uid = {}, .causes = {}});
  return s;
}

}  // namespace

int http_code(Reason r) {
  for (const auto& row : kReasons)
    if (row.reason == r) return row.code;
  return 500;
}

std::string_view reason_name(Reason r) {
  for (const auto& row : kReasons)
    if (row.reason == r) return row.name;
  return "";
}

Reason reason_from_name(std::string_view name) {
  if (name.empty()) return Reason::Unknown;
  for (const auto& row : kReasons)
    if (row.name == name) return row.reason;
  return Reason::Unknown;
}

Reason reason_from_http(int code) {
  if (code == 409) return Reason::Conflict;
  if (code == 410) return Reason::Expired;
  if (code == 500) return Reason::InternalError;
  for (const auto& row : kReasons)
    if (row.code == code) return row.reason;
  return Reason::Unknown;
}

struct Status::Data {
  Reason reason;
  int sys_errno;
  std::string message;
  StatusDetails details;
  std::atomic<int> holders{1};
};

Status::Status(Reason reason, std::string message, int sys_errno) {
  if (reason != Reason::Ok) data_ = new Data{reason, sys_errno, std::move(message), {}};
}

void Status::hold() const { data_->holders.fetch_add(1, std::memory_order_relaxed); }

void Status::let_go() {
  if (data_->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) delete data_;
}

Status::Data& Status::own() {
  if (data_->holders.load(std::memory_order_acquire) != 1) {
    auto* copy = new Data{data_->reason, data_->sys_errno, data_->message, data_->details};
    let_go();
    data_ = copy;
  }
  return *data_;
}

Reason Status::reason() const { return data_ ? data_->reason : Reason::Ok; }
int Status::sys_errno() const { return data_ ? data_->sys_errno : 0; }

const std::string& Status::message() const {
  static const std::string none;
  return data_ ? data_->message : none;
}

const StatusDetails& Status::details() const {
  static const StatusDetails none;
  return data_ ? data_->details : none;
}

Status& Status::set_details(StatusDetails d) {
  if (data_) own().details = std::move(d);
  return *this;
}

Status Status::from_errno(std::string what, int err) {
  what.append(": ").append(strerror(err));
  return Status(Reason::InternalError, std::move(what), err);
}

Status Status::within(std::string_view context) && {
  if (data_) own().message.insert(0, std::string(context).append(": "));
  return std::move(*this);
}

Status Status::within(std::string_view context) const& { return Status(*this).within(context); }

Status bad_request(std::string message) { return {Reason::BadRequest, std::move(message)}; }
Status not_found(std::string message) { return {Reason::NotFound, std::move(message)}; }
Status internal_error(std::string message) { return {Reason::InternalError, std::move(message)}; }
Status unavailable(std::string message) { return {Reason::ServiceUnavailable, std::move(message)}; }
Status timed_out(std::string message) { return {Reason::Timeout, std::move(message)}; }

Status not_found_object(std::string_view group, std::string_view resource, std::string_view name) {
  return object_status(Reason::NotFound, qualified(group, resource) + " \"" + std::string(name) + "\" not found", group,
                       resource, name);
}

Status already_exists_object(std::string_view group, std::string_view resource, std::string_view name) {
  return object_status(Reason::AlreadyExists, qualified(group, resource) + " \"" + std::string(name) + "\" already exists",
                       group, resource, name);
}

Status conflict_object(std::string_view group, std::string_view resource, std::string_view name, std::string_view why) {
  if (why.empty())
    why = "the object has been modified; please apply your changes to the latest version and try again";
  return object_status(Reason::Conflict,
                       "Operation cannot be fulfilled on " + qualified(group, resource) + " \"" + std::string(name) +
                           "\": " + std::string(why),
                       group, resource, name);
}

}  // namespace k8lite
