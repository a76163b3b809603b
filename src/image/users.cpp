// Users of an image, against /etc/passwd and /etc/group of its layers, read as the container would (links stay in the layer).
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "image/store.h"

namespace k8lite::image {
namespace {

constexpr size_t kMaxFile = 4 << 20;

Result<std::string> read_in_layers(const std::vector<std::string>& layers, const std::string& path) {
  for (const auto& layer : layers) {
    os::Fd root(::open(layer.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    os::Fd fd(static_cast<int>(syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
    struct stat st;
    if (!fd || fstat(fd.get(), &st) != 0) continue;
    if (!S_ISREG(st.st_mode)) break;  // a whiteout
    return os::read_file("/proc/self/fd/" + std::to_string(fd.get()), kMaxFile);
  }
  return not_found(path);
}

std::optional<uint64_t> id_of(std::string_view text) {
  auto n = parse_int(text);
  if (!n || *n < 0 || *n > 0xfffffffeLL || text[0] == '+') return {};
  return static_cast<uint64_t>(*n);
}

}  // namespace

Result<User> resolve_user(const std::vector<std::string>& layers, const std::string& text) {
  User out;
  size_t colon = text.find(':');
  std::string user = text.substr(0, colon), group = colon == text.npos ? "" : text.substr(colon + 1);
  if (user.empty()) user = "0";
  std::string passwd = read_in_layers(layers, "etc/passwd").value_or(""), groups = read_in_layers(layers, "etc/group").value_or("");
  auto numeric = id_of(user);
  std::string name;
  for (auto line : split(passwd, '\n')) {
    auto f = split(line, ':');
    if (f.size() < 4 || f[0].empty() || f[0][0] == '#') continue;
    auto uid = id_of(f[2]), gid = id_of(f[3]);
    if (!uid || !gid || !(f[0] == user || (numeric && *uid == *numeric))) continue;
    out.uid = *uid;
    out.gid = *gid;
    name = f[0];
    break;
  }
  if (name.empty()) {
    if (!numeric) return bad_request("unable to find user " + user + ": no matching entries in passwd file");
    out.uid = *numeric;
  }
  auto wanted = group.empty() ? std::nullopt : id_of(group);
  bool group_found = group.empty() || wanted.has_value();
  for (auto line : split(groups, '\n')) {
    auto f = split(line, ':');
    if (f.size() < 3 || f[0].empty()) continue;
    auto gid = id_of(f[2]);
    if (!gid) continue;
    if (!group.empty() && f[0] == group) wanted = gid, group_found = true;
    if (f.size() < 4 || name.empty() || !group.empty()) continue;
    for (auto member : split(f[3], ','))
      if (trim(member) == name) out.groups.push_back(*gid);
  }
  if (!group_found) return bad_request("unable to find group " + group + ": no matching entries in group file");
  if (wanted) out.gid = *wanted;
  return out;
}

}  // namespace k8lite::image
