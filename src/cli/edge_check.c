#include "cli/edge_check.h"

#include <math.h>
#include <stdlib.h>
#include "base/num.h"
#include "cli/edge_tools.h"
#include "core/value.h"
#include "os/outfile.h"
#include "simd/numbers.h"

#define CSV_MAX ((size_t)64 << 20)

/* ---- answers ---- */

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

static void compare(double mine, double theirs, double typical, struct tern_edge_found *found)
{
    found->numbers++;
    if ((isnan(mine) && isnan(theirs)) || (mine == theirs && signbit(mine) == signbit(theirs))) {
        found->equal++;
        return;
    }
    double difference = isnan(mine) || isnan(theirs) ? HUGE_VAL : fabs(mine - theirs);
    double part = difference / fmax(typical, fmax(fabs(mine), fabs(theirs)));
    found->largest = fmax(found->largest, difference);
    found->largest_part = fmax(found->largest_part, part);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The median of the sizes of all answers: a number that is near zero because others cancel each
 * other is not to be more exact than those. */
static enum tern_code find_typical(const struct tern_edge_check *check, double *ret,
                                   struct tern_err *err)
{
    uint32_t k = check->emitted->output.n;
    double *sizes = tern_arena_zalloc(check->arena, (size_t)check->rows->n * k + 1, sizeof(*sizes));
    size_t n = 0;

    if (sizes == NULL)
        return tern_arena_fail(check->arena, err, "answers");
    for (uint32_t i = 0; i < check->rows->n; i++) {
        for (uint32_t c = 0; check->emitted->output.dtype != TERN_DTYPE_BYTES && c < k; c++) {
            double size = fabs(tern_value_get(&check->rows->answers[i], c));
            if (isfinite(size))
                sizes[n++] = size;
        }
    }
    qsort(sizes, n, sizeof(*sizes), by_size);
    *ret = n == 0 ? 0 : sizes[n / 2];
    return TERN_OK;
}

/* Texts are as the program prints them. */
static void compare_texts(const struct tern_tensor *mine, uint32_t k, struct tern_str line,
                          struct tern_edge_found *found)
{
    struct tern_str text;
    struct tern_buf out;
    size_t at = 0;

    tern_buf_init(&out, CSV_MAX);
    for (uint32_t i = 0; i < k && tern_tensor_next_bytes(mine, &at, &text); i++) {
        if (i > 0)
            tern_buf_add_char(&out, ',');
        tern_edge_rows_print_text(&out, text);
    }
    found->numbers += k;
    if (tern_str_eq(tern_buf_str(&out), line))
        found->equal += k;
    else
        found->largest = found->largest_part = HUGE_VAL;
    tern_buf_fini(&out);
}

static enum tern_code compare_numbers(const struct tern_tensor *mine, uint32_t k,
                                      struct tern_str line, double typical,
                                      struct tern_edge_found *found, struct tern_err *err)
{
    struct tern_str word;

    for (uint32_t i = 0; i < k; i++) {
        double theirs;
        if (!tern_str_split(&line, ',', &word) ||
            !read_number(word, mine->dtype == TERN_DTYPE_FP32, &theirs))
            return tern_fail(err, TERN_INTERNAL, "the built model printed no number: '%.*s'",
                             TERN_STR_ARG(word));
        compare(tern_value_get(mine, i), theirs, typical, found);
    }
    return TERN_OK;
}

static enum tern_code compare_all(const struct tern_edge_check *check, struct tern_str text,
                                  struct tern_edge_found *found, struct tern_err *err)
{
    uint32_t k = check->emitted->output.n, row = 0;
    struct tern_str line;
    double typical = 0;

    TERN_TRY(find_typical(check, &typical, err));
    while (row < found->rows && tern_str_split(&text, '\n', &line)) {
        const struct tern_tensor *mine = &check->rows->answers[row++];
        if (mine->dtype == TERN_DTYPE_BYTES)
            compare_texts(mine, k, line, found);
        else
            TERN_TRY(compare_numbers(mine, k, line, typical, found, err));
    }
    if (row < found->rows)
        return tern_fail(err, TERN_INTERNAL, "the built model answered %u of %u rows", row,
                         found->rows);
    return TERN_OK;
}

/* ---- the other program ---- */

static enum tern_code call(const struct tern_edge_check *check, const char *option,
                           const char *path, struct tern_str *ret, struct tern_err *err)
{
    struct tern_str log = tern_arena_printf(check->arena, "%s/printed", check->folder);
    struct tern_edge_command command = {.n = 0};

    if (log.p == NULL)
        return tern_arena_fail(check->arena, err, "a path");
    if (check->emulator != NULL)
        tern_edge_word(&command, check->emulator);
    tern_edge_word(&command, check->program);
    if (option != NULL)
        tern_edge_word(&command, option);
    tern_edge_word(&command, path);
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

static enum tern_code write_rows(const struct tern_edge_rows *rows, const char *path,
                                 struct tern_err *err)
{
    struct tern_buf csv;
    int fd = -1;

    tern_buf_init(&csv, CSV_MAX);
    tern_edge_rows_print(rows, &csv);
    enum tern_code code = tern_buf_check(&csv, "random rows", err);
    if (code == TERN_OK)
        code = tern_outfile_open(path, &fd, err);
    if (code == TERN_OK)
        code = tern_outfile_write(fd, 0, tern_buf_str(&csv), err);
    tern_outfile_close(fd);
    tern_buf_fini(&csv);
    return code;
}

enum tern_code tern_edge_check(const struct tern_edge_check *check, struct tern_edge_found *ret,
                               struct tern_err *err)
{
    struct tern_str path = tern_arena_printf(check->arena, "%s/rows.csv", check->folder), printed;
    struct tern_edge_found found = {.rows = check->rows->n};

    if (path.p == NULL)
        return tern_arena_fail(check->arena, err, "a path");
    TERN_TRY(write_rows(check->rows, path.p, err));
    TERN_TRY(call(check, NULL, path.p, &printed, err));
    TERN_TRY(compare_all(check, printed, &found, err));
    TERN_TRY(call(check, "--bench", path.p, &printed, err));
    found.p50_ns = value_of(printed, TERN_STR("p50_ns="));
    found.p99_ns = value_of(printed, TERN_STR("p99_ns="));
    found.rss_bytes = value_of(printed, TERN_STR("rss_kb=")) << 10;
    *ret = found;
    return TERN_OK;
}
