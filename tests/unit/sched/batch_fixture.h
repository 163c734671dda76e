/* What the tests of batches share: clients, and a model that any of them can check. Everything is
 * static. */
#ifndef TERN_TESTS_UNIT_SCHED_BATCH_FIXTURE_H
#define TERN_TESTS_UNIT_SCHED_BATCH_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
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

static const struct tern_engine_ops plain_ops;
static struct tern_model_version version = {.engine = {.ops = &plain_ops}};
static struct client clients[WORKS_MAX];
static struct tern_work *works[WORKS_MAX];
static const struct tern_batch_settings settings = {
    .memory_max = 4 << 20, .keep_max = 1 << 20, .idle_max = 2};

/* ---- clients ---- */

/* Strings of 0 to 8 bytes that no other row has. */
static inline size_t put_strings(char *dst, uint32_t client, int64_t rows)
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

static inline void init_client(uint32_t k, int64_t rows, const uint32_t *in, const uint32_t *out)
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
    c->work.version = &version;
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
static inline void init_clients(uint32_t n, int64_t times)
{
    for (uint32_t k = 0; k < n; k++)
        init_client(k, (1 + k * 5 % 7) * times, k % 3 == 1 ? backward : forward,
                    k % 3 == 2 ? backward : forward);
}

static inline void fini_clients(uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        tern_arena_fini(&clients[k].arena);
}

static inline void assert_answered(const struct client *c)
{
    const uint32_t *in = c->work.run.input_spec, *out = c->work.run.output_spec;

    assert_int_equal(c->work.code, TERN_OK);
    for (uint32_t i = 0; i < c->work.run.n_outputs; i++) {
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

static inline enum tern_code run_model(const struct tern_engine_run *run, struct tern_err *err)
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
static inline enum tern_code serve(struct tern_batch_pool *pool, uint32_t n, struct tern_err *err)
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

static inline struct tern_batch_pool *new_pool(void)
{
    struct tern_batch_pool *pool = NULL;

    assert_int_equal(tern_batch_pool_new(&settings, &pool, NULL), TERN_OK);
    return pool;
}

static inline struct tern_batch *gathered(struct tern_batch_pool *pool, uint32_t n)
{
    struct tern_batch *batch = NULL;

    assert_int_equal(tern_batch_take(pool, &batch, NULL), TERN_OK);
    assert_int_equal(tern_batch_gather(batch, works, n, NULL), TERN_OK);
    return batch;
}

#endif
