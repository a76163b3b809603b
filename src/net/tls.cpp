// TLS 1.2 and 1.3 as a Stream over a Stream: OpenSSL on memory BIOs, so the session neither knows sockets nor blocks.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstring>
#include <mutex>

#include "net/spare.h"
#include "net/stream.h"

namespace k8lite::net {
namespace {

template <auto Fn>
struct Free {
  template <class T>
  void operator()(T* p) const { Fn(p); }
};
using CtxPtr = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Free<SSL_free>>;
using BioPtr = std::unique_ptr<BIO, Free<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

constexpr size_t kRecordBytes = 16 * 1024;

Status tls_error(std::string what) {
  unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (!code) return unavailable(what + ": connection closed during the handshake");
  const char* reason = ERR_reason_error_string(code);
  return unavailable(what + ": " + (reason ? reason : "TLS error " + std::to_string(code)));
}

BioPtr bio_of(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

Result<> use_key_pair(SSL_CTX* ctx, const std::string& certificate_pem, const std::string& key_pem) {
  auto bio = bio_of(certificate_pem);
  X509Ptr leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!leaf) {
    ERR_clear_error();
    return bad_request("no certificate in the PEM text");
  }
  SSL_CTX_use_certificate(ctx, leaf.get());
  while (X509* more = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) SSL_CTX_add0_chain_cert(ctx, more);
  ERR_clear_error();
  auto key_bio = bio_of(key_pem);
  KeyPtr key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  if (!key || SSL_CTX_use_PrivateKey(ctx, key.get()) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
    ERR_clear_error();
    return bad_request("the private key is unreadable or does not belong to the certificate");
  }
  return {};
}

Result<> trust(SSL_CTX* ctx, const std::string& ca_pem, bool name_them) {
  auto bio = bio_of(ca_pem);
  X509_STORE* store = SSL_CTX_get_cert_store(ctx);
  int n = 0;
  while (true) {
    X509Ptr ca(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!ca) break;
    X509_STORE_add_cert(store, ca.get());
    if (name_them) SSL_CTX_add_client_CA(ctx, ca.get());
    ++n;
  }
  ERR_clear_error();
  if (n == 0) return bad_request("no CA certificate in the PEM text");
  return {};
}

// Whether the chain is good is read after the handshake: a client with a bad certificate gets an answer (401), not a cut line.
int accept_any(int, X509_STORE_CTX*) { return 1; }

// What the server can speak, best first (RFC 7301); `names` is one of the two below.
constexpr unsigned char kHttp1[] = "\x08http/1.1", kHttp2[] = "\x02h2\x08http/1.1";

int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_len, const unsigned char* in, unsigned int in_len, void* names) {
  auto* mine = static_cast<const unsigned char*>(names);
  auto size = static_cast<unsigned>(strlen(static_cast<const char*>(names)));
  if (SSL_select_next_proto(const_cast<unsigned char**>(out), out_len, mine, size, in, in_len) == OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_OK;
  return SSL_TLSEXT_ERR_NOACK;
}

CtxPtr new_context(bool server) {
  CtxPtr ctx(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  if (!ctx) return ctx;
  SSL_CTX_set_min_proto_version(ctx.get(), TLS1_2_VERSION);
  SSL_CTX_set_mode(ctx.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(ctx.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  return ctx;
}

std::vector<std::string> name_entries(X509_NAME* name, int nid) {
  std::vector<std::string> out;
  for (int at = -1; (at = X509_NAME_get_index_by_NID(name, nid, at)) >= 0;) {
    unsigned char* utf8 = nullptr;
    int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (n >= 0) out.emplace_back(reinterpret_cast<char*>(utf8), static_cast<size_t>(n));
    OPENSSL_free(utf8);
  }
  return out;
}

}  // namespace

class TlsServerContext {
 public:
  std::shared_ptr<SSL_CTX> current() {
    std::lock_guard lock(mutex_);
    return ctx_;
  }
  void replace(CtxPtr ctx) {
    std::shared_ptr<SSL_CTX> next(ctx.release(), [](SSL_CTX* c) { SSL_CTX_free(c); });
    std::lock_guard lock(mutex_);
    ctx_ = std::move(next);
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<SSL_CTX> ctx_;
};

class TlsClientContext {
 public:
  CtxPtr ctx;
  std::string server_name;
  bool verify = true;
};

Result<> replace_certificates(TlsServerContext& context, const TlsServerConfig& config) {
  CtxPtr ctx = new_context(true);
  if (!ctx) return tls_error("TLS context");
  TRY_OK(use_key_pair(ctx.get(), config.certificate_pem, config.key_pem));
  if (!config.client_ca_pem.empty()) {
    TRY_OK(trust(ctx.get(), config.client_ca_pem, true));
    SSL_CTX_set_verify(ctx.get(), SSL_VERIFY_PEER, accept_any);
  }
  // Tickets of a process that was restarted would be refused anyway; without them a handshake writes less.
  SSL_CTX_set_num_tickets(ctx.get(), 0);
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(ctx.get(), choose_protocol, const_cast<unsigned char*>(config.http2 ? kHttp2 : kHttp1));
  context.replace(std::move(ctx));
  return {};
}

Result<std::shared_ptr<TlsServerContext>> make_tls_server(const TlsServerConfig& config) {
  auto context = std::make_shared<TlsServerContext>();
  TRY_OK(replace_certificates(*context, config));
  return context;
}

Result<std::shared_ptr<TlsClientContext>> make_tls_client(const TlsClientConfig& config) {
  auto context = std::make_shared<TlsClientContext>();
  context->ctx = new_context(false);
  if (!context->ctx) return tls_error("TLS context");
  SSL_CTX* ctx = context->ctx.get();
  context->server_name = config.server_name;
  context->verify = !config.insecure_skip_verify;
  if (!config.ca_pem.empty()) TRY_OK(trust(ctx, config.ca_pem, false));
  else if (context->verify) {
    for (const char* bundle : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"})
      if (SSL_CTX_load_verify_file(ctx, bundle) == 1) break;
    ERR_clear_error();
  }
  if (!config.certificate_pem.empty()) TRY_OK(use_key_pair(ctx, config.certificate_pem, config.key_pem));
  SSL_CTX_set_verify(ctx, context->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (config.http2) SSL_CTX_set_alpn_protos(ctx, kHttp2, sizeof kHttp2 - 1);
  else SSL_CTX_set_alpn_protos(ctx, kHttp1, sizeof kHttp1 - 1);
  return context;
}

namespace {

// The BIO that OpenSSL writes to: a string that the stream takes away. (A memory BIO clears and copies what it holds each time.)
int append_to_string(BIO* bio, const char* data, int size) {
  static_cast<std::string*>(BIO_get_data(bio))->append(data, static_cast<size_t>(size));
  return size;
}
long control_string(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_PENDING || command == BIO_CTRL_WPENDING) return static_cast<long>(static_cast<std::string*>(BIO_get_data(bio))->size());
  return command == BIO_CTRL_FLUSH;
}
BIO* string_bio(std::string* to) {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "string");
    BIO_meth_set_write(m, append_to_string);
    BIO_meth_set_ctrl(m, control_string);
    return m;
  }();
  BIO* bio = BIO_new(method);
  BIO_set_data(bio, to);
  BIO_set_init(bio, 1);
  return bio;
}

class TlsStream : public Stream, public std::enable_shared_from_this<TlsStream> {
 public:
  TlsStream(StreamPtr raw, SSL_CTX* ctx) : raw_(std::move(raw)), ssl_(SSL_new(ctx)), peer_(raw_->peer()) {
    in_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, string_bio(&out_));
    peer_.tls = true;
  }

  SSL* ssl() { return ssl_.get(); }
  Peer& mutable_peer() { return peer_; }

  Task<Result<>> handshake(std::string what) {
    auto self = shared_from_this();
    for (;;) {
      ERR_clear_error();
      int rc = SSL_do_handshake(ssl_.get());
      if (rc == 1) break;
      if (SSL_get_error(ssl_.get(), rc) != SSL_ERROR_WANT_READ) {
        std::string why = verify_failure();
        Status status = tls_error(what);
        (void)co_await flush();  // the alert
        co_return why.empty() ? status : unavailable(what + ": " + why);
      }
      CO_TRY_OK(co_await flush());
      CO_TRY(bool more, co_await fill());
      if (!more) co_return unavailable(what + ": connection closed during the handshake");
    }
    co_return co_await flush();
  }

  Task<Result<size_t>> read_some(std::span<char> buffer) override {
    auto self = shared_from_this();
    for (;;) {
      ERR_clear_error();
      size_t n = 0;
      if (SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &n) == 1) co_return n;
      int error = SSL_get_error(ssl_.get(), 0);
      if (error == SSL_ERROR_ZERO_RETURN) co_return size_t{0};
      if (error != SSL_ERROR_WANT_READ) co_return tls_error("read");
      if (!out_.empty() && !writing_) CO_TRY_OK(co_await flush());
      CO_TRY(bool more, co_await fill());
      if (!more) co_return size_t{0};
    }
  }

  Task<Result<>> write_all(std::string_view data) override {
    auto self = shared_from_this();
    while (!data.empty()) {
      SpareBuffer::lend(out_);
      // At most a few records wait in memory; then the socket sets the pace.
      for (int i = 0; i < 4 && !data.empty(); ++i) {
        ERR_clear_error();
        size_t n = 0;
        if (SSL_write_ex(ssl_.get(), data.data(), std::min(data.size(), kRecordBytes), &n) != 1) co_return tls_error("write");
        data.remove_prefix(n);
      }
      CO_TRY_OK(co_await flush());
    }
    co_return Result<>{};
  }

  Task<Result<>> wait_readable() override {
    auto self = shared_from_this();
    if (SSL_has_pending(ssl_.get()) || BIO_ctrl_pending(in_)) co_return Result<>{};
    co_return co_await raw_->wait_readable();
  }

  void shutdown_write() override {
    if (SSL_in_init(ssl_.get())) return;
    SSL_shutdown(ssl_.get());
    if (auto* executor = executor_) async::spawn(*executor, say_goodbye(shared_from_this()));
  }
  void close() override { raw_->close(); }
  void set_timeout(Duration idle) override { raw_->set_timeout(idle); }
  const Peer& peer() const override { return peer_; }
  void set_executor(async::Executor& executor) { executor_ = &executor; }

  std::string verify_failure() const {
    long result = SSL_get_verify_result(ssl_.get());
    if (result == X509_V_OK) return {};
    return std::string("tls: failed to verify certificate: ") + X509_verify_cert_error_string(result);
  }

 private:
  static Task<void> say_goodbye(std::shared_ptr<TlsStream> self) {
    (void)co_await self->flush();
    self->raw_->shutdown_write();
  }

  // Everything OpenSSL wants to send goes out. A second caller returns at once: the first one takes its bytes along.
  Task<Result<>> flush() {
    if (writing_) co_return Result<>{};
    writing_ = true;
    Result<> r;
    while (r.ok() && !out_.empty()) {
      SpareBuffer bytes;
      bytes.text.swap(out_);
      r = co_await raw_->write_all(bytes.text);
    }
    if (out_.empty()) SpareBuffer::give_back(out_);
    writing_ = false;
    co_return r;
  }

  Task<Result<bool>> fill() {
    CO_TRY_OK(co_await raw_->wait_readable());  // an idle connection holds no buffer
    SpareBlock buffer;
    CO_TRY(size_t n, co_await raw_->read_some({buffer.get(), SpareBlock::kBytes}));
    if (n == 0) co_return false;
    BIO_write(in_, buffer.get(), static_cast<int>(n));
    co_return true;
  }

  StreamPtr raw_;
  std::string out_;  // what OpenSSL wants to send; outlives it
  SslPtr ssl_;
  BIO* in_ = nullptr;   // owned by ssl_
  Peer peer_;
  async::Executor* executor_ = nullptr;
  bool writing_ = false;
};

bool is_address(const std::string& host) { return host.find(':') != std::string::npos || host.find_first_not_of("0123456789.") == std::string::npos; }

void read_protocol(TlsStream& stream) {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(stream.ssl(), &name, &size);
  stream.mutable_peer().http2 = std::string_view(reinterpret_cast<const char*>(name), size) == "h2";
}

void read_peer_certificate(TlsStream& stream) {
  X509Ptr certificate(SSL_get1_peer_certificate(stream.ssl()));
  if (!certificate) return;
  Peer& peer = stream.mutable_peer();
  if (SSL_get_verify_result(stream.ssl()) != X509_V_OK) {
    peer.bad_certificate = true;
    return;
  }
  peer.has_certificate = true;
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  auto names = name_entries(subject, NID_commonName);
  if (!names.empty()) peer.common_name = names.front();
  peer.organizations = name_entries(subject, NID_organizationName);
}

}  // namespace

Task<Result<StreamPtr>> tls_handshake_client(StreamPtr raw, std::shared_ptr<TlsClientContext> context, std::string host) {
  auto stream = std::make_shared<TlsStream>(std::move(raw), context->ctx.get());
  stream->set_executor(co_await async::current_executor());
  const std::string& name = context->server_name.empty() ? host : context->server_name;
  SSL_set_connect_state(stream->ssl());
  if (is_address(name)) {
    if (context->verify) X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream->ssl()), name.c_str());
  } else {
    SSL_set_tlsext_host_name(stream->ssl(), name.c_str());
    if (context->verify) SSL_set1_host(stream->ssl(), name.c_str());
  }
  CO_TRY_OK(co_await stream->handshake("TLS handshake with " + host));
  read_protocol(*stream);
  co_return StreamPtr(stream);
}

Task<Result<StreamPtr>> tls_handshake_server(StreamPtr raw, std::shared_ptr<TlsServerContext> context) {
  auto ctx = context->current();
  auto stream = std::make_shared<TlsStream>(std::move(raw), ctx.get());
  stream->set_executor(co_await async::current_executor());
  SSL_set_accept_state(stream->ssl());
  CO_TRY_OK(co_await stream->handshake("TLS handshake"));
  read_peer_certificate(*stream);
  read_protocol(*stream);
  co_return StreamPtr(stream);
}

}  // namespace k8lite::net
