// Messages as they come: whole, a byte at a time, and such as nobody should send.
#include <catch2/catch.hpp>

#include "net/http_wire.h"

using namespace k8lite;
using namespace k8lite::net;

namespace {

// Feeds `step` bytes more at a time, as a connection does: what is not used comes again.
struct Read {
  MessageParser parser;
  std::string body, left;
  Status error;
  Read(std::string_view text, size_t step, MessageParser::Kind kind = MessageParser::Kind::Request, bool skip = false) : parser(kind, 4096) {
    if (skip) parser.skip_body();
    for (size_t at = 0; at < text.size(); at += step) {
      left += text.substr(at, step);
      for (size_t used = 1; used > 0 && !parser.done() && !left.empty();) {
        auto r = parser.put(left);
        if (!r.ok()) {
          error = r.status();
          return;
        }
        used = *r;
        left.erase(0, used);
        body += parser.take_body();
      }
    }
  }
};

std::string why(std::string_view text) {
  Read r(text, text.size());
  return r.error.ok() ? "" : r.error.message();
}

}  // namespace

TEST_CASE("http parser: the pieces a message comes in do not matter") {
  for (size_t step : {1, 2, 3, 7, 1000}) {
    Read plain("\r\nPOST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Empty:\r\nX-Two:  a b \t\r\nContent-Length: 5\r\n\r\nhelloGET", step);
    CHECK(plain.parser.done());
    CHECK(plain.parser.method() == "POST");
    CHECK(plain.parser.target() == "/a?b=c");
    CHECK(plain.parser.headers().get("x-two") == "a b");
    CHECK(plain.parser.headers().has("x-empty"));
    CHECK(plain.body == "hello");
    CHECK(plain.parser.keep_alive());
    Read chunked("PUT / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\nA ; x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n", step);
    CHECK(chunked.parser.done());
    CHECK(chunked.body == "abc0123456789");
    Read answer("HTTP/1.1 200 OK\r\n\r\nuntil the end", step, MessageParser::Kind::Response);
    CHECK_FALSE(answer.parser.done());
    CHECK_FALSE(answer.parser.keep_alive());
    CHECK(answer.parser.put_eof().ok());
    CHECK(answer.body == "until the end");
  }
  Read two("GET / HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n", 1000);
  CHECK(two.left == "GET /b HTTP/1.1\r\n\r\n");
}

TEST_CASE("http parser: answers without a body have none, whatever their length says") {
  for (const char* status : {"HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified", "HTTP/1.1 101 Switching Protocols", "HTTP/1.1 100"}) {
    Read r(std::string(status) + "\r\nContent-Length: 7\r\n\r\n", 1000, MessageParser::Kind::Response);
    INFO(status);
    CHECK(r.parser.done());
  }
  CHECK(Read("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 1000, MessageParser::Kind::Response, true).parser.done());
  CHECK_FALSE(Read("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n123", 1000, MessageParser::Kind::Response).parser.put_eof().ok());
}

TEST_CASE("http parser: connections are kept as the versions say") {
  CHECK(Read("GET / HTTP/1.1\r\n\r\n", 99).parser.keep_alive());
  CHECK_FALSE(Read("GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n", 99).parser.keep_alive());
  CHECK_FALSE(Read("GET / HTTP/1.0\r\n\r\n", 99).parser.keep_alive());
  CHECK(Read("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 99).parser.keep_alive());
}

TEST_CASE("http parser: what two readers could understand in two ways is refused") {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\n";
  for (std::string text : {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "Content-Length: 5, 5\r\n\r\n", "Content-Length: -5\r\n\r\n", "Content-Length: +5\r\n\r\n",
                           "Content-Length: 0x5\r\n\r\n", "Content-Length:\r\n\r\n", "Content-Length: 99999999999999999999\r\n\r\n", "Content-Length : 5\r\n\r\n", "Transfer-Encoding: gzip, chunked\r\n\r\n",
                           "Transfer-Encoding: identity\r\n\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "X: a\r\n folded\r\n\r\n", "X: a\nY: b\r\n\r\n", "X: a\rb\r\n\r\n", "X\r\n\r\n", ": x\r\n\r\n",
                           "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
                           "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\n\r\n"}) {
    INFO(text);
    CHECK(why(head + text).starts_with("malformed HTTP message"));
  }
  CHECK(why("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").starts_with("malformed"));
  for (const char* line : {"GET /", "GET  / HTTP/1.1", "GET / HTTP/2.0", "GET / http/1.1", "G@T / HTTP/1.1", "GET /\x01 HTTP/1.1", " / HTTP/1.1", "GET / HTTP/1.1 "}) {
    INFO(line);
    CHECK_FALSE(why(std::string(line) + "\r\n\r\n").empty());
  }
}

TEST_CASE("http parser: heads, chunk lines and trailers are bounded") {
  Read head("GET / HTTP/1.1\r\nX: " + std::string(5000, 'x'), 100);
  CHECK(head.error.is(Reason::RequestEntityTooLarge));
  CHECK(why("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(5000, 'x')).starts_with("malformed"));
  std::string trailer = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
  for (int i = 0; i < 2000; ++i) trailer += "A: 0123456789\r\n";
  CHECK(why(trailer).starts_with("malformed"));
}
