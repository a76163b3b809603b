// A request whose answer has not begun in time is answered with 504 (metav1 reason Timeout), whatever its handler waits
// for; what the handler says later is dropped. As kube-apiserver, whether a write happened is then for the client to
// find out.
#pragma once
#include "async/async.h"
#include "net/http.h"

namespace k8lite::apiserver {

constexpr Duration kRequestTimeout = seconds(60);

// The handler with that deadline. One timer serves all requests, and only while there are some.
net::Handler with_deadline(async::Loop& loop, net::Handler handler, Duration limit = kRequestTimeout);

}  // namespace k8lite::apiserver
