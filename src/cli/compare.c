#include "cli/compare.h"

#include <math.h>
#include "cli/values.h"

struct compare {
    struct tern_comparison *result;
    struct tern_arena *arena;
    size_t rows;
    double tolerance;
};

static void note(struct compare *c, struct tern_str output, size_t row, struct tern_str text)
{
    struct tern_comparison *result = c->result;

    if (result->bad != NULL && row < c->rows) {
        result->bad_rows += !result->bad[row];
        result->bad[row] = true;
    } else {
        result->bad_rows++;
    }
    if (result->n_shown < TERN_DIFFERENCES_SHOWN)
        result->shown[result->n_shown++] =
            (struct tern_difference){.output = output, .row = row, .text = text};
}

static bool is_right(struct compare *c, const struct tern_tensor *answer,
                     const struct tern_tensor *recorded, size_t i)
{
    if (!tern_value_is_float(answer->dtype)) {
        size_t size = tern_dtype_size(answer->dtype);
        return memcmp((const char *)answer->data + i * size,
                      (const char *)recorded->data + i * size, size) == 0;
    }
    double a = tern_value_get(answer, i), r = tern_value_get(recorded, i);
    if (a == r || (isnan(a) && isnan(r))) /* infinities have no distance, NaN no equal */
        return true;
    double scale = fabs(r) > 1 ? fabs(r) : 1;
    double off = fabs(a - r) / scale;
    if (!(off <= c->tolerance)) /* also when one of them is NaN */
        return false;
    c->result->largest = off > c->result->largest ? off : c->result->largest;
    return true;
}

static void note_value(struct compare *c, const struct tern_tensor *answer,
                       const struct tern_tensor *recorded, size_t i, size_t row)
{
    struct tern_buf text;

    tern_buf_init(&text, 4096);
    tern_value_print(answer, i, &text);
    TERN_BUF_ADD_LITERAL(&text, ", recorded ");
    tern_value_print(recorded, i, &text);
    note(c, recorded->name, row, tern_arena_copy(c->arena, tern_buf_str(&text)));
    tern_buf_fini(&text);
}

static void compare_strings(struct compare *c, const struct tern_tensor *answer,
                            const struct tern_tensor *recorded, size_t count)
{
    size_t row_size = tern_value_row_size(&recorded->shape);
    size_t at_a = 0, at_r = 0;
    struct tern_str a, r;

    for (size_t i = 0; i < count; i++) {
        bool has_a = tern_tensor_next_bytes(answer, &at_a, &a);
        bool has_r = tern_tensor_next_bytes(recorded, &at_r, &r);
        if (!has_a || !has_r || !tern_str_eq(a, r))
            note_value(c, answer, recorded, i, i / row_size);
    }
}

static void compare_tensor(struct compare *c, const struct tern_tensor *answer,
                           const struct tern_tensor *recorded)
{
    size_t row_size = tern_value_row_size(&recorded->shape);
    char got[160], wanted[160];
    size_t count;

    if (answer->dtype != recorded->dtype || !tern_shape_eq(&answer->shape, &recorded->shape) ||
        !tern_shape_count(&recorded->shape, &count)) {
        note(c, recorded->name, SIZE_MAX,
             tern_arena_printf(c->arena, "%s %s, recorded %s %s", tern_dtype_name(answer->dtype),
                               tern_shape_print(&answer->shape, got, sizeof(got)),
                               tern_dtype_name(recorded->dtype),
                               tern_shape_print(&recorded->shape, wanted, sizeof(wanted))));
        return;
    }
    if (answer->dtype == TERN_DTYPE_BYTES) {
        compare_strings(c, answer, recorded, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_right(c, answer, recorded, i))
            note_value(c, answer, recorded, i, i / row_size);
    }
}

enum tern_code tern_compare(const struct tern_v2_tensors *answers,
                            const struct tern_v2_tensors *recorded, size_t rows, double tolerance,
                            struct tern_arena *arena, struct tern_comparison *ret,
                            struct tern_err *err)
{
    struct compare c = {.result = ret, .arena = arena, .rows = rows, .tolerance = tolerance};

    *ret = (struct tern_comparison){.done = recorded->n > 0};
    ret->bad = tern_arena_zalloc(arena, rows + 1, sizeof(*ret->bad));
    if (ret->bad == NULL)
        return tern_arena_fail(arena, err, "the comparison");
    for (uint32_t i = 0; i < recorded->n; i++) {
        const struct tern_tensor *answer = NULL;
        for (uint32_t k = 0; k < answers->n; k++) {
            if (tern_str_eq(answers->rows[k].name, recorded->rows[i].name))
                answer = &answers->rows[k];
        }
        if (answer == NULL)
            note(&c, recorded->rows[i].name, SIZE_MAX, TERN_STR("missing in the answer"));
        else
            compare_tensor(&c, answer, &recorded->rows[i]);
    }
    return TERN_OK;
}

void tern_difference_print(const struct tern_difference *difference, struct tern_buf *out)
{
    if (difference->row != SIZE_MAX)
        tern_buf_printf(out, "row %zu, ", difference->row + 1);
    tern_buf_printf(out, "%.*s: %.*s", TERN_STR_ARG(difference->output),
                    TERN_STR_ARG(difference->text));
}
