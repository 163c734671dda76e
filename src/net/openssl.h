/* OpenSSL, loaded when the first TLS listener is configured: a server without one takes a third
 * less memory and starts without relocating 5 MB of code that it never runs. OpenSSL's own headers
 * give types and prototypes; below them each function that net/tls.c calls stands for a pointer
 * into the library, also inside OpenSSL's macros. Who calls another one adds it to both lists: the
 * program is not linked with OpenSSL, so a forgotten one does not link. */
#ifndef TERN_NET_OPENSSL_H
#define TERN_NET_OPENSSL_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include "base/err.h"

#define TERN_OPENSSL_FUNCTIONS(X)     \
    X(BIO_clear_flags)                \
    X(BIO_free)                       \
    X(BIO_get_data)                   \
    X(BIO_get_new_index)              \
    X(BIO_meth_free)                  \
    X(BIO_meth_new)                   \
    X(BIO_meth_set_ctrl)              \
    X(BIO_meth_set_read_ex)           \
    X(BIO_meth_set_write_ex)          \
    X(BIO_new)                        \
    X(BIO_new_mem_buf)                \
    X(BIO_set_data)                   \
    X(BIO_set_flags)                  \
    X(BIO_set_init)                   \
    X(BIO_test_flags)                 \
    X(ERR_clear_error)                \
    X(ERR_peek_last_error)            \
    X(ERR_reason_error_string)        \
    X(EVP_PKEY_free)                  \
    X(OPENSSL_cleanse)                \
    X(PEM_read_bio_PrivateKey)        \
    X(PEM_read_bio_X509)              \
    X(RAND_bytes)                     \
    X(SSL_CTX_add_client_CA)          \
    X(SSL_CTX_check_private_key)      \
    X(SSL_CTX_ctrl)                   \
    X(SSL_CTX_free)                   \
    X(SSL_CTX_get_cert_store)         \
    X(SSL_CTX_new)                    \
    X(SSL_CTX_set_alpn_select_cb)     \
    X(SSL_CTX_set_cipher_list)        \
    X(SSL_CTX_set_max_early_data)     \
    X(SSL_CTX_set_num_tickets)        \
    X(SSL_CTX_set_options)            \
    X(SSL_CTX_set_session_id_context) \
    X(SSL_CTX_set_verify)             \
    X(SSL_CTX_use_PrivateKey)         \
    X(SSL_CTX_use_certificate)        \
    X(SSL_do_handshake)               \
    X(SSL_free)                       \
    X(SSL_get0_alpn_selected)         \
    X(SSL_get_error)                  \
    X(SSL_has_pending)                \
    X(SSL_is_init_finished)           \
    X(SSL_new)                        \
    X(SSL_read_ex)                    \
    X(SSL_select_next_proto)          \
    X(SSL_set_accept_state)           \
    X(SSL_set_bio)                    \
    X(SSL_shutdown)                   \
    X(SSL_want)                       \
    X(SSL_write_ex)                   \
    X(TLS_server_method)              \
    X(X509_STORE_add_cert)            \
    X(X509_free)

struct tern_openssl {
#define X(name) __typeof__(name) *p_##name;
    TERN_OPENSSL_FUNCTIONS(X)
#undef X
};

/* Filled by tern_openssl_load and constant from then on. */
extern struct tern_openssl tern_openssl;

/* Before anything else here; any thread, as often as one likes. UNAVAILABLE when the library of the
 * version whose headers this program was built with is not there. */
enum tern_code tern_openssl_load(struct tern_err *err);

#ifndef TERN_OPENSSL_LOADER
#define BIO_clear_flags                tern_openssl.p_BIO_clear_flags
#define BIO_free                       tern_openssl.p_BIO_free
#define BIO_get_data                   tern_openssl.p_BIO_get_data
#define BIO_get_new_index              tern_openssl.p_BIO_get_new_index
#define BIO_meth_free                  tern_openssl.p_BIO_meth_free
#define BIO_meth_new                   tern_openssl.p_BIO_meth_new
#define BIO_meth_set_ctrl              tern_openssl.p_BIO_meth_set_ctrl
#define BIO_meth_set_read_ex           tern_openssl.p_BIO_meth_set_read_ex
#define BIO_meth_set_write_ex          tern_openssl.p_BIO_meth_set_write_ex
#define BIO_new                        tern_openssl.p_BIO_new
#define BIO_new_mem_buf                tern_openssl.p_BIO_new_mem_buf
#define BIO_set_data                   tern_openssl.p_BIO_set_data
#define BIO_set_flags                  tern_openssl.p_BIO_set_flags
#define BIO_set_init                   tern_openssl.p_BIO_set_init
#define BIO_test_flags                 tern_openssl.p_BIO_test_flags
#define ERR_clear_error                tern_openssl.p_ERR_clear_error
#define ERR_peek_last_error            tern_openssl.p_ERR_peek_last_error
#define ERR_reason_error_string        tern_openssl.p_ERR_reason_error_string
#define EVP_PKEY_free                  tern_openssl.p_EVP_PKEY_free
#define OPENSSL_cleanse                tern_openssl.p_OPENSSL_cleanse
#define PEM_read_bio_PrivateKey        tern_openssl.p_PEM_read_bio_PrivateKey
#define PEM_read_bio_X509              tern_openssl.p_PEM_read_bio_X509
#define RAND_bytes                     tern_openssl.p_RAND_bytes
#define SSL_CTX_add_client_CA          tern_openssl.p_SSL_CTX_add_client_CA
#define SSL_CTX_check_private_key      tern_openssl.p_SSL_CTX_check_private_key
#define SSL_CTX_ctrl                   tern_openssl.p_SSL_CTX_ctrl
#define SSL_CTX_free                   tern_openssl.p_SSL_CTX_free
#define SSL_CTX_get_cert_store         tern_openssl.p_SSL_CTX_get_cert_store
#define SSL_CTX_new                    tern_openssl.p_SSL_CTX_new
#define SSL_CTX_set_alpn_select_cb     tern_openssl.p_SSL_CTX_set_alpn_select_cb
#define SSL_CTX_set_cipher_list        tern_openssl.p_SSL_CTX_set_cipher_list
#define SSL_CTX_set_max_early_data     tern_openssl.p_SSL_CTX_set_max_early_data
#define SSL_CTX_set_num_tickets        tern_openssl.p_SSL_CTX_set_num_tickets
#define SSL_CTX_set_options            tern_openssl.p_SSL_CTX_set_options
#define SSL_CTX_set_session_id_context tern_openssl.p_SSL_CTX_set_session_id_context
#define SSL_CTX_set_verify             tern_openssl.p_SSL_CTX_set_verify
#define SSL_CTX_use_PrivateKey         tern_openssl.p_SSL_CTX_use_PrivateKey
#define SSL_CTX_use_certificate        tern_openssl.p_SSL_CTX_use_certificate
#define SSL_do_handshake               tern_openssl.p_SSL_do_handshake
#define SSL_free                       tern_openssl.p_SSL_free
#define SSL_get0_alpn_selected         tern_openssl.p_SSL_get0_alpn_selected
#define SSL_get_error                  tern_openssl.p_SSL_get_error
#define SSL_has_pending                tern_openssl.p_SSL_has_pending
#define SSL_is_init_finished           tern_openssl.p_SSL_is_init_finished
#define SSL_new                        tern_openssl.p_SSL_new
#define SSL_read_ex                    tern_openssl.p_SSL_read_ex
#define SSL_select_next_proto          tern_openssl.p_SSL_select_next_proto
#define SSL_set_accept_state           tern_openssl.p_SSL_set_accept_state
#define SSL_set_bio                    tern_openssl.p_SSL_set_bio
#define SSL_shutdown                   tern_openssl.p_SSL_shutdown
#define SSL_want                       tern_openssl.p_SSL_want
#define SSL_write_ex                   tern_openssl.p_SSL_write_ex
#define TLS_server_method              tern_openssl.p_TLS_server_method
#define X509_STORE_add_cert            tern_openssl.p_X509_STORE_add_cert
#define X509_free                      tern_openssl.p_X509_free
#endif

#endif
