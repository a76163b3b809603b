// `k8lite runc`, also by a link of that name: the OCI runtime. It is the small executable's, which takes this process
// over.
#pragma once

namespace k8lite::app {

int run_runc(int argc, char** argv);

}  // namespace k8lite::app
