/* Random forests of every kind, written as C, compiled, run, and compared with the forest itself;
 * what has no such form is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "cli/build_edge.h"
#include "engine/native/ops/ops.h"
#include "harness/forest_rig.h"
#include "os/scratch.h"

#define ARENA_MAX  ((size_t)1 << 28)
#define SOURCE_MAX ((size_t)64 << 20)

static const struct {
    const char *name;
    struct forest_rig_shape shape;
} cases[] = {
    {"no node at all",
     {.n_trees = 3, .n_leaves = 1, .n_features = 2, .n_outputs = 2, .n_cuts = 9, .is_float = true}},
    {"all tests, missing both ways, doubles",
     {.n_trees = 20,
      .n_leaves = 31,
      .n_features = 9,
      .n_outputs = 3,
      .n_cuts = 40,
      .tests = true,
      .missing = true}},
    {"thousands of cuts, vectors",
     {.n_trees = 30,
      .n_leaves = 200,
      .n_features = 3,
      .n_outputs = 2,
      .is_float = true,
      .vector = true,
      .missing = true}},
    {"average",
     {.n_trees = 7,
      .n_leaves = 300,
      .n_features = 8,
      .n_outputs = 1,
      .n_cuts = 100,
      .is_float = true,
      .combine = TERN_FOREST_AVERAGE}},
    {"maximum",
     {.n_trees = 7,
      .n_leaves = 9,
      .n_features = 8,
      .n_outputs = 2,
      .n_cuts = 100,
      .tests = true,
      .combine = TERN_FOREST_MAX}},
};

/* A program of a forest and a link, over rows of n features. */
static void make_program(struct tern_program *program, struct tern_arena *arena,
                         struct tern_forest *forest)
{
    struct tern_forest_info info = tern_forest_info(forest);
    struct tern_tensor_spec spec = {.name = TERN_STR("rows"),
                                    .dtype = info.float_sum ? TERN_DTYPE_FP32 : TERN_DTYPE_FP64,
                                    .shape = {2, {-1, info.n_features}}};
    struct tern_err err;
    uint32_t value;

    tern_program_begin(program, arena);
    assert_int_equal(tern_program_input(program, &spec, &value, &err), TERN_OK);
    assert_int_equal(tern_op_forest(program, forest, &value, &err), TERN_OK);
    assert_int_equal(tern_op_link(program, TERN_LINK_SQUARE, 1, &value, &err), TERN_OK);
    spec.name = TERN_STR("answers");
    spec.shape.dim[1] = info.n_outputs;
    assert_int_equal(tern_program_output(program, &spec, value, &err), TERN_OK);
    assert_int_equal(tern_program_finish(program, &err), TERN_OK);
}

struct bench {
    struct tern_build_edge_options options;
    struct tern_build_edge build;
    struct tern_arena arena;
    struct tern_program program;
};

static void begin(struct bench *bench)
{
    *bench = (struct bench){.options = {.rows = 64}};
    tern_arena_init(&bench->arena, 1u << 16, ARENA_MAX);
    bench->build = (struct tern_build_edge){
        .options = &bench->options,
        .arena = &bench->arena,
        .emit = {.program = &bench->program,
                 .name = "random_forest",
                 .title = TERN_STR("random \"forest\"?\?/\n"),
                 .version = 3,
                 .rows = 64,
                 .arena = &bench->arena},
    };
    tern_buf_init(&bench->build.source, SOURCE_MAX);
    tern_buf_init(&bench->build.header, 1u << 16);
}

static void end(struct bench *bench)
{
    tern_buf_fini(&bench->build.source);
    tern_buf_fini(&bench->build.header);
    tern_arena_fini(&bench->arena);
}

static void compile_and_check(struct bench *bench, const char *name)
{
    struct tern_build_edge *build = &bench->build;
    struct tern_err err = {.code = TERN_OK};
    char *folder;

    assert_int_equal(tern_build_edge_find_cc(build, &err), TERN_OK);
    assert_int_equal(tern_native_ports(&build->emit, &build->emitted, &err), TERN_OK);
    assert_int_equal(tern_edge_rows_make(&build->emit, &build->emitted, 1000, &build->rows, &err),
                     TERN_OK);
    build->emit.samples = build->rows.inputs;
    build->emit.n_samples = build->rows.n;
    if (tern_native_emit(&build->emit, &build->emitted, &build->source, &build->header, &err) !=
        TERN_OK)
        fail_msg("%s: %s", name, err.text);
    assert_int_equal(tern_scratch_new(&folder, &err), TERN_OK);
    build->folder = folder;
    if (tern_build_edge_compile(build, &err) != TERN_OK)
        fail_msg("%s: %s", name, err.text);
    const struct tern_edge_check check = {.emitted = &build->emitted,
                                          .rows = &build->rows,
                                          .program = build->program,
                                          .folder = folder,
                                          .arena = &bench->arena};
    if (tern_edge_check(&check, &build->found, &err) != TERN_OK)
        fail_msg("%s: %s", name, err.text);
    tern_scratch_free(folder);
}

static void forests_answer_the_same_when_compiled(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(cases); i++) {
        struct tern_err err = {.code = TERN_OK};
        struct forest_rig rig;
        struct bench bench;

        forest_rig_make(&rig, &cases[i].shape, i + 1, &err);
        assert_non_null(rig.forest);
        begin(&bench);
        make_program(&bench.program, &bench.arena, rig.forest);
        rig.forest = NULL; /* the arena's now */
        compile_and_check(&bench, cases[i].name);
        const struct tern_edge_found *found = &bench.build.found;
        if (found->numbers != (uint64_t)found->rows * cases[i].shape.n_outputs ||
            found->equal != found->numbers)
            fail_msg("%s: %zu of %zu numbers are equal", cases[i].name, (size_t)found->equal,
                     (size_t)found->numbers);
        end(&bench);
        forest_rig_free(&rig);
    }
}

static enum tern_code run_nothing(const struct tern_step *step, struct tern_program_run *run,
                                  struct tern_err *err)
{
    const struct tern_tensor *in = tern_step_in(step, run, 0);

    (void)err;
    tern_step_pass(step, run, 0, in, &in->shape);
    return TERN_OK;
}

static void what_has_no_form_is_named(void **state)
{
    static const struct tern_operator op = {.name = "Nothing", .run = run_nothing};
    static const struct {
        enum tern_dtype dtype;
        int64_t features;
        const char *says;
    } rows[] = {
        {TERN_DTYPE_FP32, 4, "the operator Nothing has no form outside of the server"},
        {TERN_DTYPE_FP16, 4, "input 'rows' is FP16, expected FP32, FP64, INT32, INT64 or BYTES"},
        {TERN_DTYPE_FP32, -1, "input 'rows' has no fixed number of features a row"},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_tensor_spec spec = {
            .name = TERN_STR("rows"), .dtype = rows[i].dtype, .shape = {2, {-1, rows[i].features}}};
        struct tern_err err = {.code = TERN_OK};
        struct bench bench;
        uint32_t value;

        begin(&bench);
        tern_program_begin(&bench.program, &bench.arena);
        assert_int_equal(tern_program_input(&bench.program, &spec, &value, &err), TERN_OK);
        assert_int_equal(tern_program_then(&bench.program, &op, NULL, rows[i].dtype, &value, &err),
                         TERN_OK);
        assert_int_equal(tern_program_output(&bench.program, &spec, value, &err), TERN_OK);
        assert_int_equal(tern_program_finish(&bench.program, &err), TERN_OK);
        enum tern_code code = tern_native_ports(&bench.build.emit, &bench.build.emitted, &err);
        if (code == TERN_OK)
            code = tern_native_emit(&bench.build.emit, &bench.build.emitted, &bench.build.source,
                                    &bench.build.header, &err);
        assert_int_equal(code, TERN_UNIMPLEMENTED);
        assert_string_equal(err.text, rows[i].says);
        end(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forests_answer_the_same_when_compiled),
        cmocka_unit_test(what_has_no_form_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
