/* hiredis, loaded when answers are to be shared through Redis: a server that shares none does not
 * need it. The library's own headers give types and prototypes; below them each function that
 * store/redis.c calls stands for a pointer into the library, as in net/openssl.h. The library that
 * is loaded is the one that the headers are of: the layout of replies changed between versions. */
#ifndef TERN_STORE_HIREDIS_H
#define TERN_STORE_HIREDIS_H

#include <hiredis/hiredis.h>
#include "base/err.h"

#define TERN_HIREDIS_FUNCTIONS(X)  \
    X(freeReplyObject)             \
    X(redisAppendCommandArgv)      \
    X(redisCommandArgv)            \
    X(redisConnectUnixWithTimeout) \
    X(redisConnectWithTimeout)     \
    X(redisFree)                   \
    X(redisGetReply)               \
    X(redisSetTimeout)

struct tern_hiredis {
#define X(name) __typeof__(name) *p_##name;
    TERN_HIREDIS_FUNCTIONS(X)
#undef X
};

/* Filled by tern_hiredis_load and constant from then on. */
extern struct tern_hiredis tern_hiredis;

/* Before anything else here, on one thread. UNAVAILABLE when the library is not there. */
enum tern_code tern_hiredis_load(struct tern_err *err);

#ifndef TERN_HIREDIS_LOADER
#define freeReplyObject             tern_hiredis.p_freeReplyObject
#define redisAppendCommandArgv      tern_hiredis.p_redisAppendCommandArgv
#define redisCommandArgv            tern_hiredis.p_redisCommandArgv
#define redisConnectUnixWithTimeout tern_hiredis.p_redisConnectUnixWithTimeout
#define redisConnectWithTimeout     tern_hiredis.p_redisConnectWithTimeout
#define redisFree                   tern_hiredis.p_redisFree
#define redisGetReply               tern_hiredis.p_redisGetReply
#define redisSetTimeout             tern_hiredis.p_redisSetTimeout
#endif

#endif
