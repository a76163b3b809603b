// The kubectl face of the executable: the same commands, flags, wording and exit codes as the reference client.
#pragma once

namespace k8lite::kubectl {

// Runs one command line; argv[0] is the program's name ("kubectl"). Returns the exit code.
int run_kubectl(int argc, char** argv);

}  // namespace k8lite::kubectl
