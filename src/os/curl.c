#define TERN_CURL_LOADER
#include "os/curl.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include "base/compiler.h"
#include "os/dl.h"

#define LIBRARY "libcurl.so.4"

struct tern_curl tern_curl;
static struct tern_dl *library; /* never closed: it registers with OpenSSL */

static const struct {
    const char *name;
    size_t at; /* of its pointer in struct tern_curl */
} functions[] = {
#define X(name) {#name, offsetof(struct tern_curl, p_##name)},
    TERN_CURL_FUNCTIONS(X)
#undef X
};

static enum tern_code load(struct tern_err *err)
{
    struct tern_curl found;
    struct tern_dl *dl;
    tern_dl_fn fn;

    TERN_TRY(tern_dl_open(LIBRARY, &dl, err));
    for (size_t i = 0; i < TERN_COUNT_OF(functions); i++) {
        enum tern_code code = tern_dl_symbol(dl, functions[i].name, &fn, err);
        if (code != TERN_OK) {
            tern_dl_close(dl);
            return code;
        }
        memcpy((char *)&found + functions[i].at, &fn, sizeof(fn)); /* pointers to functions */
    }
    tern_curl = found;
    library = dl;
    if (tern_curl.p_curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return tern_fail(err, TERN_UNAVAILABLE, "it cannot be initialised");
    return TERN_OK;
}

enum tern_code tern_curl_load(const char *what, struct tern_err *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct tern_err why;

    pthread_mutex_lock(&lock);
    enum tern_code code = library != NULL ? TERN_OK : load(&why);
    pthread_mutex_unlock(&lock);
    if (code == TERN_OK)
        return TERN_OK;
    return tern_fail(err, TERN_UNAVAILABLE, "%s needs libcurl (%s): %s", what, LIBRARY, why.text);
}
