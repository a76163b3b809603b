// How many files and sockets this process may have open.
#pragma once
#include <cstddef>

namespace k8lite::os {

// Raises the soft limit to the hard one, as every server with many connections must; returns what the limit is then.
size_t raise_descriptor_limit();

}  // namespace k8lite::os
