// The pods' shim as a face of the small executable: see shim.cpp.
#pragma once

namespace k8lite::shim {

int run_shim(int argc, char** argv);

}  // namespace k8lite::shim
