// A container being made. The parent (create.cpp) owns the state folder, cgroups, id maps and hooks of the host; the
// child (init.cpp) becomes the container. They talk over a socket of records, a letter each: child: M(aps wanted) P(id
// of the real child) H(ooks' turn) R(eady) L(og line) E(rror text), and its end when the program runs; parent: G(o on,
// maps are there) C(groups joined, host's process id) H(ooks done) S(tart).
#pragma once
#include <string>

#include "runc/cgroups.h"
#include "runc/json.h"
#include "runc/namespaces.h"
#include "runc/options.h"
#include "runc/rootfs.h"
#include "runc/state.h"

namespace k8lite::runc {

struct Launch {
  Container container;
  Cgroups cgroups;
  Namespaces namespaces;
  Rootfs rootfs;
  bool waits_on_fifo = false;  // `create`
  bool no_new_keyring = false;
  int preserve_fds = 0;
  int fifo = -1;            // O_PATH
  int console_socket = -1;  // gets the terminal's master
  int notify_socket = -1;
  int socket = -1;  // to the other side
  const Json& spec() const { return container.spec; }
};

bool send_record(int socket, char kind, const std::string& text = "");
// The kind, 0 at the end; `text` gets the rest.
char receive_record(int socket, std::string& text);

[[noreturn]] void run_init(Launch& l);           // the child, in its new namespaces but the cgroup's
pid_t spawn_init(Launch& l);                     // the parent: clones, by way of a helper where namespaces are joined
std::string run_and_wait(Launch& l, pid_t pid);  // parent's half until R: "" or the child's error
int connect_to_seccomp_agent(const Json& spec);  // -1: it has none
// What the agent is told with a listener.
std::string notify_state(const Container& c, const char* status, pid_t container_pid, pid_t pid);
void set_console_size(int terminal, const Json& size);
int make_terminal(Rootfs& r, int& slave);  // in the container's own devpts: the master

int verb_create(const Options& o);
int verb_run(const Options& o);
int verb_start(const Options& o);
int verb_exec(const Options& o);

}  // namespace k8lite::runc
