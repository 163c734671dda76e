/* Several works as one run: what goes in, what comes back, and who holds the memory. */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "harness/mem_fails.h"
#include "sched/batch.h"

#define WORKS_MAX 17
#define ROWS_MAX  600
#define COLUMNS   3

/* Takes A (FP32, 3 columns) and S (BYTES, 2 columns); gives Y = A + 1 and T = S. */
enum { A, S, N_INPUTS };
enum { Y, T, N_OUTPUTS };
static const uint32_t forward[] = {0, 1}, backward[] = {1, 0};

struct client {
    struct tern_work work;
    struct tern_arena arena;
    struct tern_err err;
    struct tern_tensor inputs[N_INPUTS], outputs[N_OUTPUTS];
    float a[ROWS_MAX * COLUMNS];
    char s[ROWS_MAX * 2 * 12];
};

static struct client clients[WORKS_MAX];
static struct tern_work *works[WORKS_MAX];
static const struct tern_batch_settings settings = {
    .memory_max = 4 << 20, .keep_max = 1 << 20, .idle_max = 2};

/* ---- clients ---- */

/* Strings of 0 to 8 bytes that no other row has. */
static size_t put_strings(char *dst, uint32_t client, int64_t rows)
{
    size_t at = 0;

    for (int64_t i = 0; i < rows * 2; i++) {
        uint32_t n = (uint32_t)(i + client) % 9;
        char text[16];
        snprintf(text, sizeof(text), "%02u%06d", client, (int)i);
        memcpy(dst + at, &n, 4);
        memcpy(dst + at + 4, text, n);
        at += 4 + n;
    }
    return at;
}

static void init_client(uint32_t k, int64_t rows, const uint32_t *in, const uint32_t *out)
{
    struct client *c = &clients[k];
    static const char *const in_names[] = {"A", "S"}, *const out_names[] = {"Y", "T"};

    memset(c, 0, sizeof(*c));
    tern_arena_init(&c->arena, 256, 1 << 16);
    for (int64_t i = 0; i < rows * COLUMNS; i++)
        c->a[i] = (float)(k * 10000 + (uint32_t)i);
    size_t n_bytes = put_strings(c->s, k, rows);
    for (uint32_t i = 0; i < 2; i++) {
        c->inputs[i] = in[i] == A ? (struct tern_tensor){.dtype = TERN_DTYPE_FP32,
                                                         .shape = {2, {rows, COLUMNS}},
                                                         .data = c->a,
                                                         .n_bytes = (size_t)rows * COLUMNS * 4}
                                  : (struct tern_tensor){.dtype = TERN_DTYPE_BYTES,
                                                         .shape = {2, {rows, 2}},
                                                         .data = c->s,
                                                         .n_bytes = n_bytes};
        c->inputs[i].name = tern_str_make(in_names[in[i]], 1);
        c->outputs[i].name = tern_str_make(out_names[out[i]], 1);
    }
    c->work.err = &c->err;
    c->work.run = (struct tern_engine_run){.inputs = c->inputs,
                                           .input_spec = in,
                                           .n_inputs = N_INPUTS,
                                           .outputs = c->outputs,
                                           .output_spec = out,
                                           .n_outputs = N_OUTPUTS,
                                           .arena = &c->arena,
                                           .cancelled = &c->work.cancelled};
    works[k] = &c->work;
}

/* Uneven rows, and every third client names its tensors the other way round. */
static void init_clients(uint32_t n, int64_t times)
{
    for (uint32_t k = 0; k < n; k++)
        init_client(k, (1 + k * 5 % 7) * times, k % 3 == 1 ? backward : forward,
                    k % 3 == 2 ? backward : forward);
}

static void fini_clients(uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        tern_arena_fini(&clients[k].arena);
}

static void assert_answered(const struct client *c)
{
    const uint32_t *in = c->work.run.input_spec, *out = c->work.run.output_spec;

    assert_int_equal(c->work.code, TERN_OK);
    for (uint32_t i = 0; i < 2; i++) {
        const struct tern_tensor *input = &c->inputs[in[0] == out[i] ? 0 : 1];
        const struct tern_tensor *output = &c->outputs[i];
        assert_int_equal(output->dtype, input->dtype);
        assert_true(tern_shape_eq(&output->shape, &input->shape));
        assert_int_equal(output->n_bytes, input->n_bytes);
        assert_true(tern_str_eq(output->name, out[i] == Y ? TERN_STR("Y") : TERN_STR("T")));
        if (out[i] == T)
            assert_memory_equal(output->data, input->data, input->n_bytes);
        for (size_t j = 0; out[i] == Y && j < input->n_bytes / 4; j++)
            assert_true(((const float *)output->data)[j] == c->a[j] + 1);
    }
}

/* ---- the engine ---- */

static enum tern_code run_model(const struct tern_engine_run *run, struct tern_err *err)
{
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        const struct tern_tensor *input =
            &run->inputs[run->input_spec[0] == run->output_spec[i] ? 0 : 1];
        struct tern_tensor *output = &run->outputs[i];
        output->dtype = input->dtype;
        output->shape = input->shape;
        output->n_bytes = input->n_bytes;
        output->data = tern_arena_alloc(run->arena, 8, input->n_bytes);
        if (output->data == NULL)
            return tern_arena_fail(run->arena, err, "an output");
        memcpy(output->data, input->data, input->n_bytes);
        for (size_t j = 0; run->output_spec[i] == Y && j < input->n_bytes / 4; j++)
            ((float *)output->data)[j] += 1;
    }
    return TERN_OK;
}

/* take, gather, run, scatter: TERN_OK when the engine was reached. */
static enum tern_code serve(struct tern_batch_pool *pool, uint32_t n, struct tern_err *err)
{
    struct tern_batch *batch;
    enum tern_code code = tern_batch_take(pool, &batch, err);

    if (code != TERN_OK)
        return code;
    code = tern_batch_gather(batch, works, n, err);
    if (code != TERN_OK) {
        tern_batch_give_back(batch);
        return code;
    }
    code = run_model(&batch->run, err);
    tern_batch_scatter(batch, code, err);
    return TERN_OK;
}

static struct tern_batch_pool *new_pool(void)
{
    struct tern_batch_pool *pool = NULL;

    assert_int_equal(tern_batch_pool_new(&settings, &pool, NULL), TERN_OK);
    return pool;
}

static struct tern_batch *gathered(struct tern_batch_pool *pool, uint32_t n)
{
    struct tern_batch *batch = NULL;

    assert_int_equal(tern_batch_take(pool, &batch, NULL), TERN_OK);
    assert_int_equal(tern_batch_gather(batch, works, n, NULL), TERN_OK);
    return batch;
}

/* ---- what comes back ---- */

static void test_one_passes_through(void **state)
{
    struct tern_batch_pool *pool = new_pool();

    (void)state;
    init_clients(1, 3);
    struct tern_batch *batch = gathered(pool, 1);
    assert_ptr_equal(batch->run.inputs, clients[0].inputs);
    assert_ptr_equal(batch->run.outputs, clients[0].outputs);
    assert_ptr_equal(batch->run.arena, &clients[0].arena);
    assert_ptr_equal(batch->run.cancelled, &clients[0].work.cancelled);
    assert_int_equal(batch->rows, 3);
    assert_int_equal(run_model(&batch->run, NULL), TERN_OK);
    tern_batch_scatter(batch, TERN_OK, NULL);
    tern_batch_pool_close(pool); /* nothing of the batch is needed */
    assert_answered(&clients[0]);
    fini_clients(1);
}

static void test_many(void **state)
{
    static const uint32_t counts[] = {2, 3, WORKS_MAX};
    struct tern_batch_pool *pool = new_pool();

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(counts); i++) {
        uint64_t rows = 0;
        init_clients(counts[i], 1);
        for (uint32_t k = 0; k < counts[i]; k++)
            rows += (uint64_t)clients[k].inputs[0].shape.dim[0];
        struct tern_batch *batch = gathered(pool, counts[i]);
        assert_int_equal(batch->rows, rows);
        for (uint32_t j = 0; j < N_INPUTS; j++) {
            assert_int_equal(batch->run.inputs[j].shape.dim[0], rows);
            assert_int_equal((uintptr_t)batch->run.inputs[j].data % 64, 0);
        }
        assert_ptr_equal(batch->run.cancelled, &batch->cancelled);
        assert_int_equal(run_model(&batch->run, NULL), TERN_OK);
        tern_batch_scatter(batch, TERN_OK, NULL);
        for (uint32_t k = 0; k < counts[i]; k++)
            assert_answered(&clients[k]);
        fini_clients(counts[i]);
    }
    tern_batch_pool_close(pool);
}

/* ---- what does not go together ---- */

static void assert_refused(enum tern_code code, const char *text)
{
    struct tern_batch_pool *pool = new_pool();
    struct tern_batch *batch = NULL;
    struct tern_err err;

    assert_int_equal(tern_batch_take(pool, &batch, NULL), TERN_OK);
    assert_int_equal(tern_batch_gather(batch, works, 2, &err), code);
    assert_non_null(strstr(err.text, text));
    /* It can be filled again. */
    assert_int_equal(tern_batch_gather(batch, works, 1, &err), TERN_OK);
    assert_int_equal(run_model(&batch->run, &err), TERN_OK);
    tern_batch_scatter(batch, TERN_OK, NULL);
    assert_answered(&clients[0]);
    tern_batch_pool_close(pool);
    fini_clients(2);
}

static void test_refused(void **state)
{
    (void)state;
    init_clients(2, 1);
    init_client(1, 0, forward, forward);
    assert_refused(TERN_INVALID_ARGUMENT, "input 'A' has shape [0,3]");
    init_clients(2, 1);
    clients[1].inputs[0].shape.rank = 0; /* S stands first there */
    assert_refused(TERN_INVALID_ARGUMENT, "input 'S' has shape []");
    init_clients(2, 1);
    clients[1].work.run.n_inputs = 0;
    assert_refused(TERN_INVALID_ARGUMENT, "without inputs");
    init_clients(2, 1);
    clients[1].inputs[0].shape.dim[1] = 1;
    assert_refused(TERN_INTERNAL, "input 'S' is BYTES of shape [6,1], but its batch needs BYTES of "
                                  "shape [6,2]");
    init_clients(2, 1);
    clients[1].inputs[1].dtype = TERN_DTYPE_INT32;
    assert_refused(TERN_INTERNAL, "input 'A' is INT32");
    init_clients(2, 1);
    clients[1].inputs[1].shape.dim[0]++;
    assert_refused(TERN_INTERNAL, "input 'A' is FP32 of shape [7,3]");
    init_clients(2, 1);
    clients[1].work.run.n_outputs = 1;
    assert_refused(TERN_INTERNAL, "and with 2 and 1, do not go");
}

static void test_refused_by_name(void **state)
{
    static const uint32_t other[] = {0, 5}, twice[] = {0, 0};
    struct tern_engine_sink sink = {.emit = NULL};

    (void)state;
    init_clients(2, 1);
    clients[1].work.run.output_spec = other;
    assert_refused(TERN_INTERNAL, "output 'T' is not wanted by all");
    init_clients(2, 1);
    clients[0].work.run.output_spec = clients[1].work.run.output_spec = twice;
    clients[0].outputs[1].name = TERN_STR("Y");
    assert_refused(TERN_INTERNAL, "output 'Y' is wanted twice");
    init_clients(2, 1);
    clients[1].work.run.input_spec = other;
    assert_refused(TERN_INTERNAL, "input 'A'");
    init_clients(2, 1);
    clients[1].work.run.sink = &sink;
    assert_refused(TERN_INTERNAL, "cannot be batched");
    init_clients(2, 1);
    clients[0].inputs[0].shape.dim[0] = INT64_MAX;
    struct tern_batch_pool *pool = new_pool();
    struct tern_batch *batch = NULL;
    struct tern_err err;
    assert_int_equal(tern_batch_take(pool, &batch, NULL), TERN_OK);
    assert_int_equal(tern_batch_gather(batch, works, 2, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "too many rows"));
    tern_batch_give_back(batch);
    tern_batch_pool_close(pool);
    fini_clients(2);
}

/* ---- outputs that are not the batch's ---- */

static void assert_all_fail(void (*spoil)(struct tern_tensor *outputs), const char *text)
{
    struct tern_batch_pool *pool = new_pool();

    init_clients(4, 1);
    struct tern_batch *batch = gathered(pool, 4);
    assert_int_equal(run_model(&batch->run, NULL), TERN_OK);
    spoil(batch->run.outputs);
    tern_batch_scatter(batch, TERN_OK, NULL);
    tern_batch_pool_close(pool); /* the last: the batch has come back at once */
    for (uint32_t k = 0; k < 4; k++) {
        assert_int_equal(clients[k].work.code, TERN_INTERNAL);
        assert_non_null(strstr(clients[k].err.text, text));
        assert_null(clients[k].arena.cleanups);
    }
    fini_clients(4);
}

static void one_row_less(struct tern_tensor *outputs)
{
    outputs[Y].shape.dim[0]--;
}

static void scalar(struct tern_tensor *outputs)
{
    outputs[T].shape.rank = 0;
}

static void too_few_bytes(struct tern_tensor *outputs)
{
    outputs[Y].n_bytes--;
}

static void of_no_type(struct tern_tensor *outputs)
{
    outputs[Y].dtype = TERN_DTYPE_INVALID;
}

static void too_few_strings(struct tern_tensor *outputs)
{
    outputs[T].n_bytes--;
}

static void too_many_strings(struct tern_tensor *outputs)
{
    outputs[T].shape.dim[1] = 1;
}

static void huge_shape(struct tern_tensor *outputs)
{
    outputs[T].shape.dim[1] = INT64_MAX;
}

static void test_wrong_outputs(void **state)
{
    (void)state;
    assert_all_fail(one_row_less, "output 'Y' has shape [12,3] after a batch of 13 rows");
    assert_all_fail(scalar, "output 'T' has shape []");
    assert_all_fail(too_few_bytes, "output 'Y' has 155 bytes");
    assert_all_fail(of_no_type, "output 'Y' has 156 bytes");
    assert_all_fail(too_few_strings, "output 'T' has fewer strings");
    assert_all_fail(too_many_strings, "output 'T' has more strings");
    assert_all_fail(huge_shape, "output 'T' has fewer strings");
}

static void test_a_failed_run(void **state)
{
    struct tern_batch_pool *pool = new_pool();
    struct tern_err err;

    (void)state;
    for (uint32_t n = 1; n < 4; n++) {
        init_clients(n, 1);
        struct tern_batch *batch = gathered(pool, n);
        tern_batch_scatter(batch, tern_fail(&err, TERN_UNAVAILABLE, "gone"), &err);
        for (uint32_t k = 0; k < n; k++) {
            assert_int_equal(clients[k].work.code, TERN_UNAVAILABLE);
            assert_int_equal(clients[k].err.code, TERN_UNAVAILABLE);
            assert_string_equal(clients[k].err.text, "gone");
            assert_null(clients[k].arena.cleanups);
        }
        fini_clients(n);
    }
    tern_batch_pool_close(pool);
}

/* ---- memory ---- */

static void count(void *arg)
{
    ++*(int *)arg;
}

/* Whatever the order in which the clients go, what the engine tied to the batch goes with the last
 * of them, and no sooner. */
static void test_the_last_one_releases(void **state)
{
    static const uint32_t orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}};
    struct tern_batch_pool *pool = new_pool();
    struct tern_batch *first = NULL;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(orders); i++) {
        int released = 0;
        init_clients(3, 1);
        struct tern_batch *batch = gathered(pool, 3);
        assert_true(first == NULL || batch == first); /* the same one, over again */
        first = batch;
        assert_int_equal(tern_arena_on_reset(batch->run.arena, count, &released, NULL), TERN_OK);
        assert_int_equal(run_model(&batch->run, NULL), TERN_OK);
        tern_batch_scatter(batch, TERN_OK, NULL);
        for (uint32_t k = 0; k < 3; k++) {
            assert_int_equal(released, 0);
            assert_answered(&clients[orders[i][k]]);
            tern_arena_reset(&clients[orders[i][k]].arena);
        }
        assert_int_equal(released, 1);
        fini_clients(3);
    }
    tern_batch_pool_close(pool);
}

static void test_the_pool_goes_first(void **state)
{
    struct tern_batch_pool *pool = new_pool();

    (void)state;
    init_clients(3, 1);
    assert_int_equal(serve(pool, 3, NULL), TERN_OK);
    tern_batch_pool_close(pool);
    tern_batch_pool_close(NULL);
    for (uint32_t k = 0; k < 3; k++)
        assert_answered(&clients[k]);
    fini_clients(3);
}

/* Small and large batches, the large ones beyond what an arena keeps by itself. */
static void test_nothing_allocated_in_steady_state(void **state)
{
    static const int64_t times[] = {1, 40, 80};
    struct tern_batch_pool *pool = new_pool();

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(times); i++) {
        init_clients(WORKS_MAX, times[i]);
        for (int round = 0; round < 6; round++) {
            if (round == 3)
                mem_calls = 0;
            assert_int_equal(serve(pool, WORKS_MAX, NULL), TERN_OK);
            for (uint32_t k = 0; k < WORKS_MAX; k++) {
                assert_answered(&clients[k]);
                tern_arena_reset(&clients[k].arena);
            }
        }
        assert_int_equal(mem_calls, 0);
        fini_clients(WORKS_MAX);
    }
    tern_batch_pool_close(pool);
}

/* More idle ones than are kept. */
static void test_idle_max(void **state)
{
    struct tern_batch_pool *pool = new_pool();
    struct tern_batch *batches[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(tern_batch_take(pool, &batches[i], NULL), TERN_OK);
    for (size_t i = 0; i < 4; i++)
        tern_batch_give_back(batches[i]);
    mem_calls = 0;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(tern_batch_take(pool, &batches[i], NULL), TERN_OK);
    assert_int_equal(mem_calls, 4 - (long)settings.idle_max);
    for (size_t i = 0; i < 4; i++)
        tern_batch_give_back(batches[i]);
    tern_batch_pool_close(pool);
}

/* Each call for memory fails once: every work then has an answer or a text. */
static void test_no_memory(void **state)
{
    long failed = 0, calls = 0;
    bool reached = true;

    (void)state;
    for (long at = 0; reached; at++) {
        struct tern_batch_pool *pool = NULL;
        struct tern_err err = {.code = TERN_OK};
        init_clients(5, 20);
        mem_calls = 0;
        mem_fail_at = at;
        enum tern_code code = tern_batch_pool_new(&settings, &pool, &err);
        if (code == TERN_OK)
            code = serve(pool, 5, &err);
        calls = mem_calls;
        reached = mem_calls > at;
        mem_fail_at = -1;
        failed += code != TERN_OK;
        if (code != TERN_OK)
            assert_int_equal(err.code, TERN_RESOURCE_EXHAUSTED);
        for (uint32_t k = 0; code == TERN_OK && k < 5; k++) {
            if (clients[k].work.code == TERN_OK) {
                assert_answered(&clients[k]);
                continue;
            }
            failed++;
            assert_int_equal(clients[k].work.code, TERN_RESOURCE_EXHAUSTED);
            assert_int_equal(clients[k].err.code, TERN_RESOURCE_EXHAUSTED);
        }
        fini_clients(5);
        tern_batch_pool_close(pool);
    }
    assert_true(failed >= calls && calls > 8); /* pool, batch, its chunks, one chunk a client */
}

/* The bounds of the batch and of one client. */
static void test_no_room(void **state)
{
    struct tern_batch_settings small = settings;
    struct tern_batch_pool *pool = NULL;
    struct tern_err err;
    bool worked = false;

    (void)state;
    for (small.memory_max = 0; !worked; small.memory_max += 16) {
        init_clients(3, 1);
        assert_int_equal(tern_batch_pool_new(&small, &pool, NULL), TERN_OK);
        enum tern_code code = serve(pool, 3, &err);
        worked = code == TERN_OK && clients[0].work.code == TERN_OK;
        for (uint32_t k = 0; k < 3 && !worked; k++)
            assert_int_equal(code != TERN_OK ? code : clients[k].work.code,
                             TERN_RESOURCE_EXHAUSTED);
        fini_clients(3);
        tern_batch_pool_close(pool);
    }
    pool = new_pool();
    init_clients(3, 1);
    clients[1].arena.max = 8;
    assert_int_equal(serve(pool, 3, &err), TERN_OK);
    assert_answered(&clients[0]);
    assert_int_equal(clients[1].work.code, TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(clients[1].err.text, "a cleanup"));
    assert_answered(&clients[2]);
    fini_clients(3);
    tern_batch_pool_close(pool);
}

static void *go(void *arg)
{
    struct client *c = arg;
    tern_arena_fini(&c->arena);
    return NULL;
}

/* While batches of before come home on other threads, new ones are taken. */
static void test_clients_go_on_their_threads(void **state)
{
    struct tern_batch_pool *pool = new_pool();

    (void)state;
    for (int round = 0; round < 50; round++) {
        pthread_t threads[4];
        init_clients(4, 1);
        assert_int_equal(serve(pool, 2, NULL), TERN_OK);
        memmove(works, works + 2, 2 * sizeof(works[0]));
        assert_int_equal(serve(pool, 2, NULL), TERN_OK);
        for (uint32_t k = 0; k < 4; k++) {
            assert_answered(&clients[k]);
            assert_int_equal(pthread_create(&threads[k], NULL, go, &clients[k]), 0);
        }
        struct tern_batch *batch = NULL;
        assert_int_equal(tern_batch_take(pool, &batch, NULL), TERN_OK);
        for (uint32_t k = 0; k < 4; k++)
            pthread_join(threads[k], NULL);
        tern_batch_give_back(batch);
    }
    tern_batch_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_passes_through),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_by_name),
        cmocka_unit_test(test_wrong_outputs),
        cmocka_unit_test(test_a_failed_run),
        cmocka_unit_test(test_the_last_one_releases),
        cmocka_unit_test(test_the_pool_goes_first),
        cmocka_unit_test(test_nothing_allocated_in_steady_state),
        cmocka_unit_test(test_idle_max),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_clients_go_on_their_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
