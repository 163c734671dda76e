/* Calls of other servers over HTTP, from an event loop and without a thread: libcurl's multi
 * interface, whose descriptors and timers are the loop's.
 *
 * What is asked is the operator's: the address never comes from a client. Redirects are not
 * followed, only http and https are spoken, certificates are checked against the system's
 * authorities, and an answer has a maximum. One set of connections a loop, which are kept open and
 * used again. Everything here belongs to the loop's thread. */
#ifndef TERN_NET_REMOTE_H
#define TERN_NET_REMOTE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "os/loop.h"
#include "wire/header.h"

struct tern_remote;

#define TERN_REMOTE_CONNECTIONS      512 /* of one loop; further calls wait, within their time */
#define TERN_REMOTE_HOST_CONNECTIONS 128

/* One POST. Embedded in its owner, which keeps it and what it points to valid until on_done. */
struct tern_remote_call {
    const char *url; /* as tern_url_check_http lets pass */
    struct tern_str body;
    struct tern_str type;              /* of the body */
    const struct tern_header *headers; /* beyond those; none that speak of the connection */
    uint32_t n_headers;
    uint64_t timeout_ns; /* for everything, from now on; not 0 */
    size_t answer_max;
    /* On the loop, once; not from within start. */
    void (*on_done)(struct tern_remote_call *call);

    /* The answer. code != OK: there is none, and err says why, without naming the address. */
    enum tern_code code;
    struct tern_err err;
    int status;
    struct tern_buf answer; /* TERN_TEXT_PAD bytes may be read after it; tern_remote_forget */
    char answer_type[128];  /* empty: none was given, or one that is too long */

    /* Of net/remote. */
    struct tern_remote *remote;
    void *easy, *fields;
    bool head_over; /* of the answer */
    bool starved;   /* its socket cannot be watched */
    struct tern_list link;
    struct tern_loop_task task;
};

/* libcurl must be loaded (os/curl.h). */
enum tern_code tern_remote_new(struct tern_loop *loop, struct tern_remote **ret_remote,
                               struct tern_err *err);
/* What is in flight is aborted without a word. The loop may be stopped, not freed. NULL is fine. */
void tern_remote_free(struct tern_remote *remote);

void tern_remote_start(struct tern_remote *remote, struct tern_remote_call *call);
/* Aborts it: the connection ends, on_done comes soon with CANCELLED. */
void tern_remote_cancel(struct tern_remote_call *call);
/* Gives the answer's memory back. */
void tern_remote_forget(struct tern_remote_call *call);

#endif
