// What all of the OCI runtime uses: how it fails, what it logs, and small steps with files and descriptors. One process
// does one command, so a failure ends it: in a container's process it travels to the parent, in the parent it undoes
// what was begun.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace k8lite::runc {

struct Log {
  std::string path;  // "" : standard error
  bool json = false, debug = false;
  std::string verb;   // "runc run failed: ": in front of a failure's message
  int exit_code = 1;  // of a failure
};
Log& log_settings();
void log_line(const char* level, const std::string& text);
void warn(const std::string& text);
void debug(const std::string& text);

// Reports "what: reason of errno" (errno 0: only `what`), undoes (undo_on_failure) and exits with 1.
[[noreturn]] void fail(const std::string& what, int err);
[[noreturn]] void fail(const std::string& what);    // with errno of now
[[noreturn]] void refuse(const std::string& what);  // no errno in it
// From now on failures are sent over this descriptor, to be reported by who reads it; -1: here.
void report_failures_to(int fd);
void undo_on_failure(void (*undo)());
std::string reason(int err);  // "no such file or directory"

std::string read_whole(const std::string& path, bool* found = nullptr);
std::string read_fd(int fd);
bool write_whole(const std::string& path, std::string_view text);  // an existing kernel file, in one write
void replace_file(const std::string& path, std::string_view text, mode_t mode = 0644);  // complete or not at all
bool exists(const std::string& path);
bool make_dirs(const std::string& path, mode_t mode = 0755);
void remove_tree(const std::string& path);
std::vector<std::string> list_dir(const std::string& path);
std::string parent_of(const std::string& path);
std::string base_of(const std::string& path);
std::string absolute(const std::string& path);
std::vector<std::string> split(std::string_view text, char separator);  // without empty parts
bool starts_with(std::string_view text, std::string_view with);
std::string proc_fd(int fd);  // /proc/self/fd/N
void close_fd(int& fd);
std::string now_rfc3339(bool nanoseconds);
bool send_fd(int socket, int fd, std::string_view text);
int receive_fd(int socket);  // -1: none came
int pidfd_open_of(pid_t pid);

}  // namespace k8lite::runc
