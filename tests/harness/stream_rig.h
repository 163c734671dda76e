/* Streams without a network: a dialect of lines, exchanges that keep what was sent, a loop that is
 * stepped by hand, and models that answer at once, at a gate, or many times. One at a time; the
 * test file says
 *
 *     // wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned
 *     // wrap: tern_mem_realloc
 */
#ifndef TERN_TESTS_STREAM_RIG_H
#define TERN_TESTS_STREAM_RIG_H

#include "gateway/gateway.h"
#include "gateway/observe.h"
#include "harness/fake_engine.h"
#include "harness/h1_rig.h"
#include "harness/tree.h"
#include "sched/sched.h"

/* ---- a dialect of lines: "<model> <number>[ final]" is answered "<model>=<number>" ---- */

static uint64_t line_timeout_ns;

TERN_INLINE enum tern_code next_line(struct tern_exchange *x, struct tern_arena *arena,
                                     struct tern_str *ret_message, size_t *ret_used,
                                     size_t *ret_need, struct tern_err *err)
{
    size_t n = tern_str_find(x->body, '\n');

    (void)arena;
    if (n > 0 && n < x->body.n && x->body.p[0] == '!')
        return tern_fail(err, TERN_INTERNAL, "not a line");
    *ret_used = n < x->body.n ? n + 1 : 0;
    *ret_need = x->body.n + 1;
    *ret_message = tern_str_make(x->body.p, n);
    return TERN_OK;
}

TERN_INLINE void begin_line(struct tern_call *call)
{
    call->x->status = 200;
    TERN_BUF_ADD_LITERAL(tern_exchange_body(call->x), "<");
}

TERN_INLINE enum tern_code finish_line(struct tern_call *call, struct tern_err *err)
{
    (void)err;
    TERN_BUF_ADD_LITERAL(call->x->out, ">");
    return TERN_OK;
}

TERN_INLINE void end_lines(struct tern_exchange *x, const struct tern_err *err, bool head_sent)
{
    if (!head_sent)
        x->status = 200;
    tern_buf_printf(x->out, "end:%s", err == NULL ? "well" : err->text);
}

TERN_INLINE uint64_t timeout_of(const struct tern_exchange *x)
{
    (void)x;
    return line_timeout_ns;
}

static const struct tern_framing lines = {
    .next = next_line,
    .begin = begin_line,
    .finish = finish_line,
    .end = end_lines,
    .timeout = timeout_of,
};

TERN_INLINE enum tern_code decode_line(struct tern_call *call, struct tern_err *err)
{
    static const struct tern_shape one_by_4 = {2, {1, 4}};
    struct tern_str rest = call->message, name, number;
    struct tern_tensor *x = tern_arena_zalloc(call->arena, 1, sizeof(*x));
    float *values = tern_arena_zalloc(call->arena, 4, sizeof(*values));
    struct tern_param *param = tern_arena_zalloc(call->arena, 1, sizeof(*param));

    if (x == NULL || values == NULL || param == NULL)
        return tern_arena_fail(call->arena, err, "a line");
    if (!tern_str_split(&rest, ' ', &name) || !tern_str_split(&rest, ' ', &number))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected a model and a number");
    values[0] = (float)(number.p[0] - '0');
    values[1] = number.n > 1 ? (float)(number.p[1] - '0') : 0;
    *x = (struct tern_tensor){.name = TERN_STR("x"),
                              .dtype = TERN_DTYPE_FP32,
                              .shape = one_by_4,
                              .data = values,
                              .n_bytes = 16};
    call->model = name;
    call->request.inputs = x;
    call->request.n_inputs = 1;
    if (rest.n > 0) {
        *param = (struct tern_param){.key = TERN_STR("triton_enable_empty_final_response"),
                                     .kind = TERN_PARAM_BOOL,
                                     .boolean = true};
        call->request.params = (struct tern_params){param, 1};
    }
    return TERN_OK;
}

TERN_INLINE enum tern_code encode_line(struct tern_call *call, struct tern_err *err)
{
    const struct tern_infer_response *response = &call->response;
    struct tern_buf *out = call->x->out;

    (void)err;
    tern_buf_add_str(out, call->model);
    if (response->n_outputs > 0) {
        float y;
        memcpy(&y, response->outputs[0].data, sizeof(y));
        tern_buf_printf(out, "=%g", (double)y);
    }
    for (uint32_t i = 0; i < response->params.n; i++)
        tern_buf_printf(out, " %.*s=%d", TERN_STR_ARG(response->params.rows[i].key),
                        response->params.rows[i].boolean);
    return TERN_OK;
}

TERN_INLINE enum tern_code encode_error_line(struct tern_call *call, const struct tern_err *error,
                                             struct tern_err *err)
{
    (void)err;
    tern_buf_printf(call->x->out, "error:%s", error->text);
    return TERN_OK;
}

TERN_INLINE enum tern_code encode_serving(struct tern_call *call, struct tern_err *err)
{
    (void)err;
    tern_buf_printf(call->x->out, "serving:%d", (int)call->serving);
    return TERN_OK;
}

TERN_INLINE enum tern_code decode_watch(struct tern_call *call, struct tern_err *err)
{
    (void)err;
    call->model = call->message;
    return TERN_OK;
}

TERN_INLINE void encode_error(struct tern_exchange *x, const struct tern_err *err)
{
    x->status = tern_err_http_status(err);
    tern_buf_printf(tern_exchange_body(x), "refused:%s", err->text);
}

#define INFER(pattern_)                                                                            \
    .method = TERN_METHOD_POST, .pattern = (pattern_), .op = TERN_OP_INFER, .decode = decode_line, \
    .encode = encode_line

static const struct tern_route routes[] = {
    {INFER("/both"), .help = "", .stream = TERN_STREAM_BOTH, .framing = &lines,
     .encode_error_message = encode_error_line},
    {INFER("/strict"), .help = "", .stream = TERN_STREAM_BOTH, .framing = &lines},
    {INFER("/answers"), .help = "", .stream = TERN_STREAM_ANSWER, .framing = &lines,
     .encode_error_message = encode_error_line},
    {INFER("/unary"), .help = "", .framing = &lines, .unary = "the line"},
    {INFER("/collect"), .help = "", .framing = &lines, .unary = "the line", .collects = true},
    {.method = TERN_METHOD_POST,
     .pattern = "/watch",
     .op = TERN_OP_HEALTH_WATCH,
     .decode = decode_watch,
     .encode = encode_serving,
     .help = "",
     .stream = TERN_STREAM_ANSWER,
     .framing = &lines},
};

static const struct tern_proto line_proto = {
    .name = "lines",
    .help = "",
    .routes = routes,
    .n_routes = TERN_COUNT_OF(routes),
    .encode_error = encode_error,
};
static const struct tern_proto *const protos[] = {&line_proto};

/* ---- exchanges ---- */

#define TALK_MAX 65536

struct talk {
    struct tern_exchange x;
    struct tern_arena arena;
    struct tern_buf out;
    struct tern_listener_info listener;
    char got[TALK_MAX]; /* all that was sent, a text */
    size_t n_got;
    char said[TALK_MAX];
    bool stuck; /* what is sent stays unsent */
    bool ended;
};

TERN_INLINE void talk_send(struct tern_exchange *x, bool end)
{
    struct talk *talk = TERN_CONTAINER_OF(x, struct talk, x);
    struct tern_str body = tern_exchange_body_str(x);

    assert_false(talk->ended);
    assert_true(talk->n_got + body.n < sizeof(talk->got));
    if (body.n > 0)
        memcpy(talk->got + talk->n_got, body.p, body.n);
    talk->n_got += body.n;
    talk->got[talk->n_got] = '\0';
    talk->ended = end;
    if (talk->stuck) {
        x->unsent = TERN_STREAM_HIGH + 1;
        x->crowded = true;
    }
    tern_buf_clear(x->out);
    x->n_slices = 0;
}

TERN_INLINE void talk_take(struct tern_exchange *x, size_t n)
{
    x->body = tern_str_from(x->body, n);
}

/* ---- the world ---- */

struct model {
    struct tern_model_version version;
    struct tern_model_version *served[1];
    int64_t numbers[1];
    struct tern_pins pins[1];
    struct tern_model_entry entry;
    void *instance;
    void *instances[4];
};

enum { FAST, GATED, MANY, FAILING, MODELS };
static const char *const names[MODELS] = {"fast", "gated", "many", "sick"};

struct world {
    struct rig *rig;
    struct tree tree;
    struct tern_log log;
    struct tern_metrics *metrics;
    struct tern_observer *observer;
    struct tern_sched *sched;
    struct tern_gateway *gateway;
    const struct tern_handler *handler;
    struct model models[MODELS];
    struct tern_model_entry entries[MODELS];
    struct tern_index_row index[MODELS];
    struct tern_snapshot snapshot;
    struct talk talk;
};

TERN_INLINE void drop_line(void *self, struct tern_str line)
{
    (void)self, (void)line;
}

TERN_INLINE void add_model(struct world *w, int which, const char *kind)
{
    struct model *m = &w->models[which];
    struct tern_model_version *v = &m->version;
    char path[TREE_PATH_MAX];
    struct tern_err err;

    tree_write(&w->tree, names[which], kind);
    tree_path(&w->tree, names[which], path);
    tern_arena_init(&v->arena, 4096, 1u << 20);
    const struct tern_engine_load spec = {.path = path, .threads = 1, .decoupled = which == MANY};
    assert_int_equal(fake_engine.load(&spec, &v->arena, &v->engine, &err), TERN_OK);
    assert_int_equal(fake_engine.instance_new(&v->engine, &m->instance, &err), TERN_OK);
    for (int i = 0; i < 4; i++)
        m->instances[i] = m->instance;
    v->instances = m->instances;
    v->n_instances = which == GATED ? 2 : 4;
    if (which == FAST || which == FAILING) {
        v->loop_instances = &m->instance;
        v->n_loop_instances = 1;
    }
    v->run_ns = 1000;
    v->warm_units = 4;
    v->pins = m->pins;
    v->info = (struct tern_model_info){
        .name = tern_str_of(names[which]),
        .platform = TERN_STR("fake_fake"),
        .backend = TERN_STR("fake"),
        .version = 1,
        .decoupled = which == MANY,
        .inputs = v->engine.inputs,
        .n_inputs = 1,
        .outputs = v->engine.outputs,
        .n_outputs = 1,
    };
    assert_int_equal(tern_sched_add(w->sched, v, &err), TERN_OK);
    assert_int_equal(tern_observer_add_model(w->observer, v, &err), TERN_OK);
    m->served[0] = v;
    m->numbers[0] = 1;
    w->entries[which] = (struct tern_model_entry){v->info.name, m->served, m->numbers, 1};
    w->index[which] = (struct tern_index_row){v->info.name, 1, TERN_MODEL_READY, TERN_STR("")};
}

TERN_INLINE int by_name(const void *a, const void *b)
{
    const struct tern_model_entry *x = a, *y = b;
    return tern_str_cmp(x->name, y->name);
}

TERN_INLINE struct world *new_world(void)
{
    static struct world w;
    const struct tern_log_sink sink = {drop_line, NULL};
    const struct tern_sched_settings sched = {
        .executors = 2, .queue_max = 1000, .inline_max_ns = 50000};
    struct tern_err err;

    memset(&w, 0, sizeof(w));
    line_timeout_ns = 0;
    tree_init(&w.tree);
    w.rig = rig_new();
    tern_log_init(&w.log, sink, TERN_LOG_INFO, TERN_LOG_JSON, false);
    assert_int_equal(
        tern_metrics_new(tern_catalog_groups, TERN_CATALOG_GROUPS, 1, 100, &w.metrics, &err),
        TERN_OK);
    const struct tern_observer_settings observer = {
        .metrics = w.metrics, .log = &w.log, .access_log = true, .n_loops = 1};
    assert_int_equal(tern_observer_new(&observer, &w.observer, &err), TERN_OK);
    assert_int_equal(tern_sched_new(&sched, &w.sched, &err), TERN_OK);
    const struct tern_gateway_settings gateway = {
        .protos = protos,
        .n_protos = 1,
        .n_loops = 1,
        .timeout_ns = 60ull * TERN_NS_PER_S,
        .sched = w.sched,
        .observer = w.observer,
    };
    assert_int_equal(tern_gateway_new(&gateway, &w.gateway, &err), TERN_OK);
    w.handler = tern_gateway_handler(w.gateway);
    add_model(&w, FAST, "fake");
    add_model(&w, GATED, "fake gated");
    add_model(&w, MANY, "fake gated");
    add_model(&w, FAILING, "fake failing");
    qsort(w.entries, MODELS, sizeof(w.entries[0]), by_name);
    tern_arena_init(&w.snapshot.arena, 4096, 1u << 20);
    w.snapshot.models = w.entries;
    w.snapshot.n_models = MODELS;
    w.snapshot.index = w.index;
    w.snapshot.n_index = MODELS;
    w.snapshot.ready = true;
    assert_int_equal(tern_snapshot_seal(&w.snapshot, &err), TERN_OK);
    tern_gateway_set_snapshot(w.gateway, 0, &w.snapshot);
    return &w;
}

TERN_INLINE void free_world(struct world *w)
{
    fake_engine_gate(false);
    for (int i = 0; i < MODELS; i++) {
        assert_int_equal(w->models[i].pins[0].count, 0); /* every call let go of its model */
        tern_observer_remove_model(w->observer, &w->models[i].version);
        tern_sched_remove(w->sched, &w->models[i].version);
    }
    tern_gateway_free(w->gateway);
    tern_sched_free(w->sched);
    tern_observer_free(w->observer);
    tern_metrics_free(w->metrics);
    for (int i = 0; i < MODELS; i++) {
        struct tern_model_version *v = &w->models[i].version;
        fake_engine.instance_free(&v->engine, w->models[i].instance);
        fake_engine.unload(&v->engine);
        tern_arena_fini(&v->arena);
    }
    tern_arena_fini(&w->snapshot.arena);
    rig_free(w->rig);
    tree_fini(&w->tree);
}

TERN_INLINE void talk_to(struct world *w, const char *path)
{
    static const struct tern_exchange_ops ops = {talk_send, talk_take};
    struct talk *talk = &w->talk;

    memset(talk, 0, sizeof(*talk));
    tern_arena_init(&talk->arena, 4096, 8u << 20);
    tern_buf_init(&talk->out, 1u << 20);
    talk->x = (struct tern_exchange){
        .method = TERN_METHOD_POST,
        .path = tern_str_of(path),
        .http_major = 2,
        .body_max = TALK_MAX,
        .expand_max = 100,
        .out = &talk->out,
        .arena = &talk->arena,
        .loop = w->rig->loop,
        .listener = &talk->listener,
        .ops = &ops,
        .start_ns = rig_now_ns,
        .body_ns = rig_now_ns,
    };
    w->handler->on_head(w->handler->self, &talk->x);
}

/* One more part of a request, and whether it is the last. */
TERN_INLINE void say(struct world *w, const char *text, bool last)
{
    struct talk *talk = &w->talk;
    size_t left = talk->x.body.n;

    if (left > 0)
        memmove(talk->said, talk->x.body.p, left);
    assert_true(left + strlen(text) < sizeof(talk->said));
    memcpy(talk->said + left, text, strlen(text) + 1);
    talk->x.body = tern_str_make(talk->said, left + strlen(text));
    talk->x.body_done = last;
    if (talk->x.wants_parts)
        w->handler->on_part(w->handler->self, &talk->x);
    else
        w->handler->on_request(w->handler->self, &talk->x);
}

/* Steps the loop until the client has got this. */
TERN_INLINE void expect(struct world *w, const char *text)
{
    for (;;) {
        rig_pump_without_reading(w->rig);
        if (strcmp(w->talk.got, text) == 0)
            return;
        if (w->talk.ended || strncmp(w->talk.got, text, w->talk.n_got) != 0)
            fail_msg("expected %s\ngot      %s", text, w->talk.got);
    }
}

TERN_INLINE void hang_up(struct world *w)
{
    w->talk.x.gone = true;
    w->handler->on_gone(w->handler->self, &w->talk.x);
}

TERN_INLINE void talk_over(struct world *w)
{
    while (!w->talk.ended)
        rig_pump_without_reading(w->rig);
    tern_arena_fini(&w->talk.arena);
    tern_buf_fini(&w->talk.out);
}

#endif
