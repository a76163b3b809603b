// kubectl cp: a tar archive through exec. Up: made here, unpacked by the container's tar; down: the other way round. Symbolic links
// of a container are not followed and not made: what it sends must not lead out of the target folder.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "base/strings.h"
#include "kubectl/commands/commands.h"
#include "kubectl/commands/conversation.h"
#include "kubectl/commands/paths.h"
#include "kubectl/commands/streams.h"
#include "kubectl/commands/tar.h"
#include "os/files.h"

namespace k8lite::kubectl {

namespace {

struct Pipe {
  os::Fd in, out;  // read end, write end
  static Result<Pipe> make() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) return Status::from_errno("pipe", errno);
    return Pipe{os::Fd(fds[0]), os::Fd(fds[1])};
  }
};

bool write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

struct Remote {
  Target pod;
  std::string container;
};

Result<Remote> remote_of(Session& s, const FileSpec& spec) {
  Remote r;
  TRY(Mapping m, s.mapping("pods"));
  TRY(std::string ns, s.ns());
  r.pod = {m, spec.ns.empty() ? ns : spec.ns, spec.pod, {}, ""};
  TRY(r.pod.object, s.get(r.pod.url()));
  r.container = s.flags.text("container");
  if (r.container.empty()) {
    TRY(r.container, default_container(s, r.pod.object, false));
  }
  return r;
}

Result<> finish(Session& s, const Ended& ended) {
  if (ended.code == 0) return {};
  if (!ended.message.empty()) return usage(ended.message);
  s.err("command terminated with exit code " + std::to_string(ended.code) + "\n");
  s.exit_code = ended.code;
  return {};
}

Result<> up(Session& s, const std::string& local, const FileSpec& spec) {
  struct stat st;
  if (::lstat(local.c_str(), &st) != 0) return usage(local + " doesn't exist in local filesystem");
  TRY(Remote r, remote_of(s, spec));
  std::string target = clean_path(spec.file);
  Stdio test;
  test.quiet = true;
  test.out = [](std::string_view) {};
  TRY(Ended dir, converse(s, stream_url(r.pod, "exec", r.container, test, {"test", "-d", target}), test));
  if (dir.code == 0) target = clean_path(target + "/" + base_name(clean_path(local)));
  std::vector<std::string> command = {"tar", "-xmf", "-"};
  if (s.flags.on("no-preserve")) command = {"tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-"};
  if (std::string folder = dir_name(target); !folder.empty()) command.insert(command.end(), {"-C", folder});
  TRY(Pipe pipe, Pipe::make());
  Stdio io;
  io.in = true;
  io.input = pipe.in.get();
  Result<> packed;
  std::thread writer([&] {
    int fd = pipe.out.get();
    packed = write_tar(local, base_name(target), [fd](std::string_view data) -> Result<> {
      if (!write_all(fd, data)) return Status::from_errno("write", errno);
      return {};
    });
    pipe.out.reset();
  });
  auto ended = converse(s, stream_url(r.pod, "exec", r.container, io, command), io);
  pipe.in.reset();  // a writer that nobody reads any more ends with EPIPE
  writer.join();
  if (!ended.ok()) return ended.status();
  if (ended->code == 0 && ended->message.empty()) return packed;
  return finish(s, *ended);
}

// Unpacks below (or, for a single file, as) `local`; every name must begin with the path that was asked for.
class Unpacker {
 public:
  Unpacker(Session& s, const FileSpec& spec, const std::string& local) : session_(s), spec_(spec), local_(local), prefix_(strip_shortcuts(clean_path(strip_slashes(spec.file)))) {}

  Result<> member(const TarMember& m) {
    if (!m.name.starts_with(prefix_)) return usage("tar contents corrupted");
    std::string rest = clean_path("/" + m.name.substr(prefix_.size()));  // ".." cannot climb above "/"
    path_ = clean_path(rest == "/" ? local_ : local_ + rest);
    if (m.type == '5') return os::make_dirs(path_);
    if (std::string folder = dir_name(path_); folder != ".") TRY_OK(os::make_dirs(folder));
    if (m.type == '2') {
      std::string hint = std::exchange(told_, true) ? "" : " (consider using \"kubectl exec -n " + json::quoted(spec_.ns) + " " + json::quoted(spec_.pod) + " -- tar cf - " + json::quoted(spec_.file) + " | tar xf -\")";
      session_.err("warning: skipping symlink: " + json::quoted(path_) + " -> " + json::quoted(m.link) + hint + "\n");
      return {};
    }
    if (m.type != '0' && m.type != '7') return {};
    file_ = os::Fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (!file_) return usage("open " + path_ + ": " + lower(std::strerror(errno)));
    return {};
  }

  Result<> data(std::string_view piece) {
    if (!piece.empty() && file_ && !write_all(file_.get(), piece)) return usage("write " + path_ + ": " + lower(std::strerror(errno)));
    if (piece.empty()) file_.reset();
    return {};
  }

 private:
  Session& session_;
  const FileSpec& spec_;
  std::string local_, prefix_, path_;
  os::Fd file_;
  bool told_ = false;
};

Result<> down(Session& s, const FileSpec& spec, const std::string& local) {
  TRY(Remote r, remote_of(s, spec));
  Unpacker unpacker(s, spec, local);
  TarReader reader([&](const TarMember& m) { return unpacker.member(m); }, [&](std::string_view piece) { return unpacker.data(piece); });
  Result<> unpacked;
  Stdio io;
  io.out = [&](std::string_view data) {
    if (unpacked.ok()) unpacked = reader.feed(data);
  };
  TRY(Ended ended, converse(s, stream_url(r.pod, "exec", r.container, io, {"tar", "cf", "-", spec.file}), io));
  TRY_OK(unpacked);
  if (ended.code != 0 || !ended.message.empty()) return finish(s, ended);
  return reader.finish();
}

Result<> copy(Session& s) {
  const auto& args = s.flags.args;
  if (args.size() != 2) return usage("source and destination are required");
  TRY(FileSpec from, FileSpec::parse(args[0]));
  TRY(FileSpec to, FileSpec::parse(args[1]));
  if (!from.pod.empty() && !to.pod.empty()) return usage("one of src or dest must be a local file specification");
  if (from.file.empty() || to.file.empty()) return usage("filepath can not be empty");
  if (!from.pod.empty()) return down(s, from, clean_path(to.file));
  if (!to.pod.empty()) return up(s, from.file, to);
  return usage("one of src or dest must be a remote file specification");
}

}  // namespace

std::vector<Command> copy_commands() {
  Command c{"cp", "Troubleshooting and Debugging Commands", "Copy files and directories to and from containers", "<file-spec-src> <file-spec-dest>",
            {{"container", 'c', FlagKind::Text, "", "Container"}, {"no-preserve", 0, FlagKind::Bool, "false", "Owner and permissions are not kept in the container"},
             {"retries", 0, FlagKind::Number, "0", "Accepted; a copy that breaks off is not resumed"}},
            copy};
  c.examples = "  # A folder into a pod\n  kubectl cp /tmp/foo_dir some-pod:/tmp/bar_dir\n\n  # A file out of a container of a pod in another namespace\n  kubectl cp some-namespace/some-pod:/tmp/foo /tmp/bar -c some-container";
  return {c};
}

}  // namespace k8lite::kubectl
