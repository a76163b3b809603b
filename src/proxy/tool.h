// Runs a command line tool of the host without a shell: input from memory, output and errors into memory. Safe in a threaded process.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace k8lite::proxy {

// Path of a program in PATH or the usual folders for administrators' programs; "" when there is none.
std::string find_tool(const std::string& name);

// What the tool printed. A failure carries the tool's own message. A tool that runs longer than a minute is killed.
Result<std::string> run_tool(const std::string& path, const std::vector<std::string>& arguments, const std::string& input = {});

}  // namespace k8lite::proxy
