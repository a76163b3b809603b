// Bodies on their way out: whole where they are small, else piece by piece in bounded memory, packed by gzip where the client takes it.
// As upstream, bodies of up to 128 KiB are not packed.
#pragma once
#include <functional>

#include "net/http.h"

namespace k8lite::apiserver {

// Of an Accept-Encoding header.
bool takes_gzip(std::string_view accept_encoding);

// Appends the next piece, of some 64 KiB, to what may stand there already; false when that was the last. Pieces are made while the
// response is under way, so whatever they are made of must be held by the function. With `packers` the body is packed by their threads, which
// hold up to some 2 MB of it.
using Pieces = std::function<bool(std::string& out)>;
async::Task<void> send_pieces(net::ResponseWriter& response, int status, net::Headers headers, Pieces next, async::Pool* packers);
async::Task<void> send_body(net::ResponseWriter& response, int status, net::Headers headers, std::string body, async::Pool* packers);

}  // namespace k8lite::apiserver
