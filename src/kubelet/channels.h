// The channels of a remote command (stdin, stdout, stderr, error, resize) over WebSocket (v5/v4.channel.k8s.io, KEP-4006) or SPDY/3.1
// (v4.channel.k8s.io), so that exec does not know which one it speaks.
#pragma once
#include "net/http.h"

namespace k8lite::kubelet {

enum Channel : unsigned char { kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4 };

struct CommandStreams {
  bool in = false, out = false, err = false, tty = false;
};

// What the client says. Everything happens on the loop's thread.
struct CommandInput {
  std::function<void(unsigned short columns, unsigned short rows)> on_resize;
  std::function<void()> on_gone;  // the client went away; called once at most
  std::string pending;            // stdin not yet written
  bool ended = false;             // stdin's end comes after `pending`
  bool refused = false;           // nobody wants stdin any more: it is thrown away
  async::Notify arrived, room;
};
using CommandInputPtr = std::shared_ptr<CommandInput>;

// The metav1.Status on the error channel when there is no exit code to tell.
std::string internal_failure(const std::string& text);

class Channels {
 public:
  virtual ~Channels() = default;
  virtual async::Task<Result<>> write(Channel channel, std::string data) = 0;
  virtual async::Task<void> end(Channel channel) = 0;  // no more of it
  virtual async::Task<void> close() = 0;               // says goodbye after all that was written
};
using ChannelsPtr = std::shared_ptr<Channels>;

// Agrees on a protocol and upgrades; then what comes in goes to `input`. BadRequest or Forbidden before the upgrade, other errors after.
async::Task<Result<ChannelsPtr>> accept_channels(async::Loop& loop, net::Request& request, net::ResponseWriter& response, CommandStreams wanted, CommandInputPtr input);

// Why there will be no command. A client that can be told inside of its WebSocket (v5) is; an error is for the caller to answer.
async::Task<Result<>> refuse_channels(net::Request& request, net::ResponseWriter& response, Status why);

// For SPDY requests: the first of `served` that X-Stream-Protocol-Version offers; Forbidden in the words of the kubelet otherwise.
Result<std::string> choose_stream_protocol(const net::Request& request, const std::vector<std::string>& served);
bool is_spdy_upgrade(const net::Request& request);
async::Task<Result<net::StreamPtr>> upgrade_to_spdy(net::ResponseWriter& response, std::string protocol);

}  // namespace k8lite::kubelet
