// Bodies go out whole or in pieces, packed or not, and are the same at the other end.
#include "apiserver/http/body.h"

#include <catch2/catch.hpp>

#include "base/gunzip.h"

using namespace k8lite;
using namespace k8lite::apiserver;

namespace {

struct Sent : net::ResponseWriter {
  int status = 0, writes = 0;
  net::Headers headers;
  std::string body;
  bool whole = false, ended = false;
  size_t largest = 0;
  async::Task<Result<>> send(int s, net::Headers h, std::string b) override {
    status = s, headers = std::move(h), body = std::move(b), whole = ended = true;
    co_return Result<>{};
  }
  async::Task<Result<>> start(int s, net::Headers h) override {
    status = s, headers = std::move(h);
    co_return Result<>{};
  }
  async::Task<Result<>> write(std::string_view data) override {
    ++writes;
    largest = std::max(largest, data.size());
    body += data;
    co_return Result<>{};
  }
  async::Task<Result<>> finish() override {
    ended = true;
    co_return Result<>{};
  }
  async::Task<Result<net::StreamPtr>> upgrade(net::Headers) override { co_return internal_error("no upgrades here"); }
  void on_disconnect(std::function<void()>) override {}
  bool started() const override { return status != 0; }
};

async::Task<bool> pieces(Sent* to, std::string text, size_t piece, async::Pool* packers) {
  size_t at = 0;
  co_await send_pieces(*to, 200, {{"Content-Type", "text/plain"}}, [&text, &at, piece](std::string& out) {
    out.append(text, at, piece);
    at += piece;
    return at < text.size();
  }, packers);
  co_return true;
}
async::Task<bool> body(Sent* to, std::string text, async::Pool* packers) {
  co_await send_body(*to, 201, {}, std::move(text), packers);
  co_return true;
}

std::string some_text(size_t size) {
  std::string out;
  for (size_t i = 0; out.size() < size; ++i) out += "item-" + std::to_string(i * 2654435761u % 100'000) + ",";
  out.resize(size);
  return out;
}

}  // namespace

TEST_CASE("body: small ones go out whole, large ones in pieces, and the client gets what was made") {
  async::Loop loop;
  loop.start();
  async::Pool pool(3);
  for (size_t size : {size_t{0}, size_t{100}, size_t{128 * 1024}, size_t{128 * 1024 + 1}, size_t{1'000'003}}) {
    std::string text = some_text(size);
    for (bool gzip : {false, true}) {
      INFO(size << (gzip ? " packed" : ""));
      bool large = size > 128 * 1024;
      Sent one, two;
      async::block_on(loop, pieces(&one, text, 50'000, gzip ? &pool : nullptr));
      CHECK(one.ended);
      CHECK(one.whole == !large);
      CHECK(one.headers.get("Content-Encoding") == (large && gzip ? "gzip" : ""));
      CHECK((large && gzip ? gunzip(one.body, 1 << 21).value_or("damaged") : one.body) == text);
      CHECK(one.largest < 256 * 1024);
      async::block_on(loop, body(&two, text, gzip ? &pool : nullptr));
      CHECK(two.status == 201);
      CHECK(two.ended);
      CHECK((two.headers.get("Content-Encoding") == "gzip" ? gunzip(two.body, 1 << 21).value_or("damaged") : two.body) == text);
    }
  }
}

TEST_CASE("body: who takes gzip says so") {
  CHECK(takes_gzip("gzip"));
  CHECK(takes_gzip("deflate, GZIP;q=0.5"));
  CHECK_FALSE(takes_gzip(""));
  CHECK_FALSE(takes_gzip("identity"));
  CHECK_FALSE(takes_gzip("gzip;q=0"));
  CHECK_FALSE(takes_gzip("x-gzip"));
}
