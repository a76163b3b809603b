#include "shim/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

namespace k8lite::shim {
namespace {
constexpr size_t kMaxPending = 64 * 1024;
}

void Attachments::add(const std::string& container, int out, int err) {
  for (int stream = 0; stream < 2; ++stream) {
    int fd = stream == 0 ? out : err;
    if (fd < 0) continue;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    pipes_.push_back({container, stream, fd, {}, false});
  }
}

// As much as the reader takes; closed when it is gone.
void Attachments::flush(Pipe& p) {
  while (p.fd >= 0 && !p.pending.empty()) {
    ssize_t n = ::write(p.fd, p.pending.data(), p.pending.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) break;
    p.pending.erase(0, static_cast<size_t>(n));
  }
  if (p.fd < 0 || (p.pending.empty() && !p.ended)) return;
  close(p.fd);
  p.fd = -1;
}

void Attachments::write(const std::string& container, int stream, std::string_view data) {
  for (Pipe& p : pipes_) {
    if (p.container != container || p.stream != stream) continue;
    p.pending.append(data);
    flush(p);
  }
  sweep();
}

bool Attachments::holds_back(const std::string& container, int stream) const {
  for (const Pipe& p : pipes_)
    if (p.container == container && p.stream == stream && p.pending.size() >= kMaxPending) return true;
  return false;
}

void Attachments::end(const std::string& container) {
  for (Pipe& p : pipes_) {
    if (p.container != container) continue;
    p.ended = true;
    flush(p);
  }
  sweep();
}

void Attachments::add_polls(std::vector<pollfd>& polls) const {
  for (const Pipe& p : pipes_) polls.push_back({p.fd, static_cast<short>(p.pending.empty() ? 0 : POLLOUT), 0});
}

void Attachments::serve(const std::vector<pollfd>& polls, size_t first) {
  for (Pipe& p : pipes_) {
    for (size_t i = first; i < polls.size() && p.fd >= 0; ++i) {
      if (polls[i].fd != p.fd || !polls[i].revents) continue;
      p.ended |= (polls[i].revents & POLLERR) != 0;  // nobody reads any more
      if (polls[i].revents & POLLERR) p.pending.clear();
      flush(p);
    }
  }
  sweep();
}

void Attachments::sweep() { std::erase_if(pipes_, [](const Pipe& p) { return p.fd < 0; }); }

}  // namespace k8lite::shim
