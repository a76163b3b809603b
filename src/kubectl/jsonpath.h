// JSONPath as kubectl's own: the implementation is shared with the columns of custom resources (api/jsonpath.h).
#pragma once
#include "api/jsonpath.h"

namespace k8lite::kubectl {

using api::html_safe;
using api::JsonPath;
using api::jsonpath_text;
using api::sorted_keys;

}  // namespace k8lite::kubectl
