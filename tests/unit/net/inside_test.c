/* Requests without a connection: what the handler sees of them, and what comes of its answers, now
 * or later, whole or in pieces. */
// wrap: tern_clock_mono_ns tern_mem_alloc
#include "harness/net_rig.h"

#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "net/inside.h"
#include "simd/numbers.h"

static bool no_memory;

void *__real_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size)
{
    return no_memory ? NULL : __real_tern_mem_alloc(size);
}

/* ---- a handler that does as it is told ---- */

struct told {
    bool answer_at_head, answer_later, in_pieces;
    struct tern_exchange *held;
    uint32_t n_heads, n_requests, n_gone, n_refused;
    char seen[256];
};

static void answer(struct tern_exchange *x, int status, const char *text, bool end)
{
    struct tern_buf *out = tern_exchange_body(x);

    x->status = status;
    x->response_type = TERN_STR("text/plain");
    tern_buf_add_str(out, tern_str_of(text));
    tern_exchange_send(x, end);
}

static void on_head(void *self, struct tern_exchange *x)
{
    struct told *told = self;

    told->n_heads++;
    if (told->answer_at_head)
        answer(x, 403, "no", true);
}

static void on_request(void *self, struct tern_exchange *x)
{
    struct told *told = self;
    struct tern_str secret = tern_exchange_header(x, TERN_STR("X-Secret"));
    struct tern_slice slice = {"slice", 5};

    told->n_requests++;
    snprintf(told->seen, sizeof(told->seen), "%s %.*s?%.*s %.*s %.*s [%.*s] %zu",
             tern_method_name(x->method), TERN_STR_ARG(x->path), TERN_STR_ARG(x->query),
             TERN_STR_ARG(x->content_type), TERN_STR_ARG(secret), TERN_STR_ARG(x->body),
             x->body_max);
    if (told->answer_later) {
        told->held = x;
        return;
    }
    if (told->in_pieces) {
        answer(x, 200, "one ", false);
        answer(x, 200, "two ", false);
        x->slices = &slice;
        x->n_slices = 1;
    }
    answer(x, 200, "fine ", true);
}

static void on_gone(void *self, struct tern_exchange *x)
{
    struct told *told = self;

    told->n_gone++;
    answer(x, 499, "gone", true);
}

static void on_refused(void *self, struct tern_exchange *x, const struct tern_err *err)
{
    struct told *told = self;

    told->n_refused++;
    answer(x, tern_err_http_status(err), "refused", true);
}

/* ---- the rig ---- */

struct inside_rig {
    struct rig rig;
    struct told told;
    struct tern_handler handler;
    struct tern_inside *inside;
    struct tern_inside_call call;
    struct tern_header header;
    uint32_t n_done;
};

static struct inside_rig *the_rig;

static void on_done(struct tern_inside_call *call)
{
    assert_ptr_equal(call, &the_rig->call);
    the_rig->n_done++;
}

static void open_rig(struct inside_rig *r)
{
    static char body[5 + TERN_TEXT_PAD] = "body!";

    memset(r, 0, sizeof(*r));
    the_rig = r;
    r->handler = (struct tern_handler){.on_head = on_head,
                                       .on_request = on_request,
                                       .on_gone = on_gone,
                                       .on_refused = on_refused,
                                       .self = &r->told};
    rig_open(&r->rig, &r->handler, NULL, NULL);
    assert_int_equal(tern_inside_new(r->rig.loop, &r->handler, &r->inside, NULL), TERN_OK);
    r->header = (struct tern_header){TERN_STR("x-secret"), TERN_STR("s3")};
    r->call = (struct tern_inside_call){
        .method = TERN_METHOD_POST,
        .path = TERN_STR("/a/b"),
        .query = TERN_STR("q=1"),
        .type = TERN_STR("application/json"),
        .body = tern_str_make(body, 5),
        .headers = &r->header,
        .n_headers = 1,
        .listener = &r->rig.listener,
        .body_max = 100,
        .memory_max = 1u << 20,
        .answer_max = 100,
        .on_done = on_done,
    };
}

static void close_rig(struct inside_rig *r)
{
    tern_inside_forget(&r->call);
    tern_inside_free(r->inside);
    rig_close(&r->rig);
}

static void expect(struct inside_rig *r, int status, const char *text)
{
    assert_int_equal(r->n_done, 0); /* not from within */
    rig_step(&r->rig);
    assert_int_equal(r->n_done, 1);
    assert_int_equal(r->call.code, TERN_OK);
    assert_int_equal(r->call.status, status);
    assert_true(tern_str_eq(r->call.answer, tern_str_of(text)));
    assert_true(tern_str_eq(r->call.answer_type, TERN_STR("text/plain")));
}

/* ---- tests ---- */

static void a_request_and_its_answer(void **state)
{
    struct inside_rig r;

    (void)state;
    open_rig(&r);
    tern_inside_start(r.inside, &r.call);
    expect(&r, 200, "fine ");
    assert_string_equal(r.told.seen, "POST /a/b?q=1 application/json s3 [body!] 100");
    /* Its memory is used again. */
    tern_inside_forget(&r.call);
    r.n_done = 0;
    r.told.in_pieces = true;
    tern_inside_start(r.inside, &r.call);
    expect(&r, 200, "one two fine slice");
    close_rig(&r);
}

static void refusals(void **state)
{
    struct inside_rig r;

    (void)state;
    open_rig(&r);
    r.told.answer_at_head = true;
    tern_inside_start(r.inside, &r.call);
    expect(&r, 403, "no");
    assert_int_equal(r.told.n_requests, 0);
    close_rig(&r);

    open_rig(&r);
    r.call.body_max = 4;
    tern_inside_start(r.inside, &r.call);
    expect(&r, 413, "refused");
    assert_int_equal(r.told.n_refused, 1);
    close_rig(&r);
}

static void who_asked_may_leave(void **state)
{
    struct inside_rig r;

    (void)state;
    open_rig(&r);
    r.told.answer_later = true;
    tern_inside_start(r.inside, &r.call);
    rig_step(&r.rig);
    assert_int_equal(r.n_done, 0);
    tern_inside_cancel(&r.call);
    tern_inside_cancel(&r.call);
    assert_int_equal(r.told.n_gone, 1);
    expect(&r, 499, "gone");
    close_rig(&r);
}

static void answers_have_a_maximum(void **state)
{
    struct inside_rig r;

    (void)state;
    open_rig(&r);
    r.call.answer_max = 6;
    r.told.in_pieces = true;
    tern_inside_start(r.inside, &r.call);
    rig_step(&r.rig);
    assert_int_equal(r.call.code, TERN_RESOURCE_EXHAUSTED);
    assert_string_equal(r.call.err.text, "the answer has more than 6 bytes");
    close_rig(&r);
}

static void without_memory(void **state)
{
    struct inside_rig r;

    (void)state;
    open_rig(&r);
    no_memory = true;
    tern_inside_start(r.inside, &r.call);
    no_memory = false;
    assert_int_equal(r.n_done, 0);
    rig_step(&r.rig);
    assert_int_equal(r.n_done, 1);
    assert_int_equal(r.call.code, TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(r.told.n_heads, 0);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_answer), cmocka_unit_test(refusals),
        cmocka_unit_test(who_asked_may_leave),      cmocka_unit_test(answers_have_a_maximum),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
