/* libcurl, loaded when traces are to be sent: a server that sends none does not need it. The
 * library's own headers give types and prototypes; below them each function that trace/otlp.c calls
 * stands for a pointer into the library, as in net/openssl.h. */
#ifndef TERN_TRACE_CURL_H
#define TERN_TRACE_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include "base/err.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo

#define TERN_CURL_FUNCTIONS(X) \
    X(curl_easy_cleanup)       \
    X(curl_easy_getinfo)       \
    X(curl_easy_init)          \
    X(curl_easy_perform)       \
    X(curl_easy_setopt)        \
    X(curl_easy_strerror)      \
    X(curl_global_init)        \
    X(curl_slist_append)       \
    X(curl_slist_free_all)

struct tern_curl {
#define X(name) __typeof__(name) *p_##name;
    TERN_CURL_FUNCTIONS(X)
#undef X
};

/* Filled by tern_curl_load and constant from then on. */
extern struct tern_curl tern_curl;

/* Before anything else here, on one thread. UNAVAILABLE when the library is not there. */
enum tern_code tern_curl_load(struct tern_err *err);

#ifndef TERN_CURL_LOADER
#define curl_easy_cleanup   tern_curl.p_curl_easy_cleanup
#define curl_easy_getinfo   tern_curl.p_curl_easy_getinfo
#define curl_easy_init      tern_curl.p_curl_easy_init
#define curl_easy_perform   tern_curl.p_curl_easy_perform
#define curl_easy_setopt    tern_curl.p_curl_easy_setopt
#define curl_easy_strerror  tern_curl.p_curl_easy_strerror
#define curl_global_init    tern_curl.p_curl_global_init
#define curl_slist_append   tern_curl.p_curl_slist_append
#define curl_slist_free_all tern_curl.p_curl_slist_free_all
#endif

#endif
