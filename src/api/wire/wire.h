// Kubernetes' protobuf form of objects, both ways, by one transcoder over the schema's wire numbers.
// (Kubernetes documentation, "Alternate representations of resources"; protocol buffers encoding.)
#pragma once
#include <string>
#include <string_view>

#include "api/schema/schema.h"

namespace k8lite::api::wire {

inline constexpr std::string_view kMediaType = "application/vnd.kubernetes.protobuf";

// The message of one object without its envelope.
std::string encode_message(const json::Node& object, const schema::Type& type);
// BadRequest for what is no such message; unknown field numbers are skipped.
Result<json::Node> decode_message(std::string_view bytes, const schema::Type& type);

// With the envelope: "k8s\0" and a runtime.Unknown that names apiVersion and kind.
std::string encode(const json::Node& object, const schema::Type& type);
// Finds the type by the envelope and puts apiVersion and kind into the object.
Result<json::Node> decode(std::string_view bytes);

}  // namespace k8lite::api::wire
