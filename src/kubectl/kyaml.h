// KYAML (KEP-5295): YAML with braces, brackets and quoted texts, so that neither indentation nor "no" can be misread.
#pragma once
#include <string>

#include "base/json.h"

namespace k8lite::kubectl {

std::string dump_kyaml(const json::Node& value);

}  // namespace k8lite::kubectl
