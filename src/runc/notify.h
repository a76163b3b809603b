// sd_notify(3) for containers: a service manager that waits for READY=1 believes only processes of its own unit, and a
// container is in another cgroup. It gets a socket of its own, and the caller of `start` (or `run`) hands the word on.
#pragma once
#include "runc/launch.h"

namespace k8lite::runc {

// When the caller has NOTIFY_SOCKET: the container's folder, mount and variable for it. After the spec was stored.
void offer_notify_socket(Launch& l);
// Before the program runs: the socket to listen at, or -1 when nobody wants to know.
int listen_for_ready(const Container& c);
// Waits until the container says that it is ready (or ends) and tells the caller's manager; closes the socket.
void relay_ready(int socket, pid_t pid, bool is_main);
// The same, beside a caller that has a container to wait for.
void relay_ready_aside(int socket, pid_t pid);

}  // namespace k8lite::runc
