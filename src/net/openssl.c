#define TERN_OPENSSL_LOADER
#include "net/openssl.h"

#include <pthread.h>
#include <stddef.h>
#include "os/dl.h"

#define TEXT_OF(macro) TEXT(macro)
#define TEXT(text)     #text
#define LIBRARY        "libssl.so." TEXT_OF(OPENSSL_SHLIB_VERSION)

struct tern_openssl tern_openssl;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tern_dl *library; /* never closed: OpenSSL cleans up when the program ends */

static const struct tern_dl_entry functions[] = {
#define X(name) {#name, offsetof(struct tern_openssl, p_##name)},
    TERN_OPENSSL_FUNCTIONS(X)
#undef X
};

/* libssl brings libcrypto with it: the linker looks in both. */
static enum tern_code load(struct tern_err *err)
{
    struct tern_openssl found;

    TERN_TRY(tern_dl_load(LIBRARY, functions, TERN_COUNT_OF(functions), &found, &library, err));
    tern_openssl = found;
    return TERN_OK;
}

enum tern_code tern_openssl_load(struct tern_err *err)
{
    struct tern_err why;

    pthread_mutex_lock(&lock);
    enum tern_code code = library != NULL ? TERN_OK : load(&why);
    pthread_mutex_unlock(&lock);
    if (code == TERN_OK)
        return TERN_OK;
    return tern_fail(err, TERN_UNAVAILABLE, "TLS needs OpenSSL (%s): %s", LIBRARY, why.text);
}
