/* Requests without a connection: what runs in this server asks it as a client would. The third user
 * of the mux seam (core/exchange.h), beside HTTP/1.1 and HTTP/2: method, path, headers and body go
 * to the same handler, and its answer is collected. So dialects, rights, limits and metrics are
 * those of every other request.
 *
 * One a loop; everything here belongs to the loop's thread. */
#ifndef TERN_NET_INSIDE_H
#define TERN_NET_INSIDE_H

#include "base/list.h"
#include "core/exchange.h"
#include "os/loop.h"

struct tern_inside;
struct inside_exchange;

/* One request. Embedded in its owner, which keeps it and what it points to valid until on_done. */
struct tern_inside_call {
    enum tern_method method;
    struct tern_str path;              /* as a client sends it; before '?' */
    struct tern_str query;             /* after it */
    struct tern_str type;              /* of the body */
    struct tern_str body;              /* TERN_TEXT_PAD bytes may be read after it */
    const struct tern_header *headers; /* besides the body's */
    uint32_t n_headers;
    const struct tern_listener_info *listener; /* what it may do is what comes in there may */
    size_t body_max;
    size_t memory_max;                     /* of the request */
    struct tern_till *till;                /* that it is charged to; NULL: none */
    size_t answer_max;                     /* bytes of its body */
    struct tern_str peer;                  /* on whose behalf; for the access log */
    const struct tern_trace_place *within; /* as in struct tern_exchange */
    /* On the loop, once; not from within start or cancel. */
    void (*on_done)(struct tern_inside_call *call);

    /* The answer: valid until tern_inside_forget. code != OK: it is not there, err says why. */
    enum tern_code code;
    struct tern_err err;
    int status;
    struct tern_str answer_type;
    struct tern_str answer; /* TERN_TEXT_PAD bytes may be read after it */

    /* Of net/inside. */
    struct inside_exchange *exchange;
    struct tern_loop_task done;
};

enum tern_code tern_inside_new(struct tern_loop *loop, const struct tern_handler *handler,
                               struct tern_inside **ret_inside, struct tern_err *err);
/* No call may be in flight or unforgotten. NULL is fine. */
void tern_inside_free(struct tern_inside *inside);

void tern_inside_start(struct tern_inside *inside, struct tern_inside_call *call);
/* The client went away, as the handler sees it. on_done still comes. */
void tern_inside_cancel(struct tern_inside_call *call);
/* After on_done: the answer's memory may go. */
void tern_inside_forget(struct tern_inside_call *call);

#endif
