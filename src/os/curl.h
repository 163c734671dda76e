/* libcurl, loaded when something is to be sent to other servers (traces, steps of graphs): a server
 * that sends nothing does not need it. The library's own headers give types and prototypes; below
 * them each function that we call stands for a pointer into the library, as in net/openssl.h. */
#ifndef TERN_OS_CURL_H
#define TERN_OS_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include "base/err.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define TERN_CURL_FUNCTIONS(X)  \
    X(curl_easy_cleanup)        \
    X(curl_easy_getinfo)        \
    X(curl_easy_init)           \
    X(curl_easy_perform)        \
    X(curl_easy_reset)          \
    X(curl_easy_setopt)         \
    X(curl_easy_strerror)       \
    X(curl_global_init)         \
    X(curl_multi_add_handle)    \
    X(curl_multi_assign)        \
    X(curl_multi_cleanup)       \
    X(curl_multi_info_read)     \
    X(curl_multi_init)          \
    X(curl_multi_remove_handle) \
    X(curl_multi_setopt)        \
    X(curl_multi_socket_action) \
    X(curl_slist_append)        \
    X(curl_slist_free_all)

struct tern_curl {
#define X(name) __typeof__(name) *p_##name;
    TERN_CURL_FUNCTIONS(X)
#undef X
};

/* Filled by tern_curl_load and constant from then on. */
extern struct tern_curl tern_curl;

/* Before anything else here; any thread. UNAVAILABLE when the library is not there: "<what> needs
 * libcurl ...". */
enum tern_code tern_curl_load(const char *what, struct tern_err *err);

#ifndef TERN_CURL_LOADER
#define curl_easy_cleanup        tern_curl.p_curl_easy_cleanup
#define curl_easy_getinfo        tern_curl.p_curl_easy_getinfo
#define curl_easy_init           tern_curl.p_curl_easy_init
#define curl_easy_perform        tern_curl.p_curl_easy_perform
#define curl_easy_reset          tern_curl.p_curl_easy_reset
#define curl_easy_setopt         tern_curl.p_curl_easy_setopt
#define curl_easy_strerror       tern_curl.p_curl_easy_strerror
#define curl_global_init         tern_curl.p_curl_global_init
#define curl_multi_add_handle    tern_curl.p_curl_multi_add_handle
#define curl_multi_assign        tern_curl.p_curl_multi_assign
#define curl_multi_cleanup       tern_curl.p_curl_multi_cleanup
#define curl_multi_info_read     tern_curl.p_curl_multi_info_read
#define curl_multi_init          tern_curl.p_curl_multi_init
#define curl_multi_remove_handle tern_curl.p_curl_multi_remove_handle
#define curl_multi_setopt        tern_curl.p_curl_multi_setopt
#define curl_multi_socket_action tern_curl.p_curl_multi_socket_action
#define curl_slist_append        tern_curl.p_curl_slist_append
#define curl_slist_free_all      tern_curl.p_curl_slist_free_all
#endif

#endif
