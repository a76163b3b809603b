// As much of D-Bus as a node needs to talk to the machine's service manager: calls with descriptors in their answers,
// and signals. (D-Bus Specification 0.41: authentication EXTERNAL, wire format version 1.)
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "os/files.h"

namespace k8lite::kubelet {

struct DbusMessage {
  enum class Type : uint8_t { Call = 1, Return, Error, Signal } type = Type::Call;
  uint32_t serial = 0, reply_to = 0, fds = 0;
  std::string path, interface, member, error, destination, sender, signature, body;
};
// Values of a body, each aligned to its size; both sides are little endian here.
struct DbusWriter {
  std::string out;
  DbusWriter& pad(size_t to);
  DbusWriter& number(uint32_t v);
  DbusWriter& text(std::string_view v);  // string or object path
};
struct DbusReader {
  std::string_view in;
  size_t at = 0;
  bool bad = false;
  void pad(size_t to) { at = (at + to - 1) / to * to; }
  uint8_t byte();
  uint32_t number();
  uint64_t large();
  std::string text();
  std::string signature();
};
std::string encode(const DbusMessage& message);
// A whole message from the front of `in`, which it is taken off; nothing while it is not all there; an error for what is none.
Result<bool> decode(std::string& in, DbusMessage& out);

// A connection to a bus. One thread.
class Dbus {
 public:
  // `address`: a socket's path. Says who we are and gets a name.
  static Result<std::unique_ptr<Dbus>> connect(const std::string& address, Duration patience);
  struct Reply {
    std::string body;
    std::vector<os::Fd> fds;
  };
  Result<Reply> call(DbusMessage message, Duration patience);
  // The next signal, also one that came while a call waited. Nothing when `stop` (a descriptor) became readable.
  Result<bool> next_signal(int stop, DbusMessage& out);

 private:
  explicit Dbus(os::Fd fd) : fd_(std::move(fd)) {}
  Result<> authenticate(Duration patience);
  Result<> send(const std::string& bytes);
  Result<bool> receive(int stop, int timeout_ms);  // more of the stream; false: `stop`, or time is over
  os::Fd fd_;
  std::string in_;
  std::vector<os::Fd> fds_;  // that came and belong to the next message that has some
  std::vector<DbusMessage> signals_;
  uint32_t serial_ = 0;
};

}  // namespace k8lite::kubelet
