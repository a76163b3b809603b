// The OCI runtime with runc's command line (OCI runtime-spec 1.2): a face of the small executable that is also the
// pods' shim. k8lite becomes it from a sealed memory file, so nothing that a container can reach leads back to the big
// executable.
#pragma once

namespace k8lite::runc {

int run(int argc, char** argv);

}  // namespace k8lite::runc
