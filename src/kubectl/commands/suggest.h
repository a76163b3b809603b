// kubectl __complete: answers a shell's question with candidates, one a line, and a last line ":DIRECTIVE".
#pragma once
#include <string>
#include <vector>

namespace k8lite::kubectl {

int suggest(bool descriptions, const std::vector<std::string>& words);

}  // namespace k8lite::kubectl
