// A conversation with a process in a container: exec, attach and what cp is made of.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "kubectl/resources.h"

namespace k8lite::kubectl {

struct Stdio {
  bool in = false, tty = false, err = true;
  bool quiet = false;                                  // keep what it says on stderr to ourselves
  int input = 0;                                       // the descriptor that is its stdin
  std::function<void(std::string_view)> out = nullptr;  // its stdout; null: ours
};

// How it ended: the exit code, or a message where there is no code.
struct Ended {
  int code = 0;
  std::string message;
};

std::string stream_url(const Target& pod, std::string_view verb, const std::string& container, const Stdio& io, const std::vector<std::string>& command);
// Until the process has ended. With a terminal, ours is raw meanwhile and its size is passed on.
Result<Ended> converse(Session& session, std::string target, const Stdio& io);

}  // namespace k8lite::kubectl
