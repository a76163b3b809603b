// Whoever looks at a container's output while it runs (`kubectl attach`): copies of what goes to the log, over descriptors of theirs.
// A reader that is slow holds the container back, as with any runtime: nothing is dropped.
#pragma once
#include <poll.h>

#include <string>
#include <string_view>
#include <vector>

namespace k8lite::shim {

class Attachments {
 public:
  // Takes the descriptors over; -1 for a stream that is not wanted.
  void add(const std::string& container, int out, int err);
  void write(const std::string& container, int stream, std::string_view data);
  bool holds_back(const std::string& container, int stream) const;  // somebody is behind: read no more from the container
  void end(const std::string& container);                           // its output is over: close when all is delivered

  void add_polls(std::vector<pollfd>& polls) const;
  void serve(const std::vector<pollfd>& polls, size_t first);  // with the polls that add_polls() added at `first`

 private:
  struct Pipe {
    std::string container;
    int stream, fd;
    std::string pending;
    bool ended;
  };
  static void flush(Pipe& pipe);
  void sweep();
  std::vector<Pipe> pipes_;
};

}  // namespace k8lite::shim
