/* Loading OpenSSL: what is missing is said, and a later try may succeed. */
// wrap: tern_dl_open tern_dl_symbol
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "net/openssl.h"
#include "os/dl.h"

static bool no_library;
static const char *missing; /* the symbol that is not there; NULL: none */

enum tern_code __real_tern_dl_open(const char *name, struct tern_dl **ret_dl, struct tern_err *err);
enum tern_code __wrap_tern_dl_open(const char *name, struct tern_dl **ret_dl, struct tern_err *err);
enum tern_code __wrap_tern_dl_open(const char *name, struct tern_dl **ret_dl, struct tern_err *err)
{
    return no_library ? tern_fail(err, TERN_NOT_FOUND, "no file")
                      : __real_tern_dl_open(name, ret_dl, err);
}

enum tern_code __real_tern_dl_symbol(struct tern_dl *dl, const char *symbol, tern_dl_fn *ret_fn,
                                     struct tern_err *err);
enum tern_code __wrap_tern_dl_symbol(struct tern_dl *dl, const char *symbol, tern_dl_fn *ret_fn,
                                     struct tern_err *err);
enum tern_code __wrap_tern_dl_symbol(struct tern_dl *dl, const char *symbol, tern_dl_fn *ret_fn,
                                     struct tern_err *err)
{
    return missing != NULL && strcmp(symbol, missing) == 0
               ? tern_fail(err, TERN_NOT_FOUND, "no %s", symbol)
               : __real_tern_dl_symbol(dl, symbol, ret_fn, err);
}

static void what_is_missing_is_said(void **state)
{
    struct tern_err err;

    (void)state;
    no_library = true;
    assert_int_equal(tern_openssl_load(&err), TERN_UNAVAILABLE);
    assert_non_null(strstr(err.text, "TLS needs OpenSSL (libssl.so."));
    assert_non_null(strstr(err.text, "no file"));
    no_library = false;
    missing = "X509_free"; /* the last one */
    assert_int_equal(tern_openssl_load(&err), TERN_UNAVAILABLE);
    assert_non_null(strstr(err.text, "no X509_free"));
    assert_null(tern_openssl.p_SSL_new);
    missing = NULL;
}

static void it_is_loaded_once(void **state)
{
    struct tern_err err;

    (void)state;
    assert_int_equal(tern_openssl_load(&err), TERN_OK);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    assert_non_null(ctx);
    SSL_CTX_free(ctx);
    no_library = true;
    assert_int_equal(tern_openssl_load(&err), TERN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(it_is_loaded_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
