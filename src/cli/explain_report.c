/* Explanations for people: a waterfall from the base value to the prediction. And as JSON. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/num.h"
#include "cli/explain.h"
#include "cli/table.h"
#include "cli/values.h"

#define BAR_WIDTH 40
#define TEXT_MAX  160

/* ---- what is shown ---- */

struct bar {
    uint32_t feature;
    double value;
};

static int by_size(const void *a, const void *b)
{
    const struct bar *x = a, *y = b;
    double fx = fabs(x->value), fy = fabs(y->value);

    if (fx != fy)
        return fx < fy ? 1 : -1;
    return x->feature < y->feature ? -1 : 1;
}

static double value_at(const struct tern_explain_answer *answer, uint32_t row, uint32_t output,
                       uint32_t feature)
{
    return answer
        ->values[((size_t)row * answer->n_outputs + output) * answer->n_features + feature];
}

/* Whether an output, "margin[setosa]", is called that, or is of the class of that name. */
static bool is_called(struct tern_str output, struct tern_str wanted)
{
    return tern_str_eq(output, wanted) ||
           (output.n > wanted.n + 1 && output.p[output.n - 1] == ']' &&
            output.p[output.n - wanted.n - 2] == '[' &&
            tern_str_eq(tern_str_make(output.p + output.n - wanted.n - 1, wanted.n), wanted));
}

/* Of a row: the element that was asked for, else the largest. */
static enum tern_code choose_output(const struct tern_explain_report *report, uint32_t row,
                                    uint32_t *ret, struct tern_err *err)
{
    const struct tern_explain_answer *answer = report->answer;
    struct tern_str wanted = report->options->class_;
    const double *scores =
        answer->predictions == NULL ? NULL : answer->predictions + (size_t)row * answer->n_outputs;
    uint64_t at;

    *ret = 0;
    for (uint32_t k = 1; wanted.n == 0 && scores != NULL && k < answer->n_outputs; k++) {
        if (scores[k] > scores[*ret])
            *ret = k;
    }
    if (wanted.n == 0)
        return TERN_OK;
    for (uint32_t k = 0; k < answer->n_outputs; k++) {
        if (is_called(answer->outputs[k], wanted)) {
            *ret = k;
            return TERN_OK;
        }
    }
    if (!tern_num_parse_u64(wanted, UINT32_MAX, &at) || at >= answer->n_outputs)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "--class %.*s: expected a number from 0 to %u, or a class",
                         TERN_STR_ARG(wanted), answer->n_outputs - 1);
    *ret = (uint32_t)at;
    return TERN_OK;
}

/* "petal length = 1.4" */
static void name_feature(const struct tern_explain_report *report, uint32_t row, uint32_t feature,
                         char dst[TEXT_MAX])
{
    const struct tern_v2_tensors *inputs = &report->rows->inputs;
    struct tern_str name = report->answer->features[feature];
    uint32_t first = 0;
    struct tern_buf text;

    tern_buf_init(&text, TEXT_MAX - 1);
    tern_buf_add_str(&text, name.n < TEXT_MAX / 2 ? name : tern_str_make(name.p, TEXT_MAX / 2));
    for (uint32_t spec = 0; spec < report->info->n_inputs; spec++) {
        struct tern_str wanted = report->info->inputs[spec].name;
        for (uint32_t i = 0; i < inputs->n; i++) {
            const struct tern_tensor *tensor = &inputs->rows[i];
            size_t n = tern_value_row_size(&tensor->shape);
            if (!tern_str_eq(tensor->name, wanted))
                continue;
            if (row != UINT32_MAX && feature >= first && feature - first < n) {
                TERN_BUF_ADD_LITERAL(&text, " = ");
                tern_value_print(tensor, (size_t)row * n + feature - first, &text);
            }
            first += (uint32_t)n;
        }
    }
    size_t n = text.n < TEXT_MAX - 1 ? text.n : TEXT_MAX - 1;
    if (n > 0)
        memcpy(dst, text.p, n);
    dst[n] = '\0';
    tern_buf_fini(&text);
}

/* ---- bars ---- */

struct scale {
    double low, high;
    bool blocks;
};

static unsigned place(const struct scale *scale, double value)
{
    double span = scale->high - scale->low;
    double at = span > 0 ? (value - scale->low) / span * BAR_WIDTH : 0;

    return at < 0 ? 0 : at > BAR_WIDTH ? BAR_WIDTH : (unsigned)(at + 0.5);
}

/* From one sum to the next, where both stand on the scale. */
static void draw_bar(const struct scale *scale, double from, double to, char *dst, size_t cap)
{
    unsigned a = place(scale, from), b = place(scale, to);
    unsigned left = a < b ? a : b, right = a < b ? b : a;
    const char *piece = scale->blocks ? "\xe2\x96\x88" : to >= from ? ">" : "<";
    size_t size = strlen(piece), n = 0;

    if (left == right) /* too short: a line, that it is seen where it stands */
        piece = "|";
    if (left == right)
        size = 1;
    for (unsigned i = 0; i < left && n + 1 < cap; i++)
        dst[n++] = ' ';
    for (unsigned i = left; (i < right || i == left) && n + size < cap; i++, n += size)
        memcpy(dst + n, piece, size);
    dst[n] = '\0';
}

static void widen(struct scale *scale, double value)
{
    scale->low = fmin(scale->low, value);
    scale->high = fmax(scale->high, value);
}

struct waterfall {
    struct tern_table table;
    struct scale scale;
    double sum;
};

static void add_bar(struct waterfall *fall, const char *name, double value)
{
    char bar[BAR_WIDTH * 3 + 4];
    enum tern_table_tone tone = value >= 0 ? TERN_TONE_GOOD : TERN_TONE_BAD;

    draw_bar(&fall->scale, fall->sum, fall->sum + value, bar, sizeof(bar));
    tern_table_row(&fall->table);
    tern_table_cell(&fall->table, TERN_TONE_PLAIN, "%s", name);
    tern_table_cell(&fall->table, tone, "%+.4g", value);
    tern_table_cell(&fall->table, tone, "%s", bar);
    fall->sum += value;
}

static void add_total(struct waterfall *fall, const char *name, double value)
{
    char bar[BAR_WIDTH * 3 + 4];

    draw_bar(&fall->scale, value, value, bar, sizeof(bar));
    tern_table_row(&fall->table);
    tern_table_cell(&fall->table, TERN_TONE_STRONG, "%s", name);
    tern_table_cell(&fall->table, TERN_TONE_STRONG, "%.4g", value);
    tern_table_cell(&fall->table, TERN_TONE_QUIET, "%s", bar);
}

/* ---- a row ---- */

/* The largest first; how many have a bar of their own. */
static struct bar *sort_bars(const struct tern_explain_report *report, uint32_t row,
                             uint32_t output, uint32_t *ret_shown)
{
    const struct tern_explain_answer *answer = report->answer;
    uint32_t m = answer->n_features;
    struct bar *bars = tern_arena_zalloc(report->arena, m + 1, sizeof(*bars));
    uint64_t top = report->options->top;

    if (bars == NULL)
        return NULL;
    for (uint32_t f = 0; f < m; f++)
        bars[f] = (struct bar){f, value_at(answer, row, output, f)};
    qsort(bars, m, sizeof(*bars), by_size);
    /* A single one that is left over gets a bar, too. */
    *ret_shown = top == 0 || top >= m || m - top == 1 ? m : (uint32_t)top;
    return bars;
}

static void print_bars(const struct tern_explain_report *report, struct waterfall *fall,
                       const struct bar *bars, uint32_t n, uint32_t row)
{
    char name[TEXT_MAX];
    double rest = 0;

    for (uint32_t i = n; i < report->answer->n_features; i++)
        rest += bars[i].value;
    for (uint32_t i = 0; i < n; i++) {
        name_feature(report, row, bars[i].feature, name);
        add_bar(fall, name, bars[i].value);
    }
    if (n < report->answer->n_features) {
        (void)snprintf(name, sizeof(name), "%u others", report->answer->n_features - n);
        add_bar(fall, name, rest);
    }
}

static enum tern_code print_row(const struct tern_explain_report *report, uint32_t row,
                                struct tern_buf *out, struct tern_err *err)
{
    const struct tern_explain_answer *answer = report->answer;
    bool is_global = answer->method == TERN_EXPLAIN_IMPORTANCE;
    struct waterfall fall = {.scale = {.blocks = report->colour}};
    uint32_t output, shown = 0;

    TERN_TRY(choose_output(report, row, &output, err));
    struct bar *bars = sort_bars(report, row, output, &shown);
    if (bars == NULL)
        return tern_arena_fail(report->arena, err, "the waterfall");
    double base = is_global ? 0 : answer->base[output];
    fall.sum = fall.scale.low = fall.scale.high = base;
    double sum = base;
    for (uint32_t i = 0; i < answer->n_features; i++) {
        sum = (is_global ? 0 : sum) + bars[i].value;
        if (i < shown || i + 1 == answer->n_features)
            widen(&fall.scale, sum);
    }
    tern_table_init(&fall.table, report->arena);
    tern_table_column(&fall.table, "feature", false);
    tern_table_column(&fall.table, is_global ? "moves" : "adds", true);
    tern_table_column(&fall.table, "", false);
    if (is_global) {
        tern_buf_printf(out, "%.*s: how far it moves when a feature is shuffled\n",
                        TERN_STR_ARG(answer->outputs[output]));
        for (uint32_t i = 0; i < shown; i++) {
            char name[TEXT_MAX];
            fall.sum = 0;
            name_feature(report, UINT32_MAX, bars[i].feature, name);
            add_bar(&fall, name, bars[i].value);
        }
    } else {
        double prediction = answer->predictions[(size_t)row * answer->n_outputs + output];
        tern_buf_printf(out, "row %u: %.*s = %.4g\n", row, TERN_STR_ARG(answer->outputs[output]),
                        prediction);
        add_total(&fall, "base value", base);
        print_bars(report, &fall, bars, shown, row);
        add_total(&fall, "prediction", prediction);
    }
    tern_table_print(&fall.table, 2, report->colour, out);
    tern_buf_add_char(out, '\n');
    return TERN_OK;
}

enum tern_code tern_explain_print(const struct tern_explain_report *report, struct tern_buf *out,
                                  struct tern_err *err)
{
    const struct tern_explain_answer *answer = report->answer;
    uint64_t limit = report->options->limit;
    uint32_t n = limit == 0 || limit > answer->n ? answer->n : (uint32_t)limit;
    double worst = 0;

    for (uint32_t row = 0; row < n; row++)
        TERN_TRY(print_row(report, row, out, err));
    for (uint32_t row = 0; answer->additivity != NULL && row < answer->n; row++)
        worst = fmax(worst, answer->additivity[row]);
    if (n < answer->n)
        tern_buf_printf(out, "%u more rows: --limit 0 shows all\n", answer->n - n);
    tern_buf_printf(out, "%.*s, method %s%s", TERN_STR_ARG(report->info->name),
                    tern_explain_method_name(answer->method),
                    answer->is_margin ? ", of the raw score" : "");
    if (answer->additivity != NULL)
        tern_buf_printf(out, "; values and base add up to the prediction within %.1g", worst);
    tern_buf_add_char(out, '\n');
    return TERN_OK;
}

/* ---- JSON ---- */

/* An array of the given dimensions, nested. */
static void write_array(struct tern_buf *out, const double *numbers, const size_t *dim, int rank)
{
    struct tern_tensor tensor = {.dtype = TERN_DTYPE_FP64};
    size_t n = 1, inner[4] = {1, 1, 1, 1};

    for (int i = rank - 1; i >= 0; i--)
        inner[i] = n *= dim[i];
    tensor.data = (void *)(uintptr_t)numbers; /* it is only read */
    for (size_t at = 0; at < n; at++) {
        if (at > 0)
            tern_buf_add_char(out, ',');
        for (int i = 0; i < rank; i++) {
            if (at % inner[i] == 0)
                tern_buf_add_char(out, '[');
        }
        tern_value_print(&tensor, at, out);
        for (int i = rank - 1; i >= 0; i--) {
            if ((at + 1) % inner[i] == 0)
                tern_buf_add_char(out, ']');
        }
    }
}

static void write_member(struct tern_buf *out, const char *name, const double *numbers,
                         const size_t *dim, int rank)
{
    if (numbers == NULL)
        return;
    tern_buf_printf(out, ",\n \"%s\":", name);
    write_array(out, numbers, dim, rank);
}

static void write_names(struct tern_buf *out, const char *name, const struct tern_str *rows,
                        uint32_t n)
{
    tern_buf_printf(out, ",\n \"%s\":[", name);
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            tern_buf_add_char(out, ',');
        tern_json_add_string(out, rows[i]);
    }
    tern_buf_add_char(out, ']');
}

void tern_explain_print_json(const struct tern_explain_report *report, struct tern_buf *out)
{
    const struct tern_explain_answer *a = report->answer;
    size_t n = a->n, k = a->n_outputs, m = a->n_features;
    bool is_global = a->method == TERN_EXPLAIN_IMPORTANCE;

    TERN_BUF_ADD_LITERAL(out, "{\"model\":");
    tern_json_add_string(out, report->info->name);
    tern_buf_printf(out, ",\n \"method\":\"%s\",\n \"explained\":\"%s\"",
                    tern_explain_method_name(a->method), a->is_margin ? "margin" : "output");
    write_names(out, "features", a->features, a->n_features);
    write_names(out, "outputs", a->outputs, a->n_outputs);
    write_member(out, "base_values", a->base, (size_t[]){k}, 1);
    write_member(out, "predictions", a->predictions, (size_t[]){n, k}, 2);
    if (is_global)
        write_member(out, "importances", a->values, (size_t[]){k, m}, 2);
    else
        write_member(out, "shap_values", a->values, (size_t[]){n, k, m}, 3);
    write_member(out, "deviations", a->deviations, (size_t[]){k, m}, 2);
    write_member(out, "interactions", a->interactions, (size_t[]){n, k, m, m}, 4);
    write_member(out, "additivity_error", a->additivity, (size_t[]){n}, 1);
    TERN_BUF_ADD_LITERAL(out, "}\n");
}
