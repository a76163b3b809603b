#include "image/unpacker.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <vector>

#include "base/json.h"
#include "base/strings.h"
#include "image/split.h"

namespace k8lite::image {
namespace {

using json::Node;

constexpr size_t kPiece = 128 * 1024;
constexpr size_t kMaxAnswer = 64 * 1024;
constexpr uint64_t kMaxTrailer = 64 << 20;  // bytes behind the end of a layer's tar: some tools pad
constexpr int kInput = 0, kAnswer = 1, kSplit = 3;

class DescriptorSource : public Source {
 public:
  explicit DescriptorSource(int fd) : fd_(fd) {}
  Result<size_t> read(char* buffer, size_t size) override {
    for (;;) {
      ssize_t n = ::read(fd_, buffer, size);
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR) return Status::from_errno("read the layer", errno);
    }
  }

 private:
  const int fd_;
};

class CountingSource : public Source {
 public:
  explicit CountingSource(Source& inner) : inner_(inner) {}
  Result<size_t> read(char* buffer, size_t size) override {
    TRY(size_t n, inner_.read(buffer, size));
    bytes += n;
    return n;
  }
  uint64_t bytes = 0;

 private:
  Source& inner_;
};

// The limits in a fixed order, as arguments.
constexpr uint64_t UnpackLimits::*kNumbers[] = {&UnpackLimits::bytes,      &UnpackLimits::entries,
                                                &UnpackLimits::ratio,      &UnpackLimits::ratio_from,
                                                &UnpackLimits::free_bytes, &UnpackLimits::free_inodes};

std::string answer_text(const Result<LayerFacts>& r) {
  if (r.ok()) return Node::obj({{"diffID", r->diff_id}, {"bytes", std::to_string(r->bytes)}}).dump();
  std::string message = r.status().message().substr(0, 4096);
  return Node::obj({{"reason", static_cast<int64_t>(r.status().reason())},
                    {"errno", static_cast<int64_t>(r.status().sys_errno())},
                    {"message", message}})
      .dump();
}

// What the child wrote is as trustworthy as the layer.
Result<LayerFacts> read_answer(const std::string& text) {
  TRY(Node node, Node::parse(text));
  if (const Node* message = node.find("message")) {
    int64_t reason = node.get("reason").int_or(0);
    bool known = reason == static_cast<int64_t>(Reason::BadRequest);
    return Status(known ? Reason::BadRequest : Reason::InternalError, message->str(),
                  static_cast<int>(node.get("errno").int_or(0)));
  }
  LayerFacts facts{node.get("diffID").str(), static_cast<uint64_t>(parse_int(node.get("bytes").str()).value_or(0))};
  if (!is_digest(facts.diff_id)) return internal_error("the unpacker gave no digest");
  return facts;
}

struct Child {
  pid_t pid = -1;
  os::Fd input, answer;
  ~Child() {
    if (pid > 0) kill(pid, SIGKILL), wait();
  }
  int wait() {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    pid = -1;
    return status;
  }
};

// A descriptor above those that the child gets.
Result<os::Fd> high(int fd) {
  os::Fd out(fcntl(fd, F_DUPFD_CLOEXEC, 10));
  if (!out) return Status::from_errno("duplicate a descriptor", errno);
  return out;
}

Result<> spawn(Child& child, const std::string& folder, const os::Fd& split, const UnpackLimits& limits) {
  int in[2], out[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0)
    return Status::from_errno("make a socket for the unpacker", errno);
  child.input.reset(in[0]);
  os::Fd child_input(in[1]);
  if (pipe2(out, O_CLOEXEC) != 0) return Status::from_errno("make a pipe for the unpacker", errno);
  child.answer.reset(out[0]);
  os::Fd child_answer(out[1]);
  TRY(os::Fd input, high(child_input.get()));
  TRY(os::Fd answer, high(child_answer.get()));
  TRY(os::Fd record, high(split.get()));
  std::vector<std::string> words = {"k8lite", std::string(kUnpackCommand), folder, std::to_string(limits.depth),
                                    std::to_string(limits.path)};
  for (auto n : kNumbers) words.push_back(std::to_string(limits.*n));
  std::vector<char*> argv;
  for (auto& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  char* environment[] = {nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.get(), kInput);
  posix_spawn_file_actions_adddup2(&actions, answer.get(), kAnswer);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, record.get(), kSplit);
  posix_spawn_file_actions_addclosefrom_np(&actions, kSplit + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  int rc = posix_spawn(&child.pid, "/proc/self/exe", &actions, &attributes, argv.data(), environment);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (rc == 0) return {};
  child.pid = -1;
  return Status::from_errno("start the unpacker", rc);
}

Status stalled(Duration stall) {
  return Status(Reason::InternalError, "the unpacker made no progress for " + human_duration(stall) + ", the limit");
}

// false: the child takes no more, it has something to say.
Result<bool> send_all(const Child& child, std::string_view data, Duration stall) {
  while (!data.empty()) {
    ssize_t n = ::send(child.input.get(), data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      data.remove_prefix(static_cast<size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EPIPE || errno == ECONNRESET) return false;
    if (errno != EAGAIN) return Status::from_errno("feed the unpacker", errno);
    pollfd p{child.input.get(), POLLOUT, 0};
    if (poll(&p, 1, static_cast<int>(stall.count() / 1000)) == 0) return stalled(stall);
  }
  return true;
}

Result<LayerFacts> hear(Child& child, Duration stall) {
  std::string text;
  char buffer[4096];
  for (;;) {
    pollfd p{child.answer.get(), POLLIN, 0};
    int ready = poll(&p, 1, static_cast<int>(stall.count() / 1000));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return stalled(stall);
    ssize_t n = ::read(child.answer.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > kMaxAnswer) return internal_error("the unpacker says too much");
  }
  int status = child.wait();
  if (WIFSIGNALED(status)) {
    int signal = WTERMSIG(status);
    std::string why = signal == SIGXCPU
                          ? "its processor time is used up (" + std::to_string(kUnpackProcessor) + " s, the limit)"
                      : signal == SIGXFSZ ? "a file is larger than the limit"
                                          : "signal " + std::to_string(signal);
    return Status(signal == SIGXCPU || signal == SIGXFSZ ? Reason::BadRequest : Reason::InternalError,
                  "the unpacker was killed: " + why);
  }
  return read_answer(text);
}

}  // namespace

Result<LayerFacts> unpack_here(Source& packed, const std::string& folder, os::Fd split, const UnpackLimits& limits) {
  CountingSource counted(packed);
  TRY(auto tar, decompressed(std::make_unique<BorrowedSource>(counted)));
  HashingSource hash(*tar);
  auto recorder = SplitRecorder::create(hash, std::move(split));
  TRY_OK(unpack_layer(*recorder, folder, {limits, [&counted] { return counted.bytes; }, recorder.get()}));
  uint64_t end = hash.bytes();
  std::vector<char> buffer(64 * 1024);
  for (;;) {
    TRY(size_t n, recorder->read(buffer.data(), buffer.size()));
    if (n == 0) break;
    if (hash.bytes() - end > kMaxTrailer)
      return bad_request("more than " + std::to_string(kMaxTrailer) +
                         " bytes behind the end of the tar archive, the limit");
  }
  TRY_OK(recorder->finish());
  return LayerFacts{hash.digest(), hash.bytes()};
}

Result<LayerFacts> unpack_confined(Source& packed, const std::string& folder, os::Fd split, const UnpackLimits& limits,
                                   Duration stall) {
  Child child;
  TRY_OK(spawn(child, folder, split, limits));
  std::vector<char> buffer(kPiece);
  for (;;) {
    TRY(size_t n, packed.read(buffer.data(), buffer.size()));
    if (n == 0) break;
    TRY(bool taken, send_all(child, {buffer.data(), n}, stall));
    if (!taken) break;
  }
  shutdown(child.input.get(), SHUT_WR);
  return hear(child, stall);
}

int run_unpacker(int argc, char** argv) {
  constexpr int kWords = 5 + static_cast<int>(std::size(kNumbers));
  if (argc + 1 != kWords) return 2;  // nobody calls it by hand
  auto number = [argv](int i) { return static_cast<uint64_t>(parse_int(argv[i]).value_or(0)); };
  UnpackLimits limits;
  limits.depth = number(2);
  limits.path = number(3);
  for (size_t i = 0; i < std::size(kNumbers); ++i) limits.*kNumbers[i] = number(4 + static_cast<int>(i));
  auto work = [&]() -> Result<LayerFacts> {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);  // whoever feeds it is gone: nothing more is to be written
    (void)Digester().finish();  // the library reads its settings now, not from the layer
    TRY_OK(confine_to(argv[1], limits));
    DescriptorSource input(kInput);
    return unpack_here(input, geteuid() == 0 ? "/" : argv[1], os::Fd(kSplit), limits);
  };
  std::string text = answer_text(work());
  ssize_t n = ::write(kAnswer, text.data(), text.size());
  _exit(n == static_cast<ssize_t>(text.size()) ? 0 : 1);
}

}  // namespace k8lite::image
