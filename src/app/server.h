// The faces of the executable that src/app itself holds.
#pragma once

namespace k8lite::app {
int run_server(int argc, char** argv);
int run_agent(int argc, char** argv);
int run_ctr(int argc, char** argv);    // ctr.cpp
int run_token(int argc, char** argv);  // ctr.cpp
int run_crictl(int argc, char** argv);  // crictl.cpp
int run_killall(int argc, char** argv);  // killall.cpp
}  // namespace k8lite::app
