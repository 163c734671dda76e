/* What the tests of the HTTP/2 mux's rules share: a rig, a client, and a handler that answers every
 * request with 200, but /late, which it keeps. */
#ifndef TERN_TESTS_H2_RULES_H
#define TERN_TESTS_H2_RULES_H

#include "harness/h2_client.h"

#include "net/mux_h2.h"

struct fixture {
    struct rig rig;
    struct tern_handler handler;
    struct client c;
    int requests;
    int refused;
    struct tern_exchange *late[16];
    int n_late;
};

static void answer(struct tern_exchange *x, int status)
{
    static const char bytes[100000];
    struct tern_slice *slice = tern_arena_zalloc(x->arena, 1, sizeof(*slice));

    tern_exchange_body(x);
    x->status = status;
    x->response_type = TERN_STR("text/plain");
    *slice = (struct tern_slice){bytes, sizeof(bytes)};
    x->slices = slice;
    x->n_slices = 1;
    tern_exchange_send(x, true);
}

static void on_request(void *self, struct tern_exchange *x)
{
    struct fixture *f = self;

    f->requests++;
    if (tern_str_eq(x->path, TERN_STR("/late")))
        f->late[f->n_late++] = x;
    else
        answer(x, 200);
}

static void on_refused(void *self, struct tern_exchange *x, const struct tern_err *err)
{
    struct fixture *f = self;

    f->refused++;
    answer(x, tern_err_http_status(err));
}

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){.requests = 0};
    f.handler =
        (struct tern_handler){.on_request = on_request, .on_refused = on_refused, .self = &f};
    rig_open(&f.rig, &f.handler, NULL, &tern_mux_h2);
    client_open(&f.c, &f.rig, 65535);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    client_close(&f->c);
    tern_hub_abort_all(f->rig.hub);
    for (int i = 0; i < f->n_late; i++)
        answer(f->late[i], 200);
    rig_close(&f->rig);
    return 0;
}

static void still_serves(struct fixture *f)
{
    assert_int_equal(client_ask(&f->c, NULL, no_body)->status, 200);
}

#endif
