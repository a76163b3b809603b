// Ends this process's TCP connections that use an address the machine no longer has. Nobody tells them: without this a request, or a
// watch that sends nothing anyway, would wait for minutes for an answer that cannot come.
#pragma once
#include <string>

namespace k8lite::cni {

// Connections whose own end is `local_ip`; whoever reads from them sees the end of the stream. Says how many.
int end_connections(const std::string& local_ip);

}  // namespace k8lite::cni
