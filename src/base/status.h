// The one error type: a Kubernetes metav1.Status reason, a message in small letters that names the thing, and the errno where a
// system call failed. Reasons are 1:1 with metav1.StatusReason, so an error crosses from the store to kubectl unchanged.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace k8lite {

enum class Reason : unsigned char {
  Ok, Unknown, BadRequest, Unauthorized, Forbidden, NotFound, AlreadyExists, Conflict, Gone, Expired, Invalid, ServerTimeout,
  Timeout, TooManyRequests, MethodNotAllowed, NotAcceptable, UnsupportedMediaType, RequestEntityTooLarge, InternalError,
  ServiceUnavailable,
};

// HTTP status code of a reason (200 for Ok), and the reason's name as metav1.StatusReason spells it.
int http_code(Reason r);
std::string_view reason_name(Reason r);
Reason reason_from_name(std::string_view name);
Reason reason_from_http(int code);

// One entry of metav1.Status.details.causes; `type` is a metav1.CauseType ("FieldValueInvalid", "FieldValueRequired", ...).
struct Cause {
  std::string type, message, field;
  bool operator==(const Cause&) const = default;
};

// metav1.Status.details.
struct StatusDetails {
  std::string name, group, kind, uid;
  std::vector<Cause> causes;
  int retry_after_seconds = 0;
};

// One pointer: none for Ok, else shared by the copies.
class [[nodiscard]] Status {
 public:
  Status() = default;  // Ok
  Status(Reason reason, std::string message, int sys_errno = 0);
  Status(const Status& o) noexcept : data_(o.data_) {
    if (data_) hold();
  }
  Status(Status&& o) noexcept : data_(std::exchange(o.data_, nullptr)) {}
  Status& operator=(Status o) noexcept {
    std::swap(data_, o.data_);
    return *this;
  }
  ~Status() {
    if (data_) let_go();
  }

  // An error from a failed system call: "open /x: permission denied". Reason is InternalError.
  static Status from_errno(std::string what, int err);

  bool ok() const { return !data_; }
  Reason reason() const;
  int sys_errno() const;
  const std::string& message() const;
  bool is(Reason r) const { return reason() == r; }

  // Adds context in front: "mount /proc: operation not permitted".
  Status within(std::string_view context) &&;
  Status within(std::string_view context) const&;

  const StatusDetails& details() const;
  Status& set_details(StatusDetails d);  // of an error; Ok has none

 private:
  struct Data;
  Data& own();  // not shared with anybody
  void hold() const;
  void let_go();

  Data* data_ = nullptr;
};

inline Status ok_status() { return {}; }
Status bad_request(std::string message);
Status not_found(std::string message);
Status internal_error(std::string message);
Status unavailable(std::string message);
Status timed_out(std::string message);
// The wire forms Kubernetes words: `pods "web" not found`, `pods "web" already exists`.
Status not_found_object(std::string_view group, std::string_view resource, std::string_view name);
Status already_exists_object(std::string_view group, std::string_view resource, std::string_view name);
// `Operation cannot be fulfilled on pods "web": the object has been modified; please apply your changes to ...`.
Status conflict_object(std::string_view group, std::string_view resource, std::string_view name, std::string_view why = {});

}  // namespace k8lite
