/* Several works as one run: what goes in, what comes back. */
// covers: sched/batch_gather sched/batch_scatter
#include "batch_fixture.h"

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

/* The run makes what any of them wants, and each gets what it wants of it. */
static void test_different_outputs(void **state)
{
    static const uint32_t only_t[] = {T, T};
    struct tern_batch_pool *pool = new_pool();

    (void)state;
    init_clients(4, 1);
    clients[0].work.run.n_outputs = 1; /* Y */
    init_client(1, 2, forward, only_t);
    clients[1].work.run.n_outputs = 1;
    clients[3].work.run.n_outputs = 0;
    struct tern_batch *batch = gathered(pool, 4);
    assert_int_equal(batch->run.n_outputs, 2);
    assert_int_equal(batch->run.output_spec[0], Y);
    assert_int_equal(batch->run.output_spec[1], T);
    assert_true(tern_str_eq(batch->run.outputs[1].name, TERN_STR("T")));
    assert_int_equal(run_model(&batch->run, NULL), TERN_OK);
    tern_batch_scatter(batch, TERN_OK, NULL);
    for (uint32_t k = 0; k < 4; k++)
        assert_answered(&clients[k]);
    fini_clients(4);
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
    clients[1].work.run.n_inputs = 1;
    assert_refused(TERN_INTERNAL, "and with 1, do not go");
}

static void test_refused_by_name(void **state)
{
    static const uint32_t other[] = {0, 5}, twice[] = {0, 0};
    struct tern_engine_sink sink = {.emit = NULL};

    (void)state;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_passes_through), cmocka_unit_test(test_many),
        cmocka_unit_test(test_different_outputs),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_by_name),    cmocka_unit_test(test_wrong_outputs),
        cmocka_unit_test(test_a_failed_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
