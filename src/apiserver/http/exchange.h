// A response on its way out, observed: its code and size for the figures, its body for the audit log, and the headers
// that every answer has. Handlers see a ResponseWriter and nothing of this.
#pragma once
#include "apiserver/audit/event.h"
#include "apiserver/http/indent.h"
#include "net/http.h"

namespace k8lite::apiserver {

class Exchange : public net::ResponseWriter {
 public:
  Exchange(net::ResponseWriter& to, std::string audit_id) : to_(to), audit_id_(std::move(audit_id)) {}

  async::Task<Result<>> send(int status, net::Headers headers, std::string body) override;
  async::Task<Result<>> start(int status, net::Headers headers) override;
  async::Task<Result<>> write(std::string_view data) override;
  async::Task<Result<>> finish() override { return to_.finish(); }
  async::Task<Result<net::StreamPtr>> upgrade(net::Headers headers) override;
  void on_disconnect(std::function<void()> fn) override { to_.on_disconnect(std::move(fn)); }
  bool started() const override { return to_.started(); }

  const std::string& audit_id() const { return audit_id_; }
  int code() const { return code_; }  // 0: nothing was answered
  size_t bytes() const { return bytes_; }

  std::unique_ptr<audit::Record> record;  // null: not logged
  std::function<void()> on_start;         // a long answer begins: audit's stage ResponseStarted
  bool long_running = false;                 // a watch or stream: its beginning is told, its content is not
  bool pretty = false;                    // JSON is indented for people
  std::vector<std::string> warnings;      // sent with every kind of answer

 private:
  void begin(int status, net::Headers& headers);
  net::ResponseWriter& to_;
  const std::string audit_id_;
  int code_ = 0;
  size_t bytes_ = 0;
  Indenter indenter_;
  std::string piece_;     // indented; held while it is written
  bool indents_ = false;
  bool copies_ = false;  // what is written goes into the record too
};

}  // namespace k8lite::apiserver
