// `k8lite server`: the composition root of a cluster.
#pragma once

namespace k8lite::app {
int run_server(int argc, char** argv);
int run_agent(int argc, char** argv);
}  // namespace k8lite::app
