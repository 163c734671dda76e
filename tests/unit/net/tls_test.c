// wrap: tern_clock_mono_ns
/* The TLS transport against OpenSSL's own client, over an echoing mux. */
#include "harness/net_rig.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include "net/tls.h"

/* Certificates, made anew for each run. */

static char folder[] = "/tmp/tern_tls_test_XXXXXX";

static const char *path(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *p = paths[next++ % 8];

    snprintf(p, sizeof(paths[0]), "%s/%s", folder, name);
    return p;
}

struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
}

/* issuer NULL: signs itself. */
static struct identity make_identity(const char *name, const struct identity *issuer)
{
    static long serial = 1;
    struct identity id = {EVP_EC_gen("P-256"), X509_new()};
    X509_NAME *subject = X509_get_subject_name(id.cert);

    X509_set_version(id.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(id.cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(id.cert), 3600);
    X509_set_pubkey(id.cert, id.key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509 *by = issuer == NULL ? id.cert : issuer->cert;
    X509_set_issuer_name(id.cert, X509_get_subject_name(by));
    add_extension(id.cert, by, NID_basic_constraints, issuer == NULL ? "CA:TRUE" : "CA:FALSE");
    X509_sign(id.cert, issuer == NULL ? id.key : issuer->key, EVP_sha256());
    return id;
}

static void free_identity(struct identity *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->cert);
}

static void write_cert(const char *name, X509 *first, X509 *second)
{
    FILE *f = fopen(path(name), "w");
    assert_non_null(f);
    PEM_write_X509(f, first);
    if (second != NULL)
        PEM_write_X509(f, second);
    fclose(f);
}

static void write_key(const char *name, EVP_PKEY *key, const char *passphrase)
{
    FILE *f = fopen(path(name), "w");
    assert_non_null(f);
    PEM_write_PrivateKey(f, key, passphrase == NULL ? NULL : EVP_aes_128_cbc(), NULL, 0, NULL,
                         (void *)(uintptr_t)passphrase);
    fclose(f);
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(path(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static struct identity ca;
static struct identity server;
static struct identity client_id;

static int make_files(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    assert_non_null(mkdtemp(folder));
    ca = make_identity("test authority", NULL);
    server = make_identity("first server", &ca);
    client_id = make_identity("a client", &ca);
    write_cert("ca.pem", ca.cert, NULL);
    write_cert("server.pem", server.cert, ca.cert);
    write_key("server.key", server.key, NULL);
    write_key("other.key", client_id.key, NULL);
    write_key("locked.key", server.key, "secret");
    write_text("garbage.pem", "not PEM at all\n");
    write_text("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    return 0;
}

static int remove_files(void **state)
{
    static const char *const names[] = {"ca.pem",     "server.pem",  "server.key", "other.key",
                                        "locked.key", "garbage.pem", "cut.pem"};
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(names); i++)
        unlink(path(names[i]));
    rmdir(folder);
    free_identity(&ca);
    free_identity(&server);
    free_identity(&client_id);
    return 0;
}

/* A mux that sends back what it gets, and hangs up at 'q'. */

static char muxes_opened[16];
static size_t n_muxes;

static enum tern_code echo_open_h1(struct tern_conn *conn, struct tern_err *err)
{
    (void)conn;
    (void)err;
    muxes_opened[n_muxes++] = '1';
    return TERN_OK;
}

static enum tern_code echo_open_h2(struct tern_conn *conn, struct tern_err *err)
{
    (void)conn;
    (void)err;
    muxes_opened[n_muxes++] = '2';
    return TERN_OK;
}

static void echo_readable(struct tern_conn *conn)
{
    enum tern_io io = tern_conn_fill(conn, 0);
    size_t n;
    const char *p = tern_conn_in(conn, &n);
    bool quits = n > 0 && p[n - 1] == 'q';

    if (n > 0) {
        /* In pieces of odd sizes, so that records are gathered. */
        struct tern_slice slices[3] = {{p, n / 3}, {p + n / 3, 0}, {p + n / 3, n - n / 3}};
        tern_conn_send(conn, slices, 3, 3);
    }
    tern_conn_consume(conn, n);
    tern_conn_rest(conn);
    if (quits)
        tern_conn_shutdown(conn);
    else if (io == TERN_IO_EOF)
        tern_conn_abort(conn);
}

static void echo_nothing(struct tern_conn *conn)
{
    (void)conn;
}

static const struct tern_mux_ops echo_h1 = {.name = "h1",
                                            .open = echo_open_h1,
                                            .on_readable = echo_readable,
                                            .on_sent = echo_nothing,
                                            .on_timeout = echo_nothing,
                                            .drain = echo_nothing,
                                            .close = echo_nothing};
static const struct tern_mux_ops echo_h2 = {.name = "h2",
                                            .open = echo_open_h2,
                                            .on_readable = echo_readable,
                                            .on_sent = echo_nothing,
                                            .on_timeout = echo_nothing,
                                            .drain = echo_nothing,
                                            .close = echo_nothing};

struct fixture {
    struct rig rig;
    struct tern_tls *tls;
    SSL_CTX *ctx;
};

static const struct tern_handler no_handler;

static int setup_with(struct fixture *f, const char *client_ca, bool only_tls13)
{
    struct tern_tls_config config = {.cert_file = path("server.pem"),
                                     .key_file = path("server.key"),
                                     .client_ca_file = client_ca,
                                     .loops = 2,
                                     .offers_h2 = true,
                                     .only_tls13 = only_tls13};
    struct tern_err err;

    *f = (struct fixture){.tls = NULL};
    n_muxes = 0;
    if (tern_tls_new(&config, &f->tls, &err) != TERN_OK)
        fail_msg("%s", err.text);
    rig_open(&f->rig, &no_handler, &echo_h1, &echo_h2);
    f->rig.transport = &tern_transport_tls;
    f->rig.transport_config = f->tls;
    f->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_load_verify_file(f->ctx, path("ca.pem"));
    SSL_CTX_set_verify(f->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(f->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE);
    return 0;
}

static int setup(void **state)
{
    static struct fixture f;
    *state = &f;
    return setup_with(&f, NULL, false);
}

static int setup_mutual(void **state)
{
    static struct fixture f;
    *state = &f;
    return setup_with(&f, path("ca.pem"), false);
}

static int setup_tls13(void **state)
{
    static struct fixture f;
    *state = &f;
    return setup_with(&f, NULL, true);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    SSL_CTX_free(f->ctx);
    rig_close(&f->rig);
    tern_tls_free(f->tls);
    return 0;
}

/* A client connection, not shaken yet. */
static SSL *dial(struct fixture *f)
{
    SSL *ssl = SSL_new(f->ctx);
    SSL_set_fd(ssl, rig_connect(&f->rig));
    SSL_set_connect_state(ssl);
    return ssl;
}

static void hang_up(SSL *ssl)
{
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
}

/* Runs the call until it neither wants to read nor to write. */
#define RUN(f, ssl, rc, call)                                                        \
    do {                                                                             \
        ERR_clear_error();                                                           \
        rc = (call);                                                                 \
        rig_step(&(f)->rig);                                                         \
        int run_error_ = SSL_get_error(ssl, rc);                                     \
        if (run_error_ != SSL_ERROR_WANT_READ && run_error_ != SSL_ERROR_WANT_WRITE) \
            break;                                                                   \
    } while (true)

static int shake(struct fixture *f, SSL *ssl)
{
    int rc;

    RUN(f, ssl, rc, SSL_do_handshake(ssl));
    return rc;
}

/* Sends n bytes and compares what comes back. */
static void echo(struct fixture *f, SSL *ssl, size_t n)
{
    char *out = malloc(n);
    char *in = malloc(n);
    size_t sent = 0;
    size_t got = 0;

    for (size_t i = 0; i < n; i++)
        out[i] = (char)('a' + (i * 7 + i / 1000) % 16);
    for (int idle = 0; got < n && idle < 1000; idle++) {
        size_t moved = 0;
        if (sent < n && SSL_write_ex(ssl, out + sent, n - sent, &moved) == 1)
            sent += moved;
        rig_step(&f->rig);
        while (got < n && SSL_read_ex(ssl, in + got, n - got, &moved) == 1) {
            got += moved;
            idle = 0;
        }
    }
    assert_int_equal(got, n);
    assert_memory_equal(in, out, n);
    free(out);
    free(in);
}

static void bytes_travel_both_ways(void **state)
{
    static const size_t sizes[] = {1, 100, 16384, 16385, 50000, 3000000};
    struct fixture *f = *state;
    SSL *ssl = dial(f);

    assert_int_equal(shake(f, ssl), 1);
    assert_int_equal(SSL_version(ssl), TLS1_3_VERSION);
    for (size_t i = 0; i < TERN_COUNT_OF(sizes); i++)
        echo(f, ssl, sizes[i]);
    hang_up(ssl);
}

static void alpn_picks_the_mux(void **state)
{
    static const struct {
        const char *offered;
        unsigned n;
        char mux; /* 0: refused */
    } rows[] = {
        {"\x02h2\x08http/1.1", 12, '2'},
        {"\x08http/1.1\x02h2", 12, '2'},
        {"\x08http/1.1", 9, '1'},
        {"\x06spdy/9", 7, 0},
        {"", 0, '1'},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        SSL *ssl = dial(f);
        n_muxes = 0;
        if (rows[i].n > 0)
            SSL_set_alpn_protos(ssl, (const unsigned char *)rows[i].offered, rows[i].n);
        assert_int_equal(shake(f, ssl) == 1, rows[i].mux != 0);
        if (rows[i].mux != 0) {
            echo(f, ssl, 10);
            assert_int_equal(n_muxes, 1);
            assert_int_equal(muxes_opened[0], rows[i].mux);
        }
        hang_up(ssl);
    }
}

static void old_versions_and_weak_ciphers_are_refused(void **state)
{
    struct fixture *f = *state;
    SSL *ssl = dial(f);

    SSL_set_security_level(ssl, 0);
    SSL_set_min_proto_version(ssl, TLS1_VERSION);
    SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
    assert_int_not_equal(shake(f, ssl), 1);
    hang_up(ssl);

    ssl = dial(f);
    SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    SSL_set_cipher_list(ssl, "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA");
    assert_int_not_equal(shake(f, ssl), 1);
    hang_up(ssl);

    ssl = dial(f);
    SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    assert_int_equal(shake(f, ssl), 1);
    assert_non_null(strstr(SSL_get_cipher_name(ssl), "ECDHE"));
    echo(f, ssl, 40000);
    /* No renegotiation: the server answers with a warning, the connection works on or ends. */
    if (SSL_renegotiate(ssl) == 1)
        assert_int_not_equal(shake(f, ssl), 1);
    hang_up(ssl);
}

static void tls12_may_be_refused(void **state)
{
    struct fixture *f = *state;
    SSL *ssl = dial(f);

    SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    assert_int_not_equal(shake(f, ssl), 1);
    hang_up(ssl);
    ssl = dial(f);
    assert_int_equal(shake(f, ssl), 1);
    assert_int_equal(SSL_version(ssl), TLS1_3_VERSION);
    hang_up(ssl);
}

static void plain_text_is_refused(void **state)
{
    struct fixture *f = *state;
    int fd = rig_connect(&f->rig);
    char bytes[64];

    assert_int_equal(write(fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    rig_step(&f->rig);
    rig_step(&f->rig);
    while (read(fd, bytes, sizeof(bytes)) > 0)
        ;
    assert_true(tern_hub_is_idle(f->rig.hub));
    assert_int_equal(n_muxes, 0);
    close(fd);
}

static void a_silent_client_is_cut(void **state)
{
    struct fixture *f = *state;
    int fd = rig_connect(&f->rig);

    rig_step(&f->rig);
    assert_false(tern_hub_is_idle(f->rig.hub));
    rig_clock_added_ns += 11ull * TERN_NS_PER_S;
    rig_step(&f->rig);
    rig_step(&f->rig);
    assert_true(tern_hub_is_idle(f->rig.hub));
    close(fd);
}

static void shutdown_says_goodbye(void **state)
{
    struct fixture *f = *state;
    SSL *ssl = dial(f);
    char byte = 'q';
    size_t moved;

    assert_int_equal(shake(f, ssl), 1);
    assert_int_equal(SSL_write_ex(ssl, &byte, 1, &moved), 1);
    int rc;
    RUN(f, ssl, rc, SSL_read(ssl, &byte, 1));
    assert_int_equal(rc, 1);
    RUN(f, ssl, rc, SSL_read(ssl, &byte, 1));
    assert_int_equal(SSL_get_error(ssl, rc), SSL_ERROR_ZERO_RETURN);
    hang_up(ssl);
}

/* close_notify without the end of the socket: the mux learns of it all the same. */
static void a_goodbye_is_an_end(void **state)
{
    struct fixture *f = *state;
    SSL *ssl = dial(f);
    size_t moved;

    assert_int_equal(shake(f, ssl), 1);
    assert_int_equal(SSL_write_ex(ssl, "x", 1, &moved), 1);
    SSL_shutdown(ssl);
    for (int i = 0; i < 4; i++)
        rig_step(&f->rig);
    assert_true(tern_hub_is_idle(f->rig.hub));
    hang_up(ssl);
}

static void a_session_is_resumed(void **state)
{
    struct fixture *f = *state;
    SSL *ssl = dial(f);

    assert_int_equal(shake(f, ssl), 1);
    echo(f, ssl, 1); /* the ticket comes before */
    SSL_SESSION *session = SSL_get1_session(ssl);
    SSL_shutdown(ssl);
    hang_up(ssl);
    ssl = dial(f);
    SSL_set_session(ssl, session);
    assert_int_equal(shake(f, ssl), 1);
    assert_true(SSL_session_reused(ssl));
    echo(f, ssl, 1000);
    SSL_SESSION_free(session);
    hang_up(ssl);
}

static void mutual_tls_asks_for_a_certificate(void **state)
{
    struct fixture *f = *state;
    char byte;
    SSL *ssl = dial(f);
    int rc;

    shake(f, ssl); /* in TLS 1.3 the client learns of the refusal by its first read */
    RUN(f, ssl, rc, SSL_read(ssl, &byte, 1));
    assert_true(rc <= 0);
    assert_true(tern_hub_is_idle(f->rig.hub));
    hang_up(ssl);

    ssl = dial(f);
    SSL_use_certificate(ssl, client_id.cert);
    SSL_use_PrivateKey(ssl, client_id.key);
    assert_int_equal(shake(f, ssl), 1);
    echo(f, ssl, 100);
    hang_up(ssl);

    struct identity stranger = make_identity("stranger", NULL);
    ssl = dial(f);
    SSL_use_certificate(ssl, stranger.cert);
    SSL_use_PrivateKey(ssl, stranger.key);
    shake(f, ssl);
    RUN(f, ssl, rc, SSL_read(ssl, &byte, 1));
    assert_true(rc <= 0);
    hang_up(ssl);
    free_identity(&stranger);
}

static void expect_subject(struct fixture *f, const char *name)
{
    char subject[64] = "";
    SSL *ssl = dial(f);

    assert_int_equal(shake(f, ssl), 1);
    X509 *cert = SSL_get0_peer_certificate(ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, subject,
                              sizeof(subject));
    assert_string_equal(subject, name);
    echo(f, ssl, 10);
    hang_up(ssl);
}

static void a_reload_serves_the_new_certificate(void **state)
{
    struct fixture *f = *state;
    struct identity next = make_identity("second server", &ca);
    struct tern_err err;
    SSL *old = dial(f);

    assert_int_equal(shake(f, old), 1);
    expect_subject(f, "first server");
    write_cert("server.pem", next.cert, ca.cert);
    /* The key does not fit yet: nothing changes. */
    assert_int_equal(tern_tls_reload(f->tls, &err), TERN_INVALID_ARGUMENT);
    expect_subject(f, "first server");
    write_key("server.key", next.key, NULL);
    assert_int_equal(tern_tls_reload(f->tls, &err), TERN_OK);
    expect_subject(f, "second server");
    echo(f, old, 1000);
    hang_up(old);
    write_cert("server.pem", server.cert, ca.cert);
    write_key("server.key", server.key, NULL);
    free_identity(&next);
}

static void load_errors_name_the_file(void **state)
{
    static const struct {
        const char *cert, *key, *ca, *text[2];
    } rows[] = {
        {"missing.pem", "server.key", NULL, {"missing.pem", ""}},
        {"garbage.pem", "server.key", NULL, {"garbage.pem", "expected a certificate"}},
        {"cut.pem", "server.key", NULL, {"cut.pem", "expected a certificate"}},
        {"server.pem", "missing.key", NULL, {"missing.key", ""}},
        {"server.pem", "server.pem", NULL, {"server.pem", "private key"}},
        {"server.pem", "other.key", NULL, {"other.key", "does not belong"}},
        {"server.pem", "locked.key", NULL, {"locked.key", "unencrypted"}},
        {"server.pem", "server.key", "garbage.pem", {"garbage.pem", "authorities"}},
        {"server.pem", "server.key", "server.key", {"server.key", "authorities"}},
    };
    (void)state;

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_tls_config config = {.cert_file = path(rows[i].cert),
                                         .key_file = path(rows[i].key),
                                         .client_ca_file =
                                             rows[i].ca == NULL ? NULL : path(rows[i].ca),
                                         .loops = 1};
        struct tern_tls *tls = NULL;
        struct tern_err err = {.code = TERN_OK};
        assert_int_not_equal(tern_tls_new(&config, &tls, &err), TERN_OK);
        assert_null(tls);
        if (strstr(err.text, rows[i].text[0]) == NULL || strstr(err.text, rows[i].text[1]) == NULL)
            fail_msg("row %zu: %s", i, err.text);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_travel_both_ways),
        TEST(alpn_picks_the_mux),
        TEST(old_versions_and_weak_ciphers_are_refused),
        cmocka_unit_test_setup_teardown(tls12_may_be_refused, setup_tls13, teardown),
        TEST(plain_text_is_refused),
        TEST(a_silent_client_is_cut),
        TEST(shutdown_says_goodbye),
        TEST(a_goodbye_is_an_end),
        TEST(a_session_is_resumed),
        cmocka_unit_test_setup_teardown(mutual_tls_asks_for_a_certificate, setup_mutual, teardown),
        TEST(a_reload_serves_the_new_certificate),
        cmocka_unit_test(load_errors_name_the_file),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
