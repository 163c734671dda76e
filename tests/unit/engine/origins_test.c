/* Which features the columns that a model reads are made of, through operators of every reach. */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include "engine/native/origins.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "engine/native/ops/ops.h"
#include "harness/mem_fails.h"

#define NONE TERN_ORIGIN_NONE

struct rig {
    struct tern_arena arena;
    struct tern_program program;
};

/* ---- operators ---- */

static enum tern_code never(const struct tern_step *step, struct tern_program_run *run,
                            struct tern_err *err)
{
    (void)step;
    (void)run;
    return tern_fail(err, TERN_INTERNAL, "nothing is computed");
}

/* Columns or rows in the other order. */
static enum tern_code turn(const struct tern_step *step, struct tern_program_run *run,
                           bool turns_rows, struct tern_err *err)
{
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t n = (size_t)x->shape.dim[0], m = (size_t)x->shape.dim[1];
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &x->shape, &out, err));
    assert_int_equal(x->dtype, TERN_DTYPE_INT64);
    assert_int_equal(out->dtype, TERN_DTYPE_INT64);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < m; k++)
            ((int64_t *)out->data)[i * m + k] =
                ((const int64_t *)
                     x->data)[(turns_rows ? n - 1 - i : i) * m + (turns_rows ? k : m - 1 - k)];
    }
    return TERN_OK;
}

static enum tern_code turn_columns(const struct tern_step *step, struct tern_program_run *run,
                                   struct tern_err *err)
{
    return turn(step, run, false, err);
}

static enum tern_code turn_rows(const struct tern_step *step, struct tern_program_run *run,
                                struct tern_err *err)
{
    return turn(step, run, true, err);
}

/* Two inputs next to each other; a constant is one row for all. */
static enum tern_code join(const struct tern_step *step, struct tern_program_run *run,
                           struct tern_err *err)
{
    const struct tern_tensor *a = tern_step_in(step, run, 0), *b = tern_step_in(step, run, 1);
    size_t n = (size_t)a->shape.dim[0], p = (size_t)a->shape.dim[1], q = (size_t)b->shape.dim[1];
    struct tern_shape shape = {2, {(int64_t)n, (int64_t)(p + q)}};
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    for (size_t i = 0; i < n; i++) {
        int64_t *to = (int64_t *)out->data + i * (p + q);
        memcpy(to, (const int64_t *)a->data + i * p, p * sizeof(*to));
        memcpy(to + p, (const int64_t *)b->data + (b->shape.dim[0] == 1 ? 0 : i * q),
               q * sizeof(*to));
    }
    return TERN_OK;
}

static size_t two(const void *state)
{
    (void)state;
    return 2;
}

/* The last dimension joins the one before. */
static enum tern_code flatten(const struct tern_step *step, struct tern_program_run *run,
                              struct tern_err *err)
{
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_shape shape = {2, {x->shape.dim[0], x->shape.dim[1] * x->shape.dim[2]}};

    (void)err;
    tern_step_pass(step, run, 0, x, &shape);
    return TERN_OK;
}

static const struct tern_operator each = {.run = never, .reach = TERN_REACH_ELEMENT},
                                  rows = {.run = never, .reach = TERN_REACH_ROW},
                                  any = {.run = never, .reach = TERN_REACH_ANY},
                                  moved = {.run = turn_columns, .reach = TERN_REACH_MOVED},
                                  mixed = {.run = turn_rows, .reach = TERN_REACH_MOVED},
                                  flat = {.run = flatten, .reach = TERN_REACH_MOVED},
                                  joined = {.run = join, .reach = TERN_REACH_JOINED},
                                  spread = {.run = never, .reach = TERN_REACH_SPREAD, .width = two};

/* ---- programs ---- */

static uint32_t input(struct rig *rig, int64_t rows_of, int64_t width)
{
    const struct tern_tensor_spec spec = {
        .name = TERN_STR("x"), .dtype = TERN_DTYPE_FP32, .shape = {2, {rows_of, width}}};
    uint32_t value = 0;

    assert_int_equal(tern_program_input(&rig->program, &spec, &value, NULL), TERN_OK);
    return value;
}

static uint32_t constant(struct rig *rig, int64_t width)
{
    static double numbers[4] = {7, 7, 7, 7};
    const struct tern_tensor tensor = {.dtype = TERN_DTYPE_FP64,
                                       .shape = {2, {1, width}},
                                       .data = numbers,
                                       .n_bytes = (size_t)width * sizeof(double)};
    uint32_t value = 0;

    assert_int_equal(tern_program_constant(&rig->program, &tensor, &value, NULL), TERN_OK);
    return value;
}

static uint32_t step(struct rig *rig, const struct tern_operator *op, uint32_t a, uint32_t b)
{
    uint32_t in[] = {a, b}, out = 0;

    assert_int_equal(tern_program_made(&rig->program, TERN_STR(""), TERN_DTYPE_FP32, &out, NULL),
                     TERN_OK);
    assert_int_equal(
        tern_program_step(&rig->program, op, NULL, in, b == TERN_VALUE_NONE ? 1 : 2, &out, 1, NULL),
        TERN_OK);
    return out;
}

static uint32_t model(struct rig *rig, uint32_t value, uint32_t n)
{
    static const float weights[8];
    const struct tern_linear linear = {
        .weights = weights, .n_features = n, .n_outputs = 1, .dtype = TERN_DTYPE_FP32};

    assert_int_equal(tern_op_linear(&rig->program, &linear, &value, NULL), TERN_OK);
    return value;
}

static void output(struct rig *rig, uint32_t value)
{
    const struct tern_tensor_spec spec = {
        .name = TERN_STR("y"), .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, -1}}};

    assert_int_equal(tern_program_output(&rig->program, &spec, value, NULL), TERN_OK);
}

static void begin(struct rig *rig)
{
    tern_arena_init(&rig->arena, 4096, 1u << 20);
    tern_program_begin(&rig->program, &rig->arena);
}

/* n columns made of these features; 0: there is nothing exact. */
static void expect(struct rig *rig, const uint32_t *features, uint32_t n)
{
    const struct tern_origins *origins = NULL;

    assert_int_equal(tern_program_finish(&rig->program, NULL), TERN_OK);
    assert_int_equal(tern_origins_find(&rig->program, &rig->arena, &origins, NULL), TERN_OK);
    if (n == 0)
        assert_null(origins);
    else
        assert_int_equal(origins->n_columns, n);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(origins->features[i], features[i]);
    tern_arena_fini(&rig->arena);
}

static void columns_are_followed(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig);
    uint32_t x = input(&rig, -1, 3), y = input(&rig, -1, 1), value;
    value = step(&rig, &each, x, constant(&rig, 3)); /* scaled */
    value = step(&rig, &moved, value, TERN_VALUE_NONE);
    value = step(&rig, &each, value, value);                                         /* squared */
    y = step(&rig, &flat, step(&rig, &spread, y, TERN_VALUE_NONE), TERN_VALUE_NONE); /* one-hot */
    value = step(&rig, &joined, value, y);
    value = step(&rig, &joined, value, constant(&rig, 1));
    uint32_t unused = step(&rig, &any, x, TERN_VALUE_NONE);
    value = model(&rig, value, 6);
    output(&rig, step(&rig, &any, value, constant(&rig, 1)));
    output(&rig, step(&rig, &rows, value, TERN_VALUE_NONE));
    expect(&rig, (const uint32_t[]){2, 1, 0, 3, 3, NONE}, 6);
    (void)unused;
}

static void steps_before_the_model_are_marked(void **state)
{
    const struct tern_origins *origins = NULL;
    struct rig rig;

    (void)state;
    begin(&rig);
    uint32_t x = input(&rig, -1, 3), value = step(&rig, &each, x, TERN_VALUE_NONE);
    (void)step(&rig, &any, x, TERN_VALUE_NONE);
    value = step(&rig, &moved, value, TERN_VALUE_NONE);
    value = model(&rig, value, 3);
    output(&rig, step(&rig, &any, value, TERN_VALUE_NONE));
    assert_int_equal(tern_program_finish(&rig.program, NULL), TERN_OK);
    assert_int_equal(tern_origins_find(&rig.program, &rig.arena, &origins, NULL), TERN_OK);
    assert_memory_equal(origins->steps, ((const bool[]){true, false, true, false, false}), 5);
    tern_arena_fini(&rig.arena);
}

/* Each breaks what would be followed. */
static void what_is_mixed_is_not(void **state)
{
    (void)state;
    for (int fault = 0; fault < 11; fault++) {
        struct rig rig;
        begin(&rig);
        uint32_t x = input(&rig, fault == 0 ? 1 : -1, fault == 1 ? -1 : 2), value = x;
        if (fault == 2) /* a sum of two features */
            value = step(&rig, &each, x, step(&rig, &moved, x, TERN_VALUE_NONE));
        if (fault == 3)
            value = step(&rig, &any, x, TERN_VALUE_NONE);
        if (fault == 4) /* divided by the row's length */
            value = step(&rig, &rows, x, TERN_VALUE_NONE);
        if (fault == 5)
            value = step(&rig, &mixed, x, TERN_VALUE_NONE);
        value = model(&rig, value, 2);
        if (fault == 6) /* past the model */
            value = step(&rig, &any, value, x);
        if (fault == 7) /* a second model */
            value = step(&rig, &any, value, model(&rig, x, 2));
        if (fault == 10) /* the last layer of a net */
            value = model(&rig, step(&rig, &each, value, TERN_VALUE_NONE), 1);
        if (fault == 9) /* the scores are not the model's */
            value = model(&rig, value, 1);
        if (fault == 8) /* the features themselves */
            output(&rig, step(&rig, &each, x, TERN_VALUE_NONE));
        output(&rig, value);
        expect(&rig, NULL, 0);
    }
}

static void no_memory_is_an_error(void **state)
{
    bool failed = false;

    (void)state;
    for (long nth = 0;; nth++) {
        const struct tern_origins *origins = NULL;
        struct rig rig;
        begin(&rig);
        uint32_t value = input(&rig, -1, 3);
        value = step(&rig, &joined, value, constant(&rig, 2));
        output(&rig, model(&rig, value, 5));
        assert_int_equal(tern_program_finish(&rig.program, NULL), TERN_OK);
        mem_calls = 0;
        mem_fail_at = nth;
        enum tern_code code = tern_origins_find(&rig.program, &rig.arena, &origins, NULL);
        mem_fail_at = -1;
        tern_arena_fini(&rig.arena);
        if (code == TERN_OK && origins != NULL)
            break;
        failed = true; /* or it found nothing */
    }
    assert_true(failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_followed),
        cmocka_unit_test(steps_before_the_model_are_marked),
        cmocka_unit_test(what_is_mixed_is_not),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
