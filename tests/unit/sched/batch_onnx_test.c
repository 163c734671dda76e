/* Real models: a batch gives each request, bit for bit, what it gets alone. */
// covers: sched/batch_gather sched/batch_scatter
#include "../engine/onnx_fixture.h"
#include "registry/batchable.h"
#include "registry/trial_rows.h"
#include "sched/batch.h"

#define WORKS 5

/* The rows of the works, one after another: 1, 2, 3, 1, 2. */
static const uint32_t rows_of[WORKS] = {1, 2, 3, 1, 2};
enum { ROWS = 9 };

struct client {
    struct tern_work work;
    struct tern_arena arena;
    struct tern_err err;
    struct tern_tensor alone[8], outputs[8];
};

static const uint32_t output_spec[8] = {0, 1, 2, 3, 4, 5, 6, 7};
static const struct tern_scheduling scheduling = {
    .batching = TERN_BATCHING_ADAPTIVE, .max_rows = 64, .n_levels = 1};
static struct tern_model_version version;
static struct client clients[WORKS];
static struct tern_work *works[WORKS];

static void init_clients(const struct fixture *f, const struct tern_trial_rows *rows,
                         struct tern_arena *arena)
{
    uint32_t first = 0;

    version = (struct tern_model_version){.engine = f->model, .scheduling = &scheduling};
    for (uint32_t k = 0; k < WORKS; k++) {
        struct client *c = &clients[k];
        uint32_t picks[ROWS];
        struct tern_tensor *inputs;
        *c = (struct client){.work = {.version = &version}};
        works[k] = &c->work;
        c->work.err = &c->err;
        tern_arena_init(&c->arena, 1024, 16 << 20);
        for (uint32_t i = 0; i < rows_of[k]; i++)
            picks[i] = first++;
        assert_int_equal(tern_trial_rows_pick(rows, picks, rows_of[k], arena, &inputs, NULL),
                         TERN_OK);
        c->work.run = (struct tern_engine_run){.inputs = inputs,
                                               .input_spec = rows->input_spec,
                                               .n_inputs = rows->n_inputs,
                                               .outputs = c->alone,
                                               .output_spec = output_spec,
                                               .n_outputs = f->model.n_outputs,
                                               .arena = &c->arena};
        for (uint32_t i = 0; i < f->model.n_outputs; i++)
            c->alone[i].name = c->outputs[i].name = f->model.outputs[i].name;
    }
}

static void run_alone(struct fixture *f)
{
    for (uint32_t k = 0; k < WORKS; k++) {
        if (tern_onnx_engine.infer(&f->model, f->instance, &clients[k].work.run, &f->err) !=
            TERN_OK)
            fail_msg("%s", f->err.text);
        clients[k].work.run.outputs = clients[k].outputs;
    }
}

static void run_joined(struct fixture *f)
{
    const struct tern_batch_settings settings = {
        .memory_max = 64 << 20, .keep_max = 1 << 20, .idle_max = 1};
    struct tern_batch_pool *pool;
    struct tern_batch *batch;

    assert_int_equal(tern_batch_pool_new(&settings, &pool, NULL), TERN_OK);
    assert_int_equal(tern_batch_take(pool, &batch, NULL), TERN_OK);
    if (tern_batch_gather(batch, works, WORKS, &f->err) != TERN_OK)
        fail_msg("%s", f->err.text);
    assert_int_equal(batch->rows, ROWS);
    if (tern_onnx_engine.infer(&f->model, f->instance, &batch->run, &f->err) != TERN_OK)
        fail_msg("%s", f->err.text);
    tern_batch_scatter(batch, TERN_OK, NULL);
    tern_batch_pool_close(pool);
}

static void assert_same(const char *path, bool exact)
{
    for (uint32_t k = 0; k < WORKS; k++) {
        assert_int_equal(clients[k].work.code, TERN_OK);
        for (uint32_t i = 0; i < clients[k].work.run.n_outputs; i++) {
            const struct tern_tensor *a = &clients[k].alone[i], *b = &clients[k].outputs[i];
            if (a->dtype != b->dtype || !tern_shape_eq(&a->shape, &b->shape) ||
                a->n_bytes != b->n_bytes || (exact && memcmp(a->data, b->data, a->n_bytes) != 0))
                fail_msg("%s: output %u of client %u differs", path, i, k);
        }
        tern_arena_fini(&clients[k].arena);
    }
}

/* Other values than those of the proof. */
static void try_values(struct fixture *f, const char *path, uint64_t seed, bool exact)
{
    const struct tern_trial_values values = {
        .seed = seed, .inner = 1 + (int64_t)(seed % 5), .below = 2, .negative = true};
    struct tern_arena arena;
    struct tern_trial_rows rows;

    tern_arena_init(&arena, 4096, 64 << 20);
    assert_int_equal(tern_trial_rows_make(f->model.inputs, f->model.n_inputs, &values, ROWS, &arena,
                                          &rows, NULL),
                     TERN_OK);
    init_clients(f, &rows, &arena);
    run_alone(f);
    run_joined(f);
    assert_same(path, exact);
    tern_arena_fini(&arena);
}

static enum tern_batchable_verdict verdict_of(const struct fixture *f, char *text)
{
    const struct tern_batchable_subject subject = {.engine = &f->model,
                                                   .instance = f->instance,
                                                   .inputs = f->model.inputs,
                                                   .outputs = f->model.outputs,
                                                   .run_ns = 1,
                                                   .budget_ns = (uint64_t)600 * 1000000000,
                                                   .max_rows = 64};
    struct tern_batchable proof;

    tern_batchable_prove(&subject, &proof);
    memcpy(text, proof.text, TERN_BATCHABLE_TEXT);
    return proof.verdict;
}

static void models_that_declare_no_batches(void **state)
{
    static const char *const paths[] = {
        DATA "add_sub.onnx",
        DATA "gather.onnx",
        DATA "unnamed.onnx",
        DATA "identity_bytes.onnx",
        DATA "identity_bool.onnx",
        DATA "identity_fp16.onnx",
        DATA "identity_bf16.onnx",
        DATA "identity_uint64.onnx",
        "examples/models/breast_cancer/1/model.onnx",
        "examples/models/diabetes/1/model.onnx",
        "examples/models/digits_mlp/1/model.onnx",
        "examples/models/iris/1/model.onnx",
    };
    char text[TERN_BATCHABLE_TEXT];

    NEEDS_LIBRARY();
    for (size_t i = 0; i < TERN_COUNT_OF(paths); i++) {
        struct fixture f;
        open_model(&f, paths[i]);
        enum tern_batchable_verdict verdict = verdict_of(&f, text);
        if (verdict == TERN_BATCHABLE_NO)
            fail_msg("%s: %s", paths[i], text);
        for (uint64_t seed = 1000; seed < 1010; seed++)
            try_values(&f, paths[i], seed, verdict == TERN_BATCHABLE_EXACT);
        close_model(&f);
    }
}

static void models_without_batches(void **state)
{
    static const struct {
        const char *path, *text;
    } models[] = {
        {DATA "transpose.onnx", "output 'y' of 2 rows has shape"},
        {DATA "static.onnx", "the first dimension of input 'x' is not free"},
        {DATA "nonzero.onnx", "the first dimension of output 'y' is not free"},
        {DATA "doubled_named.onnx", "output 'y' of 1 rows has shape"},
    };
    char text[TERN_BATCHABLE_TEXT];

    NEEDS_LIBRARY();
    for (size_t i = 0; i < TERN_COUNT_OF(models); i++) {
        struct fixture f;
        open_model(&f, models[i].path);
        if (verdict_of(&f, text) != TERN_BATCHABLE_NO || strstr(text, models[i].text) == NULL)
            fail_msg("%s: %s", models[i].path, text);
        close_model(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_that_declare_no_batches),
        cmocka_unit_test(models_without_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
