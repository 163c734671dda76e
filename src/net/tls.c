#include "net/tls.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "base/mem.h"
#include "net/openssl.h"
#include "os/file.h"
#include "os/sock.h"

#define PEM_MAX     (1u << 20)
#define RECORD_MAX  16384u /* RFC 8446 5.1 */
#define TICKET_KEYS 80     /* what SSL_CTX_set_tlsext_ticket_keys takes: name, HMAC key, AES key */
#define CIPHERS_12  "ECDHE+AESGCM:ECDHE+CHACHA20"
#define GROUPS      "X25519:P-256:P-384"

struct slot {
    TERN_ALIGNED(TERN_CACHE_LINE) pthread_mutex_t lock; /* between its loop and a reload */
    SSL_CTX *ctx;                                       /* owned */
};

struct tern_tls {
    char *cert_file; /* owned */
    char *key_file;
    char *client_ca_file;
    bool offers_h2;
    bool only_tls13;
    uint32_t n_slots;
    BIO_METHOD *bio; /* owned: sockets through os/sock.h */
    struct slot *slots;
};

/* One connection. */
struct session {
    SSL *ssl;       /* owned */
    size_t retry_n; /* the record that OpenSSL holds back: the next write repeats its bytes */
    bool pending;   /* more may be read without the socket becoming readable */
    bool broken;    /* OpenSSL forbids to say goodbye after a fatal error */
};

/* Sockets below OpenSSL. */

static int bio_read(BIO *bio, char *p, size_t n, size_t *ret_n)
{
    int fd = (int)(intptr_t)BIO_get_data(bio);
    ssize_t got = tern_sock_recv(fd, p, n);

    BIO_clear_retry_flags(bio);
    if (got > 0) {
        *ret_n = (size_t)got;
        return 1;
    }
    if (got < 0 && errno == EAGAIN)
        BIO_set_retry_read(bio);
    if (got == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return 0;
}

static int bio_write(BIO *bio, const char *p, size_t n, size_t *ret_n)
{
    int fd = (int)(intptr_t)BIO_get_data(bio);
    struct iovec iov = {(void *)(uintptr_t)p, n};
    ssize_t sent = tern_sock_send(fd, &iov, 1);

    BIO_clear_retry_flags(bio);
    if (sent > 0) {
        *ret_n = (size_t)sent;
        return 1;
    }
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS))
        BIO_set_retry_write(bio);
    return 0;
}

static long bio_ctrl(BIO *bio, int cmd, long n, void *p)
{
    (void)n;
    (void)p;
    if (cmd == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *make_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tern socket");

    if (method != NULL && (BIO_meth_set_read_ex(method, bio_read) != 1 ||
                           BIO_meth_set_write_ex(method, bio_write) != 1 ||
                           BIO_meth_set_ctrl(method, bio_ctrl) != 1)) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* Loading. */

static enum tern_code fail_file(struct tern_err *err, const char *file, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return tern_fail(err, TERN_INVALID_ARGUMENT, "%s: %s%s%s", file, what,
                     reason == NULL ? "" : ": ", reason == NULL ? "" : reason);
}

/* No terminal is asked for a passphrase. */
static int refuse_passphrase(char *dst, int n, int writing, void *unused)
{
    (void)dst;
    (void)n;
    (void)writing;
    (void)unused;
    return -1;
}

static enum tern_code use_chain(SSL_CTX *ctx, const char *file, BIO *bio, struct tern_err *err)
{
    X509 *cert = PEM_read_bio_X509(bio, NULL, refuse_passphrase, NULL);

    if (cert == NULL)
        return fail_file(err, file, "expected a certificate in PEM form");
    int ok = SSL_CTX_use_certificate(ctx, cert);
    X509_free(cert);
    if (ok != 1)
        return fail_file(err, file, "this certificate cannot be used");
    SSL_CTX_clear_chain_certs(ctx);
    while ((cert = PEM_read_bio_X509(bio, NULL, refuse_passphrase, NULL)) != NULL) {
        if (SSL_CTX_add0_chain_cert(ctx, cert) != 1) {
            X509_free(cert);
            return fail_file(err, file, "a certificate of the chain cannot be used");
        }
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return fail_file(err, file, "a certificate of the chain is damaged");
    ERR_clear_error(); /* "no start line" is how the end looks */
    return TERN_OK;
}

static enum tern_code use_key(SSL_CTX *ctx, const char *file, BIO *bio, struct tern_err *err)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);

    if (key == NULL)
        return fail_file(err, file, "expected an unencrypted private key in PEM form");
    int ok = SSL_CTX_use_PrivateKey(ctx, key);
    EVP_PKEY_free(key);
    if (ok != 1 || SSL_CTX_check_private_key(ctx) != 1)
        return fail_file(err, file, "the key does not belong to the certificate");
    return TERN_OK;
}

static enum tern_code use_client_ca(SSL_CTX *ctx, const char *file, BIO *bio, struct tern_err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509 *cert;
    int n = 0;

    while ((cert = PEM_read_bio_X509(bio, NULL, refuse_passphrase, NULL)) != NULL) {
        int ok = X509_STORE_add_cert(store, cert) == 1 && SSL_CTX_add_client_CA(ctx, cert) == 1;
        X509_free(cert);
        if (!ok)
            return fail_file(err, file, "an authority's certificate cannot be used");
        n++;
    }
    if (n == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return fail_file(err, file, "expected the certificates of authorities in PEM form");
    ERR_clear_error();
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return TERN_OK;
}

static enum tern_code use_file(SSL_CTX *ctx, const char *file,
                               enum tern_code (*use)(SSL_CTX *ctx, const char *file, BIO *bio,
                                                     struct tern_err *err),
                               struct tern_err *err)
{
    char *bytes;
    size_t n;

    TERN_TRY(tern_file_read(file, PEM_MAX, 1, &bytes, &n, err));
    ERR_clear_error();
    BIO *bio = BIO_new_mem_buf(bytes, (int)n);
    enum tern_code code = bio == NULL ? tern_mem_fail(err, file, n) : use(ctx, file, bio, err);
    BIO_free(bio);
    OPENSSL_cleanse(bytes, n); /* it may have been the key */
    tern_mem_free(bytes);
    return code;
}

static int select_alpn(SSL *ssl, const unsigned char **ret_p, unsigned char *ret_n,
                       const unsigned char *offered, unsigned n, void *arg)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    const struct tern_tls *tls = arg;
    unsigned skip = tls->offers_h2 ? 0 : 3;
    unsigned char *selected;
    (void)ssl;

    if (SSL_select_next_proto(&selected, ret_n, ours + skip, (unsigned)sizeof(ours) - 1 - skip,
                              offered, n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_p = selected;
    return SSL_TLSEXT_ERR_OK;
}

static bool set_policy(struct tern_tls *tls, SSL_CTX *ctx, unsigned char *ticket_keys)
{
    static const unsigned char session_context[] = "tern";
    char groups[] = GROUPS; /* OpenSSL's macro casts const away */

    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1); /* one system call for many records */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_early_data(ctx, 0);
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, tls);
    int oldest = tls->only_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
    return SSL_CTX_set_min_proto_version(ctx, oldest) == 1 &&
           SSL_CTX_set_cipher_list(ctx, CIPHERS_12) == 1 &&
           SSL_CTX_set1_groups_list(ctx, groups) == 1 && SSL_CTX_set_num_tickets(ctx, 1) == 1 &&
           SSL_CTX_set_tlsext_ticket_keys(ctx, ticket_keys, TICKET_KEYS) == 1 &&
           SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1) == 1;
}

static enum tern_code make_ctx(struct tern_tls *tls, unsigned char *ticket_keys, SSL_CTX **ret_ctx,
                               struct tern_err *err)
{
    enum tern_code code = TERN_OK;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (ctx == NULL || !set_policy(tls, ctx, ticket_keys))
        code = fail_file(err, tls->cert_file, "OpenSSL refuses our policy");
    if (code == TERN_OK)
        code = use_file(ctx, tls->cert_file, use_chain, err);
    if (code == TERN_OK)
        code = use_file(ctx, tls->key_file, use_key, err);
    if (code == TERN_OK && tls->client_ca_file != NULL)
        code = use_file(ctx, tls->client_ca_file, use_client_ca, err);
    if (code != TERN_OK) {
        SSL_CTX_free(ctx);
        return code;
    }
    *ret_ctx = ctx;
    return TERN_OK;
}

enum tern_code tern_tls_reload(struct tern_tls *tls, struct tern_err *err)
{
    unsigned char ticket_keys[TICKET_KEYS];
    SSL_CTX **fresh = tern_mem_zalloc(tls->n_slots, sizeof(SSL_CTX *));
    enum tern_code code = TERN_OK;

    if (fresh == NULL)
        return tern_mem_fail(err, "TLS", sizeof(SSL_CTX *));
    if (RAND_bytes(ticket_keys, sizeof(ticket_keys)) != 1)
        code = tern_fail(err, TERN_UNAVAILABLE, "TLS: no random numbers for ticket keys");
    for (uint32_t i = 0; i < tls->n_slots && code == TERN_OK; i++)
        code = make_ctx(tls, ticket_keys, &fresh[i], err);
    for (uint32_t i = 0; i < tls->n_slots; i++) {
        SSL_CTX *old = fresh[i];
        if (code == TERN_OK) {
            pthread_mutex_lock(&tls->slots[i].lock);
            old = tls->slots[i].ctx;
            tls->slots[i].ctx = fresh[i];
            pthread_mutex_unlock(&tls->slots[i].lock);
        }
        SSL_CTX_free(old); /* connections that use it hold references of their own */
    }
    OPENSSL_cleanse(ticket_keys, sizeof(ticket_keys));
    tern_mem_free(fresh);
    return code;
}

static enum tern_code tls_init(struct tern_tls *tls, const struct tern_tls_config *config,
                               struct tern_err *err)
{
    tls->offers_h2 = config->offers_h2;
    tls->only_tls13 = config->only_tls13;
    tls->cert_file = tern_mem_strdup(tern_str_of(config->cert_file));
    tls->key_file = tern_mem_strdup(tern_str_of(config->key_file));
    if (config->client_ca_file != NULL)
        tls->client_ca_file = tern_mem_strdup(tern_str_of(config->client_ca_file));
    tls->slots = tern_mem_alloc_aligned(TERN_CACHE_LINE, (config->loops + 1) * sizeof(struct slot));
    tls->bio = make_bio_method();
    if (tls->cert_file == NULL || tls->key_file == NULL || tls->slots == NULL || tls->bio == NULL ||
        (config->client_ca_file != NULL && tls->client_ca_file == NULL))
        return tern_mem_fail(err, "TLS", sizeof(*tls));
    for (; tls->n_slots < config->loops; tls->n_slots++) {
        pthread_mutex_init(&tls->slots[tls->n_slots].lock, NULL);
        tls->slots[tls->n_slots].ctx = NULL;
    }
    return tern_tls_reload(tls, err);
}

enum tern_code tern_tls_new(const struct tern_tls_config *config, struct tern_tls **ret_tls,
                            struct tern_err *err)
{
    TERN_TRY(tern_openssl_load(err));
    struct tern_tls *tls = tern_mem_zalloc(1, sizeof(*tls));
    if (tls == NULL)
        return tern_mem_fail(err, "TLS", sizeof(*tls));
    enum tern_code code = tls_init(tls, config, err);
    if (code != TERN_OK) {
        tern_tls_free(tls);
        return code;
    }
    *ret_tls = tls;
    return TERN_OK;
}

void tern_tls_free(struct tern_tls *tls)
{
    if (tls == NULL)
        return;
    for (uint32_t i = 0; i < tls->n_slots; i++) {
        SSL_CTX_free(tls->slots[i].ctx);
        pthread_mutex_destroy(&tls->slots[i].lock);
    }
    BIO_meth_free(tls->bio);
    tern_mem_free(tls->slots);
    tern_mem_free(tls->cert_file);
    tern_mem_free(tls->key_file);
    tern_mem_free(tls->client_ca_file);
    tern_mem_free(tls);
}

/* The transport. */

static SSL *make_ssl(struct tern_conn *conn, struct tern_tls *tls)
{
    struct slot *slot = &tls->slots[tern_loop_index(conn->hub->loop) % tls->n_slots];

    pthread_mutex_lock(&slot->lock);
    SSL *ssl = SSL_new(slot->ctx);
    pthread_mutex_unlock(&slot->lock);
    BIO *bio = ssl == NULL ? NULL : BIO_new(tls->bio);
    if (bio == NULL) {
        SSL_free(ssl);
        return NULL;
    }
    BIO_set_data(bio, (void *)(intptr_t)conn->io.fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    return ssl;
}

static enum tern_code tls_open(struct tern_conn *conn, void *config, struct tern_err *err)
{
    struct session *t = tern_mem_zalloc(1, sizeof(*t));

    if (t == NULL)
        return tern_mem_fail(err, "a TLS connection", sizeof(*t));
    t->ssl = make_ssl(conn, config);
    if (t->ssl == NULL) {
        tern_mem_free(t);
        return tern_mem_fail(err, "a TLS connection", sizeof(*t));
    }
    conn->transport_state = t;
    return TERN_OK;
}

/* What a call that moved nothing means. */
static enum tern_io judge(struct session *t, int rc)
{
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return TERN_IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return TERN_IO_EOF;
    default:
        t->broken = true;
        return TERN_IO_BROKEN;
    }
}

static enum tern_io tls_handshake(struct tern_conn *conn)
{
    struct session *t = conn->transport_state;

    ERR_clear_error();
    int rc = SSL_do_handshake(t->ssl);
    if (rc == 1)
        return TERN_IO_OK;
    enum tern_io io = judge(t, rc);
    conn->transport_wants_write = io == TERN_IO_AGAIN && SSL_want_write(t->ssl);
    return io == TERN_IO_EOF ? TERN_IO_BROKEN : io;
}

static struct tern_str tls_alpn(struct tern_conn *conn)
{
    struct session *t = conn->transport_state;
    const unsigned char *p;
    unsigned n;

    SSL_get0_alpn_selected(t->ssl, &p, &n);
    return tern_str_make((const char *)p, n);
}

static enum tern_io tls_recv(struct tern_conn *conn, void *p, size_t n, size_t *ret_n)
{
    struct session *t = conn->transport_state;
    size_t total = 0;
    int rc = 1;

    ERR_clear_error();
    /* All records that one read brought, as far as there is room; then no byte is left inside, or
     * `pending` says so: half a record does not count, its rest will wake the loop. */
    do {
        size_t got = 0;
        rc = SSL_read_ex(t->ssl, (char *)p + total, n - total, &got);
        total += got;
    } while (rc == 1 && total < n && SSL_has_pending(t->ssl));
    enum tern_io io = rc == 1 ? TERN_IO_OK : judge(t, rc);
    if (total == 0) {
        t->pending = false;
        return io;
    }
    /* An end that came with the last bytes is reported by the next call. */
    t->pending = rc == 1 ? SSL_has_pending(t->ssl) == 1 : io != TERN_IO_AGAIN;
    *ret_n = total;
    return TERN_IO_OK;
}

static bool tls_has_pending(struct tern_conn *conn)
{
    const struct session *t = conn->transport_state;
    return t->pending;
}

/* One record's worth of bytes from a vector. */
struct cursor {
    const struct iovec *iov;
    int n;
    size_t off;
};

/* The next bytes, at most a record: in place when they lie together, else gathered. */
static size_t gather(const struct cursor *at, char record[RECORD_MAX], const char **ret_p)
{
    size_t first = at->iov->iov_len - at->off;
    size_t n = 0;

    if (first >= RECORD_MAX || at->n == 1) {
        *ret_p = (const char *)at->iov->iov_base + at->off;
        return first < RECORD_MAX ? first : RECORD_MAX;
    }
    size_t off = at->off;
    for (int i = 0; i < at->n && n < RECORD_MAX; i++) {
        size_t take = at->iov[i].iov_len - off;
        if (take > RECORD_MAX - n)
            take = RECORD_MAX - n;
        if (take > 0)
            memcpy(record + n, (const char *)at->iov[i].iov_base + off, take);
        n += take;
        off = 0;
    }
    *ret_p = record;
    return n;
}

static void advance(struct cursor *at, size_t n)
{
    while (at->n > 0 && n >= at->iov->iov_len - at->off) {
        n -= at->iov->iov_len - at->off;
        at->iov++;
        at->n--;
        at->off = 0;
    }
    at->off += n;
}

static enum tern_io tls_send(struct tern_conn *conn, const struct iovec *iov, int n, size_t *ret_n)
{
    struct session *t = conn->transport_state;
    struct cursor at = {iov, n, 0};
    char record[RECORD_MAX];
    size_t total = 0;

    ERR_clear_error();
    advance(&at, 0); /* past empty pieces */
    while (at.n > 0) {
        const char *p;
        size_t sent = 0;
        size_t want = gather(&at, record, &p);
        assert(want >= t->retry_n); /* the same bytes first, as conn.h promises */
        int rc = SSL_write_ex(t->ssl, p, want, &sent);
        if (rc != 1) {
            enum tern_io io = judge(t, rc);
            t->retry_n = io == TERN_IO_AGAIN ? want : 0;
            if (io == TERN_IO_BROKEN || total == 0)
                return io == TERN_IO_EOF ? TERN_IO_BROKEN : io;
            break;
        }
        t->retry_n = 0;
        total += sent;
        advance(&at, sent);
    }
    *ret_n = total;
    return TERN_IO_OK;
}

static void tls_shutdown(struct tern_conn *conn)
{
    struct session *t = conn->transport_state;

    ERR_clear_error();
    if (!t->broken && SSL_is_init_finished(t->ssl))
        SSL_shutdown(t->ssl);
    tern_sock_shutdown_write(conn->io.fd);
}

static void tls_close(struct tern_conn *conn)
{
    struct session *t = conn->transport_state;

    if (t == NULL)
        return;
    SSL_free(t->ssl);
    tern_mem_free(t);
    conn->transport_state = NULL;
}

const struct tern_transport_ops tern_transport_tls = {
    .name = "tls",
    .is_tls = true,
    .open = tls_open,
    .handshake = tls_handshake,
    .alpn = tls_alpn,
    .recv = tls_recv,
    .send = tls_send,
    .has_pending = tls_has_pending,
    .shutdown = tls_shutdown,
    .close = tls_close,
};
