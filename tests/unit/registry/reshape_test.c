/* Runs of a model whose clients see other shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "registry/reshape.h"

/* An engine that answers what it was given, and remembers the shape. */
static struct tern_shape seen, answered;
static bool emits;

static enum tern_code infer(const struct tern_engine_model *model, void *instance,
                            const struct tern_engine_run *run, struct tern_err *err)
{
    (void)model, (void)instance;
    seen = run->inputs[0].shape;
    run->outputs[0].shape = answered;
    run->outputs[0].data = run->inputs[0].data;
    return emits ? run->sink->emit(run->sink, run->outputs, 1, err) : TERN_OK;
}

static const struct tern_engine_ops ops = {.name = "echo", .infer = infer};

static struct tern_shape emitted;

static enum tern_code take(struct tern_engine_sink *self, const struct tern_tensor *outputs,
                           uint32_t n, struct tern_err *err)
{
    (void)self, (void)err;
    assert_int_equal(n, 1);
    emitted = outputs[0].shape;
    return TERN_OK;
}

struct world {
    struct tern_arena arena;
    struct tern_model_version version;
    struct tern_tensor_spec client;
    struct tern_shape model;
    struct tern_tensor input, output;
    uint32_t spec;
};

/* Clients see [-1,2,-1], the model [-1,-1,1,2]. */
static int setup(void **state)
{
    static struct world w;

    w = (struct world){.client = {.name = TERN_STR("x"), .shape = {3, {-1, 2, -1}}},
                       .model = {4, {-1, -1, 1, 2}}};
    tern_arena_init(&w.arena, 1024, 1u << 20);
    w.version.engine.ops = &ops;
    w.version.input_specs = w.version.output_specs = &w.client;
    w.version.input_shapes = w.version.output_shapes = &w.model;
    w.input.shape = (struct tern_shape){3, {5, 2, 7}};
    w.output.name = TERN_STR("x");
    answered = (struct tern_shape){4, {5, 9, 1, 2}};
    emits = false;
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    tern_arena_fini(&w->arena);
    return 0;
}

static enum tern_code run(struct world *w, struct tern_engine_sink *sink, struct tern_err *err)
{
    const struct tern_engine_run run = {.inputs = &w->input,
                                        .input_spec = &w->spec,
                                        .n_inputs = 1,
                                        .outputs = &w->output,
                                        .output_spec = &w->spec,
                                        .n_outputs = 1,
                                        .arena = &w->arena,
                                        .sink = sink};
    return tern_reshape_infer(&w->version, NULL, &run, err);
}

static void assert_shape(const struct tern_shape *shape, const char *want)
{
    char text[100];
    assert_string_equal(tern_shape_print(shape, text, sizeof(text)), want);
}

static void test_both_sides_see_their_own(void **state)
{
    struct world *w = *state;
    struct tern_err err;
    assert_int_equal(run(w, NULL, &err), TERN_OK);
    assert_shape(&seen, "[5,7,1,2]");
    assert_shape(&w->input.shape, "[5,2,7]");
    assert_shape(&w->output.shape, "[5,2,9]");
}

static void test_a_decoupled_answer_too(void **state)
{
    struct world *w = *state;
    struct tern_engine_sink sink = {.emit = take};
    struct tern_err err;
    emits = true;
    assert_int_equal(run(w, &sink, &err), TERN_OK);
    assert_shape(&emitted, "[5,2,9]");
}

static void test_only_what_has_a_reshape(void **state)
{
    struct world *w = *state;
    struct tern_err err;
    w->model.rank = -1;
    assert_int_equal(run(w, NULL, &err), TERN_OK);
    assert_shape(&seen, "[5,2,7]");
    assert_shape(&w->output.shape, "[5,9,1,2]");
    w->version.input_shapes = w->version.output_shapes = NULL;
    assert_int_equal(run(w, NULL, &err), TERN_OK);
    assert_shape(&w->output.shape, "[5,9,1,2]");
}

static void test_a_model_that_breaks_its_word(void **state)
{
    struct world *w = *state;
    struct tern_err err;
    answered = (struct tern_shape){4, {5, 9, 1, 3}};
    assert_int_equal(run(w, NULL, &err), TERN_INTERNAL);
    assert_non_null(strstr(err.text, "[5,9,1,3]"));
    tern_arena_fini(&w->arena);
    tern_arena_init(&w->arena, 64, 16); /* too little for a tensor */
    assert_int_equal(run(w, NULL, &err), TERN_RESOURCE_EXHAUSTED);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_both_sides_see_their_own),
        CASE(test_a_decoupled_answer_too),
        CASE(test_only_what_has_a_reshape),
        CASE(test_a_model_that_breaks_its_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
