#include "cli/edge_check.h"

#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/num.h"
#include "cli/edge_tools.h"
#include "engine/native/ops.h"
#include "forest/emit.h"
#include "os/outfile.h"
#include "simd/numbers.h"

#define ROWS_MAX    1000
#define NUMBERS_MAX 400000u /* of all rows: the file stays small */
#define CSV_MAX     ((size_t)64 << 20)
#define RUN_MAX     ((size_t)1 << 30)

/* ---- rows ---- */

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
static uint64_t random_u64(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double random_unit(uint64_t *state)
{
    return (double)(random_u64(state) >> 11) * 0x1p-53;
}

static const struct tern_forest *forest_of(const struct tern_program *program)
{
    for (uint32_t i = 0; i < program->n_steps; i++)
        if (tern_op_forest_of(&program->steps[i]) != NULL)
            return tern_op_forest_of(&program->steps[i]);
    return NULL;
}

static double random_value(const struct tern_forest *forest, uint32_t feature, uint64_t *state)
{
    uint64_t kind = random_u64(state) % 16;
    double cut;

    if (kind == 0)
        return (double)NAN;
    if (kind == 1)
        return 0;
    if (kind == 2)
        return (double)(random_u64(state) % 100);
    if (kind < 6 || forest == NULL || !tern_forest_cut(forest, feature, random_u64(state), &cut))
        return (random_unit(state) - 0.5) * pow(10, random_unit(state) * 4 - 1);
    if (kind < 9)
        return cut;
    return kind < 11 ? nextafterf((float)cut, kind == 9 ? -INFINITY : INFINITY)
                     : cut * (1 + (random_unit(state) - 0.5) / 4);
}

static void fill(const struct tern_edge_check *check, char *rows, uint32_t n)
{
    const struct tern_forest *forest = forest_of(check->emit->program);
    uint32_t m = check->emitted->n_features;
    uint64_t state = 1;

    for (size_t i = 0; i < (size_t)n * m; i++) {
        double v = random_value(forest, (uint32_t)(i % m), &state);
        if (check->emitted->in == TERN_DTYPE_FP32)
            ((float *)(void *)rows)[i] = (float)v;
        else
            ((double *)(void *)rows)[i] = v;
    }
}

static enum tern_code write_rows(const struct tern_edge_check *check, const char *rows, uint32_t n,
                                 const char *path, struct tern_err *err)
{
    uint32_t m = check->emitted->n_features;
    struct tern_buf csv;
    int fd = -1;

    tern_buf_init(&csv, CSV_MAX);
    for (size_t i = 0; i < (size_t)n * m; i++) {
        if (check->emitted->in == TERN_DTYPE_FP32)
            tern_buf_printf(&csv, "%.9g", (double)((const float *)(const void *)rows)[i]);
        else
            tern_buf_printf(&csv, "%.17g", ((const double *)(const void *)rows)[i]);
        tern_buf_add_char(&csv, (i + 1) % m == 0 ? '\n' : ',');
    }
    enum tern_code code = tern_buf_check(&csv, "random rows", err);
    if (code == TERN_OK)
        code = tern_outfile_open(path, &fd, err);
    if (code == TERN_OK)
        code = tern_outfile_write(fd, 0, tern_buf_str(&csv), err);
    tern_outfile_close(fd);
    tern_buf_fini(&csv);
    return code;
}

/* ---- answers ---- */

static enum tern_code answer_here(const struct tern_edge_check *check, char *rows, uint32_t n,
                                  struct tern_arena *arena, struct tern_tensor *ret,
                                  struct tern_err *err)
{
    static const uint32_t first = 0;
    const struct tern_native_emit *emit = check->emit;
    size_t size = tern_dtype_size(check->emitted->in);
    const struct tern_tensor input = {
        .dtype = check->emitted->in,
        .shape = {2, {n, check->emitted->n_features}},
        .data = rows,
        .n_bytes = (size_t)n * check->emitted->n_features * size,
    };
    const struct tern_engine_run run = {
        .inputs = &input,
        .input_spec = &first,
        .n_inputs = 1,
        .outputs = ret,
        .output_spec = &emit->output,
        .n_outputs = 1,
        .arena = arena,
    };
    *ret = (struct tern_tensor){.data = NULL};
    return tern_program_run(emit->program, &run, err);
}

/* A number of the other program's text, which has no names for NaN and infinity that the reader of
 * JSON numbers knows. */
static bool read_number(struct tern_str text, bool is_float, double *ret)
{
    bool minus = tern_str_starts(text, TERN_STR("-"));
    struct tern_str magnitude = tern_str_from(text, minus);
    size_t used = 0;
    float f = 0;

    if (tern_str_eq(magnitude, TERN_STR("nan")) || tern_str_eq(magnitude, TERN_STR("inf"))) {
        *ret = magnitude.p[0] == 'n' ? (double)NAN : minus ? -HUGE_VAL : HUGE_VAL;
        return true;
    }
    if (!is_float)
        return tern_numbers_read_double(text, ret, &used, NULL) == TERN_OK && used == text.n;
    if (tern_numbers_read_float(text, &f, &used, NULL) != TERN_OK || used != text.n)
        return false;
    *ret = (double)f;
    return true;
}

static double number_of(const struct tern_tensor *tensor, size_t i)
{
    if (tensor->dtype == TERN_DTYPE_FP32)
        return (double)((const float *)tensor->data)[i];
    if (tensor->dtype == TERN_DTYPE_FP64)
        return ((const double *)tensor->data)[i];
    return tensor->dtype == TERN_DTYPE_INT64 ? (double)((const int64_t *)tensor->data)[i]
                                             : (double)((const int32_t *)tensor->data)[i];
}

static void compare(double mine, double theirs, struct tern_edge_found *found)
{
    found->numbers++;
    if ((isnan(mine) && isnan(theirs)) || (mine == theirs && signbit(mine) == signbit(theirs))) {
        found->equal++;
        return;
    }
    double difference = isnan(mine) || isnan(theirs) ? HUGE_VAL : fabs(mine - theirs);
    double part = difference / fmax(fabs(mine), fabs(theirs));
    found->largest = fmax(found->largest, difference);
    found->largest_part = fmax(found->largest_part, part);
}

static enum tern_code compare_all(const struct tern_tensor *mine, uint32_t k, struct tern_str text,
                                  struct tern_edge_found *found, struct tern_err *err)
{
    struct tern_str line, word;
    uint32_t row = 0;

    while (row < found->rows && tern_str_split(&text, '\n', &line)) {
        for (uint32_t i = 0; i < k; i++) {
            double theirs;
            if (!tern_str_split(&line, ',', &word) ||
                !read_number(word, mine->dtype == TERN_DTYPE_FP32, &theirs))
                return tern_fail(err, TERN_INTERNAL, "the built model printed no number: '%.*s'",
                                 TERN_STR_ARG(word));
            compare(number_of(mine, (size_t)row * k + i), theirs, found);
        }
        row++;
    }
    if (row < found->rows)
        return tern_fail(err, TERN_INTERNAL, "the built model answered %u of %u rows", row,
                         found->rows);
    return TERN_OK;
}

/* ---- the other program ---- */

static enum tern_code call(const struct tern_edge_check *check, const char *argument,
                           struct tern_str *ret, struct tern_err *err)
{
    struct tern_str log = tern_arena_printf(check->arena, "%s/printed", check->folder);
    struct tern_edge_command command = {.n = 0};

    if (log.p == NULL)
        return tern_arena_fail(check->arena, err, "a path");
    if (check->emulator != NULL)
        tern_edge_word(&command, check->emulator);
    tern_edge_word(&command, check->program);
    tern_edge_word(&command, argument);
    return tern_edge_call(&command, log.p, check->arena, ret, err);
}

/* "p50_ns=120 ...": the value of a key. */
static uint64_t value_of(struct tern_str text, struct tern_str key)
{
    struct tern_str word;
    uint64_t value = 0;

    text.n = tern_str_find(text, '\n');
    while (tern_str_split(&text, ' ', &word))
        if (tern_str_starts(word, key) &&
            tern_num_parse_u64(tern_str_from(word, key.n), UINT64_MAX, &value))
            return value;
    return 0;
}

static enum tern_code compare_rows(const struct tern_edge_check *check, char *rows,
                                   struct tern_edge_found *found, struct tern_err *err)
{
    struct tern_str path = tern_arena_printf(check->arena, "%s/rows.csv", check->folder), printed;
    struct tern_tensor mine;
    struct tern_arena arena;

    if (path.p == NULL)
        return tern_arena_fail(check->arena, err, "a path");
    fill(check, rows, found->rows);
    TERN_TRY(write_rows(check, rows, found->rows, path.p, err));
    TERN_TRY(call(check, path.p, &printed, err));
    tern_arena_init(&arena, 1u << 16, RUN_MAX);
    enum tern_code code = answer_here(check, rows, found->rows, &arena, &mine, err);
    if (code == TERN_OK)
        code = compare_all(&mine, check->emitted->n_outputs, printed, found, err);
    tern_arena_fini(&arena);
    return code;
}

enum tern_code tern_edge_check(const struct tern_edge_check *check, struct tern_edge_found *ret,
                               struct tern_err *err)
{
    uint32_t most = NUMBERS_MAX / check->emitted->n_features + 1;
    struct tern_edge_found found = {.rows = most < ROWS_MAX ? most : ROWS_MAX};
    size_t size = (size_t)found.rows * check->emitted->n_features * sizeof(double);
    char *rows = tern_mem_alloc(size);
    struct tern_str printed;

    if (rows == NULL)
        return tern_mem_fail(err, "random rows", size);
    enum tern_code code = compare_rows(check, rows, &found, err);
    tern_mem_free(rows);
    TERN_TRY(code);
    TERN_TRY(call(check, "--bench", &printed, err));
    found.p50_ns = value_of(printed, TERN_STR("p50_ns="));
    found.p99_ns = value_of(printed, TERN_STR("p99_ns="));
    found.rss_bytes = value_of(printed, TERN_STR("rss_kb=")) << 10;
    *ret = found;
    return TERN_OK;
}
