/* Batches that are more than rows: ragged inputs, inputs made from the batch, scattered outputs,
 * and sizes that are filled up. */
// covers: sched/batch_gather sched/batch_scatter sched/run
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "sched/batch.h"
#include "sched/run.h"

#define WORKS_MAX 4

/* Takes R (ragged), P (rows of two) and INDEX (made); gives R as it came, scattered, and P. */
enum { R, P, INDEX, N_INPUTS };
enum { OUT, ROWS, N_OUTPUTS };

struct client {
    struct tern_work work;
    struct tern_arena arena;
    struct tern_err err;
    struct tern_tensor inputs[2], outputs[N_OUTPUTS];
    char r[256], p[64];
};

static const struct tern_batch_settings settings = {
    .memory_max = 1 << 16, .keep_max = 1 << 16, .idle_max = 2};
static const uint32_t input_spec[] = {R, P}, output_spec[] = {OUT, ROWS};
static bool ragged[N_INPUTS];
static uint32_t allowed[] = {4, 8};
static struct tern_engine_ops ops;
static struct tern_tensor_spec inputs[N_INPUTS], seen_outputs[N_OUTPUTS];
static struct tern_batch_input index_input;
static struct tern_batch_output scattered;
static struct tern_scheduling scheduling;
static struct tern_model_version version;
static struct client clients[WORKS_MAX];
static struct tern_work *works[WORKS_MAX];
static struct tern_batch_pool *pool;
static struct tern_batch *batch;
static struct tern_err err;

static int setup(void **state)
{
    (void)state;
    ragged[R] = true;
    ops = (struct tern_engine_ops){.name = "test"};
    for (uint32_t i = 0; i < N_INPUTS; i++)
        inputs[i].name = tern_str_of(&"R\0P\0INDEX"[2 * i]);
    seen_outputs[OUT] =
        (struct tern_tensor_spec){.name = TERN_STR("OUT"), .shape = {3, {-1, -1, 2}}};
    seen_outputs[ROWS] = (struct tern_tensor_spec){.name = TERN_STR("ROWS"), .shape = {2, {-1, 2}}};
    index_input = (struct tern_batch_input){.kind = TERN_BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO,
                                            .dtype = TERN_DTYPE_INT32,
                                            .input = INDEX,
                                            .source = R};
    scattered = (struct tern_batch_output){.output = OUT, .source = R};
    scheduling = (struct tern_scheduling){.batching = TERN_BATCHING_ADAPTIVE,
                                          .max_rows = 8,
                                          .gathers = true,
                                          .ragged = ragged,
                                          .batch_inputs = &index_input,
                                          .n_batch_inputs = 1,
                                          .batch_outputs = &scattered,
                                          .n_batch_outputs = 1};
    version = (struct tern_model_version){.scheduling = &scheduling,
                                          .engine = {.ops = &ops, .inputs = inputs},
                                          .output_specs = seen_outputs};
    assert_int_equal(tern_batch_pool_new(&settings, &pool, NULL), TERN_OK);
    assert_int_equal(tern_batch_take(pool, &batch, NULL), TERN_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (uint32_t k = 0; k < WORKS_MAX; k++) {
        tern_arena_fini(&clients[k].arena);
        clients[k] = (struct client){.work = {.state = TERN_WORK_NEW}};
    }
    tern_batch_pool_close(pool);
    return 0;
}

/* R of [rows, middle, 2] in INT32, each number naming client and place; P the same in [rows, 2]. */
static void init_client(uint32_t k, int64_t rows, int64_t middle)
{
    struct client *c = &clients[k];
    size_t n = (size_t)(rows * middle * 2);

    tern_arena_init(&c->arena, 256, 4096);
    for (size_t i = 0; i < n; i++)
        memcpy(c->r + 4 * i, &(int32_t){(int32_t)(k * 100 + i)}, 4);
    for (size_t i = 0; i < (size_t)rows * 2; i++)
        memcpy(c->p + 4 * i, &(int32_t){-(int32_t)(k * 100 + i)}, 4);
    c->inputs[0] = (struct tern_tensor){.name = TERN_STR("R"),
                                        .dtype = TERN_DTYPE_INT32,
                                        .shape = {3, {rows, middle, 2}},
                                        .data = c->r,
                                        .n_bytes = 4 * n};
    c->inputs[1] = (struct tern_tensor){.name = TERN_STR("P"),
                                        .dtype = TERN_DTYPE_INT32,
                                        .shape = {2, {rows, 2}},
                                        .data = c->p,
                                        .n_bytes = (size_t)rows * 8};
    c->outputs[OUT].name = TERN_STR("OUT");
    c->outputs[ROWS].name = TERN_STR("ROWS");
    c->work.version = &version;
    c->work.err = &c->err;
    c->work.run = (struct tern_engine_run){.inputs = c->inputs,
                                           .input_spec = input_spec,
                                           .n_inputs = 2,
                                           .outputs = c->outputs,
                                           .output_spec = output_spec,
                                           .n_outputs = N_OUTPUTS,
                                           .arena = &c->arena,
                                           .cancelled = &c->work.cancelled};
    works[k] = &c->work;
}

/* OUT is R as it came, ROWS is P with `more` rows of nobody. */
static void run_model(int64_t more)
{
    struct tern_tensor *out = &batch->run.outputs[OUT], *rows = &batch->run.outputs[ROWS];
    const struct tern_tensor *r = &batch->run.inputs[0], *p = &batch->run.inputs[1];

    *out = *r;
    out->name = TERN_STR("OUT");
    *rows = *p;
    rows->name = TERN_STR("ROWS");
    rows->shape.dim[0] += more;
    rows->n_bytes += (size_t)more * 8;
    rows->data = tern_arena_zalloc(batch->run.arena, 1, rows->n_bytes);
    assert_non_null(rows->data);
    memcpy(rows->data, p->data, p->n_bytes);
}

static void assert_answered(const struct client *c)
{
    assert_int_equal(c->work.code, TERN_OK);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(tern_shape_eq(&c->outputs[i].shape, &c->inputs[i].shape));
        assert_int_equal(c->outputs[i].n_bytes, c->inputs[i].n_bytes);
        assert_memory_equal(c->outputs[i].data, c->inputs[i].data, c->inputs[i].n_bytes);
    }
}

static void assert_ints(const struct tern_tensor *tensor, const int32_t *values, size_t n)
{
    assert_int_equal(tensor->n_bytes, n * 4);
    assert_memory_equal(tensor->data, values, n * 4);
}

#define ASSERT_INTS(tensor, ...)                  \
    assert_ints(tensor, (int32_t[]){__VA_ARGS__}, \
                sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

/* ---- ragged ---- */

static void test_ragged_rows_become_one_dimension(void **state)
{
    (void)state;
    init_client(0, 1, 2);
    init_client(1, 2, 1);
    init_client(2, 1, 0);
    assert_int_equal(tern_batch_gather(batch, works, 3, &err), TERN_OK);
    assert_int_equal(batch->rows, 4);
    assert_int_equal(batch->run_rows, 4);
    assert_int_equal(batch->run.n_inputs, 3);
    assert_true(tern_shape_eq(&batch->run.inputs[0].shape, &(struct tern_shape){1, {8}}));
    ASSERT_INTS(&batch->run.inputs[0], 0, 1, 2, 3, 100, 101, 102, 103);
    assert_true(tern_shape_eq(&batch->run.inputs[1].shape, &(struct tern_shape){2, {4, 2}}));
    assert_int_equal(batch->run.input_spec[2], INDEX);
    assert_true(tern_str_eq(batch->run.inputs[2].name, TERN_STR("INDEX")));
    ASSERT_INTS(&batch->run.inputs[2], 0, 4, 8, 8);
    run_model(0);
    tern_batch_scatter(batch, TERN_OK, NULL);
    for (uint32_t k = 0; k < 3; k++)
        assert_answered(&clients[k]);
}

static void test_also_of_one_request(void **state)
{
    (void)state;
    init_client(0, 2, 3);
    assert_int_equal(tern_batch_gather(batch, works, 1, &err), TERN_OK);
    assert_true(tern_shape_eq(&batch->run.inputs[0].shape, &(struct tern_shape){1, {12}}));
    assert_ptr_equal(batch->run.inputs[0].data, clients[0].r); /* not copied */
    assert_ptr_equal(batch->run.cancelled, &clients[0].work.cancelled);
    ASSERT_INTS(&batch->run.inputs[2], 0, 12);
    run_model(0);
    tern_batch_scatter(batch, TERN_OK, NULL);
    assert_answered(&clients[0]);
}

static int runs;

static enum tern_code infer(const struct tern_engine_model *model, void *instance,
                            const struct tern_engine_run *run, struct tern_err *ret_err)
{
    (void)model, (void)instance;
    assert_int_equal(run->n_inputs, 3);
    assert_int_equal(run->inputs[0].shape.rank, 1);
    for (uint32_t i = 0; i < N_OUTPUTS; i++)
        run->outputs[i] = run->inputs[i];
    return ++runs == 2 ? tern_fail(ret_err, TERN_UNAVAILABLE, "gone") : TERN_OK;
}

/* Without a lane: tern infer, and lanes that find no memory for a batch. */
static void test_alone_without_a_pool(void **state)
{
    (void)state;
    tern_batch_give_back(batch);
    ops.infer = infer;
    runs = 0;
    init_client(0, 2, 3);
    tern_run_alone(works[0]);
    assert_answered(&clients[0]);
    tern_run_alone(works[0]);
    assert_int_equal(clients[0].work.code, TERN_UNAVAILABLE);
    assert_string_equal(clients[0].err.text, "gone");
    clients[0].inputs[0].shape.dim[0] = 0;
    tern_run_alone(works[0]);
    assert_int_equal(clients[0].work.code, TERN_INVALID_ARGUMENT);
    assert_int_equal(runs, 2);
}

static void test_rows_of_nobody(void **state)
{
    (void)state;
    for (uint32_t k = 0; k < 2; k++)
        init_client(k, 2, 1 + k);
    assert_int_equal(tern_batch_gather(batch, works, 2, &err), TERN_OK);
    run_model(3);
    tern_batch_scatter(batch, TERN_OK, NULL);
    for (uint32_t k = 0; k < 2; k++)
        assert_answered(&clients[k]);
}

static void assert_refused(enum tern_code code, const char *text)
{
    assert_int_equal(tern_batch_gather(batch, works, 2, &err), code);
    if (strstr(err.text, text) == NULL)
        fail_msg("%s", err.text);
}

static void test_what_is_refused(void **state)
{
    static const uint32_t only_p[] = {P, P};

    (void)state;
    init_client(0, 1, 2);
    init_client(1, 1, 3);
    clients[1].inputs[0].shape.rank = 2;
    assert_refused(TERN_INTERNAL, "input 'R' is INT32 of shape [1,3]");
    clients[1].inputs[0].shape = (struct tern_shape){3, {2, 1, 3}};
    assert_refused(TERN_INTERNAL, "input 'P' is INT32 of shape [1,2], but its batch needs INT32 "
                                  "of shape [2,2]");
    clients[1].inputs[0].shape = (struct tern_shape){3, {1, INT64_MAX, 2}};
    assert_refused(TERN_RESOURCE_EXHAUSTED, "the inputs of a batch");
    clients[1].inputs[0].shape = (struct tern_shape){3, {1, 3, 2}};
    clients[1].inputs[1].shape.dim[1] = 3; /* P is not ragged */
    assert_refused(TERN_INTERNAL, "input 'P'");
    clients[1].inputs[1].shape.dim[1] = 2;
    for (uint32_t k = 0; k < 2; k++) {
        clients[k].inputs[0] = clients[k].inputs[1];
        clients[k].work.run.input_spec = only_p;
        clients[k].work.run.n_inputs = 1;
    }
    assert_refused(TERN_INVALID_ARGUMENT, "input 'R' is missing: input 'INDEX' is made from it");
    tern_batch_give_back(batch);
}

static void test_parameters_that_are_read(void **state)
{
    struct tern_param rows[2] = {{.key = TERN_STR("beam"), .kind = TERN_PARAM_INT64, .int64 = 1},
                                 {.key = TERN_STR("beam"), .kind = TERN_PARAM_INT64, .int64 = 1}};
    struct tern_params params[2] = {{&rows[0], 1}, {&rows[1], 1}};

    (void)state;
    for (uint32_t k = 0; k < 2; k++) {
        init_client(k, 1, 1);
        clients[k].work.run.params = &params[k];
    }
    ops.reads_params = true;
    assert_int_equal(tern_batch_gather(batch, works, 2, &err), TERN_OK);
    tern_batch_give_back(batch);
    assert_int_equal(tern_batch_take(pool, &batch, NULL), TERN_OK);
    rows[1].int64 = 2;
    assert_refused(TERN_INTERNAL, "different parameters");
    rows[1] = (struct tern_param){
        .key = TERN_STR("beam"), .kind = TERN_PARAM_STRING, .string = TERN_STR("1")};
    assert_refused(TERN_INTERNAL, "different parameters");
    params[1].n = 0;
    assert_refused(TERN_INTERNAL, "different parameters");
    ops.reads_params = false;
    assert_int_equal(tern_batch_gather(batch, works, 2, &err), TERN_OK);
    tern_batch_give_back(batch);
}

/* ---- outputs that do not fit ---- */

static void assert_all_fail(const char *text)
{
    tern_batch_scatter(batch, TERN_OK, NULL);
    for (uint32_t k = 0; k < 2; k++) {
        assert_int_equal(clients[k].work.code, TERN_INTERNAL);
        if (strstr(clients[k].err.text, text) == NULL)
            fail_msg("%s", clients[k].err.text);
    }
    assert_int_equal(tern_batch_take(pool, &batch, NULL), TERN_OK);
    assert_int_equal(tern_batch_gather(batch, works, 2, NULL), TERN_OK);
    run_model(0);
}

static void test_outputs_that_do_not_fit(void **state)
{
    (void)state;
    init_client(0, 1, 2);
    init_client(1, 2, 1);
    assert_int_equal(tern_batch_gather(batch, works, 2, NULL), TERN_OK);
    run_model(0);
    batch->run.outputs[OUT].n_bytes -= 4;
    assert_all_fail("output 'OUT' has 28 bytes");
    batch->run.outputs[OUT].n_bytes -= 4;
    batch->run.outputs[OUT].shape.dim[0] -= 1;
    assert_all_fail("output 'OUT' has fewer elements");
    batch->run.outputs[OUT].n_bytes += 4;
    batch->run.outputs[OUT].shape.dim[0] += 1;
    assert_all_fail("output 'OUT' has more elements");
    batch->run.outputs[ROWS].shape.dim[0] = 2;
    batch->run.outputs[ROWS].n_bytes = 16;
    assert_all_fail("output 'ROWS' has shape [2,2] after a batch of 3 rows");
    seen_outputs[OUT].shape = (struct tern_shape){4, {-1, -1, -1, -1}};
    assert_all_fail("output 'OUT' of shape [-1,-1,-1,-1] takes its dimensions from input 'R'");
    tern_batch_give_back(batch);
}

/* ---- sizes that are filled up ---- */

static void only_sizes(void)
{
    scheduling.ragged = NULL;
    scheduling.n_batch_inputs = scheduling.n_batch_outputs = 0;
    scheduling.allowed = allowed;
    scheduling.n_allowed = TERN_COUNT_OF(allowed);
}

static void test_filled_up(void **state)
{
    (void)state;
    only_sizes();
    init_client(0, 1, 1);
    init_client(1, 2, 1);
    assert_int_equal(tern_batch_gather(batch, works, 2, &err), TERN_OK);
    assert_int_equal(batch->rows, 3);
    assert_int_equal(batch->run_rows, 4);
    ASSERT_INTS(&batch->run.inputs[0], 0, 1, 100, 101, 102, 103, 102, 103);
    assert_true(tern_shape_eq(&batch->run.inputs[1].shape, &(struct tern_shape){2, {4, 2}}));
    run_model(0);
    tern_batch_scatter(batch, TERN_OK, NULL);
    for (uint32_t k = 0; k < 2; k++)
        assert_answered(&clients[k]);
}

static void test_one_request_filled_up(void **state)
{
    (void)state;
    only_sizes();
    init_client(0, 5, 1);
    assert_int_equal(tern_batch_gather(batch, works, 1, &err), TERN_OK);
    assert_int_equal(batch->run_rows, 8);
    assert_int_equal(batch->run.inputs[0].shape.dim[0], 8);
    run_model(0);
    tern_batch_scatter(batch, TERN_OK, NULL);
    assert_answered(&clients[0]);
}

static void test_sizes_that_stay(void **state)
{
    static const int64_t rows[] = {4, 8, 9};

    (void)state;
    only_sizes();
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        tern_arena_fini(&clients[0].arena);
        init_client(0, rows[i], 1);
        assert_int_equal(tern_batch_gather(batch, works, 1, &err), TERN_OK);
        assert_int_equal(batch->run_rows, rows[i]);
        assert_ptr_equal(batch->run.inputs, clients[0].inputs);
    }
    tern_batch_give_back(batch);
}

/* The last string of several, of which each has its own length. */
static void test_strings_filled_up(void **state)
{
    (void)state;
    only_sizes();
    init_client(0, 1, 1);
    memcpy(clients[0].p, "\2\0\0\0ab\3\0\0\0cde", 13);
    clients[0].inputs[1].dtype = TERN_DTYPE_BYTES;
    clients[0].inputs[1].n_bytes = 13;
    assert_int_equal(tern_batch_gather(batch, works, 1, &err), TERN_OK);
    assert_int_equal(batch->run.inputs[1].n_bytes, 4 * 13);
    assert_memory_equal((char *)batch->run.inputs[1].data + 39, clients[0].p, 13);
    run_model(0);
    tern_batch_scatter(batch, TERN_OK, NULL);
    assert_answered(&clients[0]);

    init_client(1, 2, 1);
    memcpy(clients[1].p, "\1\0\0\0a\1\0\0\0b\0\0\0\0\2\0\0\0cd", 20);
    clients[1].inputs[1].dtype = TERN_DTYPE_BYTES;
    clients[1].inputs[1].n_bytes = 20;
    assert_int_equal(tern_batch_take(pool, &batch, NULL), TERN_OK);
    assert_int_equal(tern_batch_gather(batch, &works[1], 1, &err), TERN_OK);
    assert_int_equal(batch->run.inputs[1].n_bytes, 20 + 2 * 10);
    assert_memory_equal((char *)batch->run.inputs[1].data + 30, "\0\0\0\0\2\0\0\0cd", 10);
    run_model(0);
    tern_batch_scatter(batch, TERN_OK, NULL);
    assert_answered(&clients[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ragged_rows_become_one_dimension, setup, teardown),
        cmocka_unit_test_setup_teardown(test_also_of_one_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alone_without_a_pool, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_of_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parameters_that_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outputs_that_do_not_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filled_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_request_filled_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes_that_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strings_filled_up, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
