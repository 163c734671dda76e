#define TERN_CURL_LOADER
#include "os/curl.h"

#include <pthread.h>
#include <stddef.h>
#include "base/compiler.h"
#include "os/dl.h"

#define LIBRARY "libcurl.so.4"

struct tern_curl tern_curl;
static struct tern_dl *library; /* never closed: it registers with OpenSSL */

static const struct tern_dl_entry functions[] = {
#define X(name) {#name, offsetof(struct tern_curl, p_##name)},
    TERN_CURL_FUNCTIONS(X)
#undef X
};

static enum tern_code load(struct tern_err *err)
{
    struct tern_curl found;

    TERN_TRY(tern_dl_load(LIBRARY, functions, TERN_COUNT_OF(functions), &found, &library, err));
    tern_curl = found;
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
