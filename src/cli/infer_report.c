/* Answers as a person wants to see them: a class by its name and how sure the model is of it, a
 * value as a number, anything else as the start of its numbers; beside it the truth, if known. */
#include <inttypes.h>
#include <math.h>
#include "cli/infer.h"
#include "cli/table.h"
#include "cli/values.h"
#include "wire/csv.h"

#define VALUES_SHOWN 6 /* of an output that is neither a class nor one value */

/* How the outputs are read. */
struct reading {
    const struct tern_tensor *label;  /* one whole number or string a row; may be NULL */
    const struct tern_tensor *scores; /* probabilities of classes; may be NULL */
    const struct tern_tensor *value;  /* one real number a row; may be NULL */
};

static bool has_rows(const struct tern_tensor *tensor, size_t rows)
{
    return tensor->shape.rank > 0 && tern_value_rows(&tensor->shape) == rows && rows > 0;
}

/* Whether the numbers of each row are probabilities: within [0, 1], one together. */
static bool are_probabilities(const struct tern_tensor *tensor, size_t rows)
{
    size_t n = tern_value_row_size(&tensor->shape);

    if (n < 2 || !tern_value_is_float(tensor->dtype))
        return false;
    for (size_t row = 0; row < rows; row++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            double v = tern_value_get(tensor, row * n + i);
            if (!(v >= -1e-6 && v <= 1 + 1e-6))
                return false;
            sum += v;
        }
        if (fabs(sum - 1) > 1e-3)
            return false;
    }
    return true;
}

static struct reading read_outputs(const struct tern_infer_report *report)
{
    const struct tern_v2_tensors *outputs = &report->answer->outputs;
    size_t rows = report->rows->n;
    struct reading reading = {NULL, NULL, NULL};

    for (uint32_t i = 0; i < outputs->n; i++) {
        const struct tern_tensor *tensor = &outputs->rows[i];
        if (!has_rows(tensor, rows))
            continue;
        bool single = tern_value_row_size(&tensor->shape) == 1;
        if (single && reading.label == NULL &&
            (tern_value_is_integer(tensor->dtype) || tensor->dtype == TERN_DTYPE_BYTES))
            reading.label = tensor;
        else if (single && reading.value == NULL && tern_value_is_float(tensor->dtype))
            reading.value = tensor;
        else if (reading.scores == NULL && are_probabilities(tensor, rows))
            reading.scores = tensor;
    }
    if (reading.label != NULL || reading.scores != NULL)
        reading.value = NULL;
    return reading;
}

/* ---- classes ---- */

/* Of a class by its place among all. scores: those of the classes, which the model's file may name;
 * or NULL. */
static struct tern_str class_name(const struct tern_infer_report *report,
                                  const struct tern_tensor *scores, double number)
{
    const struct tern_model_info *info = &report->model->info;
    const struct tern_tensor_spec *spec =
        scores == NULL ? NULL : tern_model_output(info, scores->name);
    const struct tern_str *names = report->rows->label_names;
    size_t n = report->rows->n_label_names;

    if (n == 0) {
        names = report->model->labels.rows;
        n = report->model->labels.n;
    }
    if (n == 0 && spec != NULL) {
        names = spec->labels.rows;
        n = spec->labels.n;
    }
    if (number >= 0 && number < (double)n && number == floor(number))
        return names[(size_t)number];
    return tern_str_make(NULL, 0);
}

static size_t best_class(const struct tern_tensor *scores, size_t row)
{
    size_t n = tern_value_row_size(&scores->shape);
    size_t best = 0;

    for (size_t i = 1; i < n; i++) {
        if (tern_value_get(scores, row * n + i) > tern_value_get(scores, row * n + best))
            best = i;
    }
    return best;
}

/* The predicted class: its number (NaN when it is a string) and its text. */
static struct tern_str predicted(const struct tern_infer_report *report,
                                 const struct reading *reading, size_t row, double *ret_number)
{
    const struct tern_tensor *label = reading->label;

    *ret_number = NAN;
    if (label != NULL && label->dtype == TERN_DTYPE_BYTES)
        return tern_value_string(label, row);
    *ret_number =
        label != NULL ? tern_value_get(label, row) : (double)best_class(reading->scores, row);
    struct tern_str name = class_name(report, label == NULL ? reading->scores : NULL, *ret_number);
    if (label == NULL && name.n > 0) /* classes that are called 5 and 7 are no 0 and 1 */
        (void)tern_csv_number(name, false, ret_number);
    return name.n > 0 ? name : tern_arena_printf(report->arena, "%.0f", *ret_number);
}

/* A label is a class's number or its name. */
static bool is_class(const struct tern_rows_label *label, struct tern_str name, double number)
{
    return label->number == number || tern_str_eq(label->text, name);
}

/* ---- the table ---- */

static void add_number(const struct tern_infer_report *report, struct tern_table *table,
                       enum tern_table_tone tone, const struct tern_tensor *tensor, size_t i)
{
    struct tern_buf text;

    (void)report;
    tern_buf_init(&text, 1u << 16);
    tern_value_print(tensor, i, &text);
    tern_table_cell(table, tone, "%.*s", TERN_STR_ARG(tern_buf_str(&text)));
    tern_buf_fini(&text);
}

static void add_start(struct tern_table *table, const struct tern_tensor *tensor, size_t row)
{
    size_t n = tern_value_row_size(&tensor->shape);
    struct tern_buf text;

    tern_buf_init(&text, 1u << 16);
    for (size_t i = 0; i < n && i < VALUES_SHOWN; i++) {
        if (i > 0)
            TERN_BUF_ADD_LITERAL(&text, ", ");
        tern_value_print(tensor, row * n + i, &text);
    }
    tern_table_cell(table, TERN_TONE_PLAIN, "%.*s%s", TERN_STR_ARG(tern_buf_str(&text)),
                    n > VALUES_SHOWN ? ", ..." : "");
    tern_buf_fini(&text);
}

static void add_label(const struct tern_infer_report *report, struct tern_table *table,
                      const struct tern_rows_label *label, bool right)
{
    struct tern_str name = class_name(report, NULL, label->number);

    tern_table_cell(table, TERN_TONE_PLAIN, "%.*s",
                    TERN_STR_ARG(name.n > 0 && !report->rows->regression ? name : label->text));
    tern_table_cell(table, right ? TERN_TONE_GOOD : TERN_TONE_BAD, "%s", right ? "" : "wrong");
}

static void add_class_row(const struct tern_infer_report *report, const struct reading *reading,
                          struct tern_table *table, size_t row)
{
    double number;
    struct tern_str name = predicted(report, reading, row, &number);
    const struct tern_rows *rows = report->rows;
    bool right = rows->n_labels == 0 || is_class(&rows->labels[row], name, number);

    tern_table_cell(table, right ? TERN_TONE_STRONG : TERN_TONE_BAD, "%.*s", TERN_STR_ARG(name));
    if (reading->scores != NULL) {
        size_t n = tern_value_row_size(&reading->scores->shape);
        double best = tern_value_get(reading->scores, row * n + best_class(reading->scores, row));
        tern_table_cell(table, TERN_TONE_PLAIN, "%.3f", best);
    }
    if (rows->n_labels > 0)
        add_label(report, table, &rows->labels[row], right);
}

static void add_other_row(const struct tern_infer_report *report, struct tern_table *table,
                          size_t row)
{
    const struct tern_v2_tensors *outputs = &report->answer->outputs;

    for (uint32_t i = 0; i < outputs->n; i++) {
        const struct tern_tensor *tensor = &outputs->rows[i];
        if (!has_rows(tensor, report->rows->n))
            tern_table_cell(table, TERN_TONE_QUIET, "%s", "(not by row)");
        else if (tern_value_row_size(&tensor->shape) == 1)
            add_number(report, table, TERN_TONE_STRONG, tensor, row);
        else
            add_start(table, tensor, row);
    }
    if (report->rows->n_labels > 0)
        tern_table_cell(table, TERN_TONE_PLAIN, "%.*s",
                        TERN_STR_ARG(report->rows->labels[row].text));
}

void tern_infer_print_table(const struct tern_infer_report *report, struct tern_buf *out)
{
    const struct tern_v2_tensors *outputs = &report->answer->outputs;
    const struct reading reading = read_outputs(report);
    bool classes = reading.label != NULL || reading.scores != NULL;
    size_t rows = report->rows->n, shown = rows;
    struct tern_table table;

    if (report->options->limit > 0 && report->options->limit < rows)
        shown = (size_t)report->options->limit;
    tern_table_init(&table, report->arena);
    tern_table_column(&table, "row", true);
    if (classes) {
        tern_table_column(&table, "prediction", false);
        if (reading.scores != NULL)
            tern_table_column(&table, "probability", true);
    }
    for (uint32_t i = 0; i < outputs->n && !classes; i++) {
        const char *name = tern_arena_copy(report->arena, outputs->rows[i].name).p;
        tern_table_column(&table, name == NULL ? "" : name,
                          tern_value_row_size(&outputs->rows[i].shape) == 1);
    }
    if (report->rows->n_labels > 0) {
        tern_table_column(&table, "label", !classes);
        tern_table_column(&table, "", false);
    }
    for (size_t row = 0; row < shown; row++) {
        tern_table_row(&table);
        tern_table_cell(&table, TERN_TONE_QUIET, "%zu", row + 1);
        if (classes)
            add_class_row(report, &reading, &table, row);
        else
            add_other_row(report, &table, row);
    }
    tern_table_print(&table, 0, report->colour, out);
    if (shown < rows)
        tern_buf_printf(out, "%s... %zu more rows (--limit 0 shows all)%s\n",
                        tern_table_begin(TERN_TONE_QUIET, report->colour), rows - shown,
                        tern_table_end(TERN_TONE_QUIET, report->colour));
}

/* ---- the summary ---- */

static void print_accuracy(const struct tern_infer_report *report, const struct reading *reading,
                           struct tern_buf *out)
{
    const struct tern_rows *rows = report->rows;
    size_t right = 0;
    double number;

    for (size_t row = 0; row < rows->n; row++) {
        struct tern_str name = predicted(report, reading, row, &number);
        right += is_class(&rows->labels[row], name, number);
    }
    tern_buf_printf(out, "accuracy %.3f (%zu of %zu right)\n", (double)right / (double)rows->n,
                    right, rows->n);
}

/* 1 - SS_res / SS_tot, and the mean absolute error. */
static void print_regression(const struct tern_infer_report *report, const struct reading *reading,
                             struct tern_buf *out)
{
    const struct tern_rows *rows = report->rows;
    double mean = 0, residual = 0, total = 0, absolute = 0;
    double n = (double)rows->n;

    for (size_t row = 0; row < rows->n; row++)
        mean += rows->labels[row].number / n;
    for (size_t row = 0; row < rows->n; row++) {
        double truth = rows->labels[row].number;
        double off = tern_value_get(reading->value, row) - truth;
        residual += off * off;
        absolute += fabs(off) / n;
        total += (truth - mean) * (truth - mean);
    }
    if (isnan(residual) || isnan(total))
        return; /* a label that is no number */
    if (total > 0)
        tern_buf_printf(out, "R2 %.3f, ", 1 - residual / total);
    tern_buf_printf(out, "mean absolute error %.4g\n", absolute);
}

static void print_comparison(const struct tern_infer_report *report, struct tern_buf *out)
{
    const struct tern_comparison *c = report->comparison;
    enum tern_table_tone tone = c->bad_rows == 0 ? TERN_TONE_GOOD : TERN_TONE_BAD;

    tern_buf_add_str(out, tern_str_of(tern_table_begin(tone, report->colour)));
    if (c->bad_rows == 0)
        tern_buf_printf(out,
                        "every answer equals the recorded one (largest difference %.2g, "
                        "allowed %g)",
                        c->largest, report->rows->tolerance);
    else
        tern_buf_printf(out, "%zu of %zu rows differ from the recorded answers (allowed %g)",
                        c->bad_rows, report->rows->n, report->rows->tolerance);
    tern_buf_add_str(out, tern_str_of(tern_table_end(tone, report->colour)));
    tern_buf_add_char(out, '\n');
    for (uint32_t i = 0; i < c->n_shown; i++) {
        tern_buf_printf(out, "  ");
        tern_difference_print(&c->shown[i], out);
        tern_buf_add_char(out, '\n');
    }
}

void tern_infer_print_summary(const struct tern_infer_report *report, struct tern_buf *out)
{
    const struct reading reading = read_outputs(report);
    const struct tern_rows *rows = report->rows;

    tern_buf_printf(out, "%.*s version %.*s, %zu row%s in %.1f ms\n",
                    TERN_STR_ARG(report->answer->model), TERN_STR_ARG(report->answer->version),
                    rows->n, rows->n == 1 ? "" : "s", (double)report->took_ns / 1e6);
    if (rows->n_labels > 0 && !rows->regression &&
        (reading.label != NULL || reading.scores != NULL))
        print_accuracy(report, &reading, out);
    else if (rows->n_labels > 0 && reading.value != NULL)
        print_regression(report, &reading, out);
    if (report->comparison->done)
        print_comparison(report, out);
}
