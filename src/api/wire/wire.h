// Kubernetes' protobuf form of objects, both ways, by one transcoder over the schema's wire numbers.
// (Kubernetes documentation, "Alternate representations of resources"; protocol buffers encoding.) JSON to wire to JSON
// gives the same object but for empty lists and maps, which the wire cannot tell from absent ones. What comes from Go's
// writers, which write plain fields even when nobody set them, reads as the JSON that Go would have written.
#pragma once
#include <string>
#include <string_view>

#include "api/schema/schema.h"

namespace k8lite::api::wire {

inline constexpr std::string_view kMediaType = "application/vnd.kubernetes.protobuf";
inline constexpr int kMaxDepth = 200;            // messages within messages; deeper is BadRequest
inline constexpr size_t kMaxValues = 1'000'000;  // in one message, so that a small body cannot fill the memory

// The message of one object without its envelope.
std::string encode_message(const json::Node& object, const schema::Type& type);
// BadRequest for what is no such message: truncated, nested too deep, a wire type that does not fit the field, text
// that is no UTF-8. Unknown field numbers are skipped.
Result<json::Node> decode_message(std::string_view bytes, const schema::Type& type);

// With the envelope: "k8s\0" and a runtime.Unknown that names apiVersion and kind.
std::string encode(const json::Node& object, const schema::Type& type);
// Finds the type by the envelope and puts apiVersion and kind into the object.
Result<json::Node> decode(std::string_view bytes);

// A list of messages made by encode_message(), with its envelope; `metadata` is metav1.ListMeta.
std::string encode_list(std::string_view api_version, std::string_view kind, const json::Node& metadata,
                        const std::vector<std::string>& items);

// One event of a watch: a length of four bytes, then metav1.WatchEvent around an object as encode() gives it.
std::string watch_frame(std::string_view event, std::string_view object);

}  // namespace k8lite::api::wire
