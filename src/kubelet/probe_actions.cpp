#include "kubelet/probe_actions.h"

#include "base/json.h"
#include "base/strings.h"

namespace k8lite::kubelet {

using async::Task;

namespace {

constexpr int kMaxRedirects = 10;

std::string bracketed(const std::string& host) { return host.find(':') == host.npos ? host : "[" + host + "]"; }

std::string url_of(const HttpProbe& p) {
  return std::string(p.tls ? "https" : "http") + "://" + bracketed(p.host) + ":" + std::to_string(p.port) + p.path;
}

net::ClientRequest request_of(const HttpProbe& p) {
  net::ClientRequest request{
      "GET", p.path, {{"User-Agent", "kube-probe/1.36"}, {"Accept", "*/*"}, {"Connection", "close"}}, {}};
  for (const auto& [name, value] : p.headers.rows()) request.headers.remove(name);
  for (const auto& [name, value] : p.headers.rows())
    if (!value.empty() || lower(name) != "accept") request.headers.add(name, value);
  return request;
}

// Where an answer sends the probe; false: somewhere else than to the host it asked.
bool follow(HttpProbe& p, std::string_view location) {
  if (location.starts_with('/') && !location.starts_with("//")) {
    p.path = std::string(location);
    return true;
  }
  auto url = net::Url::parse(location);
  if (!url.ok() || url->host != p.host) return false;
  p.tls = url->scheme == "https";
  p.port = url->port;
  p.path = url->target.empty() ? "/" : url->target;
  return true;
}

}  // namespace

Task<ProbeOutcome> probe_http(async::Loop& loop, HttpProbe probe) {
  if (!probe.path.starts_with('/')) probe.path = "/" + probe.path;
  std::string first = url_of(probe);
  Duration deadline = system_clock().mono() + probe.timeout;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    Duration left = std::max<Duration>(deadline - system_clock().mono(), milliseconds(1));
    net::HttpClientOptions options{.host = probe.host, .port = probe.port, .tls = nullptr};
    if (probe.tls) options.tls = net::make_tls_client({.ca_pem = {}, .insecure_skip_verify = true}).value();
    options.connect_timeout = options.response_timeout = left;
    auto client = net::make_http_client(loop, options);
    net::ClientRequest request = request_of(probe);
    auto response = co_await client->send(std::move(request));
    if (!response.ok())
      co_return ProbeOutcome{false, "Get " + json::quoted(first) + ": " + response.status().message()};
    int status = (*response)->status;
    std::string location((*response)->headers.get("Location"));
    (*response)->cancel();
    bool moved = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    if (moved && !location.empty() && follow(probe, location)) continue;
    if (status >= 200 && status < 400) co_return ProbeOutcome{true, {}};
    co_return ProbeOutcome{false, "HTTP probe failed with statuscode: " + std::to_string(status)};
  }
  co_return ProbeOutcome{false, "Get " + json::quoted(first) + ": stopped after 10 redirects"};
}

Task<ProbeOutcome> probe_tcp(async::Loop& loop, std::string host, int port, Duration timeout) {
  auto stream = co_await net::dial(loop, host, port, nullptr, timeout);
  if (!stream.ok())
    co_return ProbeOutcome{
        false, "dial tcp " + bracketed(host) + ":" + std::to_string(port) + ": " + stream.status().message()};
  (*stream)->close();
  co_return ProbeOutcome{true, {}};
}

}  // namespace k8lite::kubelet
