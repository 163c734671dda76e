/* What makes two runs go together, one thing at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "sched/batch_bucket.h"

/* Two inputs and two outputs; the second input may be ragged. */
struct request {
    struct tern_engine_run run;
    struct tern_tensor inputs[2], outputs[2];
    uint32_t input_spec[2], output_spec[2];
    struct tern_param param;
    struct tern_params params;
};

static bool ragged[2];
static struct tern_engine_ops ops;
static struct tern_scheduling scheduling;
static struct tern_model_version version;
static struct request a, b;

static void init_request(struct request *r)
{
    *r = (struct request){
        .inputs = {{.dtype = TERN_DTYPE_FP32, .shape = {2, {3, 4}}},
                   {.dtype = TERN_DTYPE_INT64, .shape = {3, {3, 5, 6}}}},
        .input_spec = {0, 1},
        .output_spec = {0, 1},
        .param = {.key = TERN_STR("beam"), .kind = TERN_PARAM_INT64, .int64 = 4},
        .params = {.n = 1},
        .run = {.n_inputs = 2, .n_outputs = 2},
    };
    r->params.rows = &r->param;
    r->run.inputs = r->inputs;
    r->run.input_spec = r->input_spec;
    r->run.outputs = r->outputs;
    r->run.output_spec = r->output_spec;
    r->run.params = &r->params;
}

static int setup(void **state)
{
    (void)state;
    memset(ragged, 0, sizeof(ragged));
    ops = (struct tern_engine_ops){.reads_params = true};
    scheduling = (struct tern_scheduling){.batching = TERN_BATCHING_ADAPTIVE, .max_rows = 8};
    version = (struct tern_model_version){.scheduling = &scheduling, .engine = {.ops = &ops}};
    init_request(&a);
    init_request(&b);
    return 0;
}

static void assert_together(void)
{
    assert_true(tern_batch_bucket(&version, &a.run) != 0);
    assert_true(tern_batch_bucket(&version, &a.run) == tern_batch_bucket(&version, &b.run));
}

static void assert_apart(void)
{
    assert_true(tern_batch_bucket(&version, &a.run) != 0);
    assert_true(tern_batch_bucket(&version, &b.run) != 0);
    assert_true(tern_batch_bucket(&version, &a.run) != tern_batch_bucket(&version, &b.run));
}

static void assert_alone(void)
{
    assert_true(tern_batch_bucket(&version, &b.run) == 0);
}

static void test_rows_do_not_matter(void **state)
{
    (void)state;
    assert_together();
    b.inputs[0].shape.dim[0] = b.inputs[1].shape.dim[0] = 1;
    assert_together();
}

static void test_order_does_not_matter(void **state)
{
    struct tern_tensor first = b.inputs[0];

    (void)state;
    b.inputs[0] = b.inputs[1];
    b.inputs[1] = first;
    b.input_spec[0] = b.output_spec[0] = 1;
    b.input_spec[1] = b.output_spec[1] = 0;
    assert_together();
    b.input_spec[0] = 0; /* now each has the other's shape */
    b.input_spec[1] = 1;
    assert_apart();
}

static void test_shapes_matter(void **state)
{
    (void)state;
    b.inputs[0].shape.dim[1] = 5;
    assert_apart();
    init_request(&b);
    b.inputs[1].shape = (struct tern_shape){3, {3, 6, 5}};
    assert_apart();
    init_request(&b);
    b.inputs[0].shape = (struct tern_shape){3, {3, 4, 1}};
    assert_apart();
    init_request(&b);
    b.inputs[0].dtype = TERN_DTYPE_INT32;
    assert_apart();
}

static void test_of_a_ragged_input_only_the_rank_matters(void **state)
{
    (void)state;
    ragged[1] = true;
    b.inputs[1].shape = (struct tern_shape){3, {3, 60, 50}};
    assert_apart(); /* nobody said it was ragged yet */
    scheduling.ragged = ragged;
    assert_together();
    b.inputs[1].shape.rank = 2;
    assert_apart();
    init_request(&b);
    b.inputs[0].shape.dim[1] = 5;
    assert_apart();
}

static void test_presence_matters(void **state)
{
    (void)state;
    b.run.n_inputs = 1;
    assert_apart();
    init_request(&b);
    b.run.n_outputs = 1;
    assert_apart();
    b.run.n_outputs = a.run.n_outputs = 0;
    assert_together();
    init_request(&a);
    a.run.n_outputs = b.run.n_outputs = 1;
    a.output_spec[0] = 64;
    b.output_spec[0] = 0;
    assert_apart();
}

static void test_outputs_do_not_part_what_is_configured(void **state)
{
    (void)state;
    scheduling.batching = TERN_BATCHING_CONFIGURED;
    b.run.n_outputs = 1;
    assert_together();
    b.run.n_outputs = 2;
    b.output_spec[1] = b.output_spec[0]; /* twice the same one */
    assert_alone();
}

static void assert_param_apart(struct tern_param param)
{
    init_request(&b);
    b.param = param;
    assert_apart();
    a.param = b.param;
    assert_together();
    init_request(&a);
}

static void test_parameters_matter_where_they_are_read(void **state)
{
    (void)state;
    assert_param_apart(
        (struct tern_param){.key = TERN_STR("beam"), .kind = TERN_PARAM_INT64, .int64 = 5});
    assert_param_apart((struct tern_param){
        .key = TERN_STR("beam"), .kind = TERN_PARAM_UINT64, .uint64 = UINT64_MAX});
    assert_param_apart(
        (struct tern_param){.key = TERN_STR("team"), .kind = TERN_PARAM_INT64, .int64 = 4});
    assert_param_apart(
        (struct tern_param){.key = TERN_STR("beam"), .kind = TERN_PARAM_DOUBLE, .real = 4});
    assert_param_apart((struct tern_param){
        .key = TERN_STR("beam"), .kind = TERN_PARAM_STRING, .string = TERN_STR("4")});
    assert_param_apart(
        (struct tern_param){.key = TERN_STR("beam"), .kind = TERN_PARAM_BOOL, .boolean = true});
    b.run.params = NULL;
    assert_apart();
    ops.reads_params = false;
    assert_together();
}

static void test_what_goes_alone(void **state)
{
    struct tern_engine_sink sink = {.emit = NULL};

    (void)state;
    b.run.sink = &sink;
    assert_alone();
    init_request(&b);
    b.output_spec[1] = 0;
    assert_alone();
    b.output_spec[1] = TERN_TENSORS_MAX;
    assert_alone();
    init_request(&b);
    b.inputs[1].shape.dim[0] = 2;
    assert_alone();
    init_request(&b);
    b.inputs[1].shape.rank = 0;
    assert_alone();
    init_request(&b);
    b.inputs[0].shape.dim[0] = b.inputs[1].shape.dim[0] = 0;
    assert_alone();
    init_request(&b);
    b.run.n_inputs = 0;
    assert_alone();
}

static void test_versions_without_batches(void **state)
{
    (void)state;
    scheduling.max_rows = 1;
    assert_alone();
    scheduling.max_rows = 2;
    scheduling.batching = TERN_BATCHING_NONE;
    assert_alone();
    version.scheduling = NULL;
    assert_alone();
}

/* The same request has another bucket in another version: what collides is not known outside. */
static void test_the_key(void **state)
{
    struct tern_model_version other = version;

    (void)state;
    assert_true(tern_batch_bucket(&version, &a.run) != tern_batch_bucket(&other, &a.run));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rows_do_not_matter, setup),
        cmocka_unit_test_setup(test_order_does_not_matter, setup),
        cmocka_unit_test_setup(test_shapes_matter, setup),
        cmocka_unit_test_setup(test_of_a_ragged_input_only_the_rank_matters, setup),
        cmocka_unit_test_setup(test_presence_matters, setup),
        cmocka_unit_test_setup(test_outputs_do_not_part_what_is_configured, setup),
        cmocka_unit_test_setup(test_parameters_matter_where_they_are_read, setup),
        cmocka_unit_test_setup(test_what_goes_alone, setup),
        cmocka_unit_test_setup(test_versions_without_batches, setup),
        cmocka_unit_test_setup(test_the_key, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
