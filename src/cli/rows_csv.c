/* Rows as CSV: columns to features. */
#include <math.h>
#include "base/num.h"
#include "cli/rows_int.h"
#include "cli/values.h"
#include "wire/csv.h"

#define TENSOR_ALIGN 64

/* Where a column goes. */
struct column {
    uint32_t input; /* UINT32_MAX: nowhere */
    size_t feature;
    bool label;
};

struct csv_rows {
    struct tern_rows_reader *reader;
    struct tern_csv csv;
    struct column *columns;
    size_t n_rows;    /* in the file */
    size_t *features; /* of one row of each input */
    struct tern_tensor *inputs;
    struct tern_buf *texts; /* one an input, for strings */
    bool header;
};

static bool is_label_name(struct tern_str name)
{
    return tern_str_eq_nocase(name, TERN_STR("label")) ||
           tern_str_eq_nocase(name, TERN_STR("target")) ||
           tern_str_eq_nocase(name, TERN_STR("class"));
}

/* Features of one row; an open dimension is whatever the columns leave when it is the only one. */
static size_t count_features(const struct tern_tensor_spec *spec, size_t columns)
{
    size_t count = 1;
    int open = 0;

    for (int i = 1; i < spec->shape.rank; i++) {
        if (spec->shape.dim[i] < 0)
            open++;
        else if (tern_num_mul(count, (size_t)spec->shape.dim[i], &count))
            return 0;
    }
    if (open == 0)
        return count;
    return open == 1 && count > 0 ? columns / count * count : 0;
}

static bool find_field(const struct csv_rows *c, struct tern_str name, uint32_t *ret)
{
    for (uint32_t k = 0; k < c->csv.n_fields; k++) {
        if (tern_str_eq(c->csv.fields[k].text, name)) {
            *ret = k;
            return true;
        }
    }
    return false;
}

/* Columns that bear the names of inputs which take one value a row. */
static bool match_names(struct csv_rows *c)
{
    const struct tern_model_info *model = c->reader->model;
    uint32_t found = 0;

    for (uint32_t i = 0; i < model->n_inputs; i++) {
        if (c->features[i] != 1)
            return false;
        uint32_t k;
        if (!find_field(c, model->inputs[i].name, &k))
            continue;
        c->columns[k] = (struct column){.input = i};
        found++;
    }
    for (uint32_t k = 0; k < c->csv.n_fields; k++)
        c->columns[k].label =
            c->columns[k].input == UINT32_MAX && is_label_name(c->csv.fields[k].text);
    return found == model->n_inputs;
}

/* Columns that bear the names of the one input's features, in any order. Some of them, but not all,
 * is a mistake: in the file's order the others would go to features that are not theirs. */
static enum tern_code match_features(struct csv_rows *c, bool *ret_found, struct tern_err *err)
{
    const struct tern_model_info *model = c->reader->model;
    const struct tern_str *missing = NULL;
    uint32_t found = 0, k = 0;

    *ret_found = false;
    if (!c->header || model->n_inputs != 1 || model->n_feature_names != c->features[0])
        return TERN_OK;
    for (uint32_t i = 0; i < model->n_feature_names; i++) {
        if (!find_field(c, model->feature_names[i], &k)) {
            missing = &model->feature_names[i];
            continue;
        }
        c->columns[k] = (struct column){.input = 0, .feature = i};
        found++;
    }
    if (found > 0 && missing != NULL)
        return tern_fail(
            err, TERN_INVALID_ARGUMENT,
            "CSV: no column '%.*s', though others are named after the model's features",
            TERN_STR_ARG(*missing));
    for (k = 0; k < c->csv.n_fields && found > 0; k++)
        c->columns[k].label =
            c->columns[k].input == UINT32_MAX && is_label_name(c->csv.fields[k].text);
    *ret_found = found > 0;
    return TERN_OK;
}

static enum tern_code fail_columns(struct csv_rows *c, size_t wanted, struct tern_err *err)
{
    const struct tern_model_info *model = c->reader->model;
    char shape[160];

    if (model->n_inputs == 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "CSV: %u columns, but input '%.*s' takes %s: %zu columns, and one called "
                         "'label' may be added",
                         c->csv.n_fields, TERN_STR_ARG(model->inputs[0].name),
                         tern_shape_print(&model->inputs[0].shape, shape, sizeof(shape)), wanted);
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "CSV: %u columns, but the model takes %zu values a row in %u inputs; name the "
                     "columns after the inputs in a first line",
                     c->csv.n_fields, wanted, model->n_inputs);
}

/* All columns in order, one input after the other, without the one that is a label. */
static enum tern_code match_order(struct csv_rows *c, struct tern_err *err)
{
    const struct tern_model_info *model = c->reader->model;
    size_t wanted = 0, feature = 0;
    uint32_t label = UINT32_MAX, input = 0;

    for (uint32_t i = 0; i < model->n_inputs; i++)
        wanted += c->features[i];
    for (uint32_t k = 0; k < c->csv.n_fields && c->header; k++) {
        if (is_label_name(c->csv.fields[k].text))
            label = k;
    }
    if (label != UINT32_MAX && c->csv.n_fields != wanted + 1)
        label = UINT32_MAX;
    if (wanted == 0 || c->csv.n_fields != wanted + (label != UINT32_MAX))
        return fail_columns(c, wanted, err);
    for (uint32_t k = 0; k < c->csv.n_fields; k++) {
        if (k == label) {
            c->columns[k] = (struct column){.input = UINT32_MAX, .label = true};
            continue;
        }
        c->columns[k] = (struct column){.input = input, .feature = feature};
        feature++;
        if (feature == c->features[input]) {
            feature = 0;
            input++;
        }
    }
    return TERN_OK;
}

/* Looks at the first record and decides where every column goes. */
static enum tern_code plan(struct csv_rows *c, struct tern_err *err)
{
    const struct tern_model_info *model = c->reader->model;
    struct tern_arena *arena = c->reader->arena;
    uint32_t n = c->csv.n_fields;

    c->columns = tern_arena_zalloc(arena, n + 1u, sizeof(*c->columns));
    c->features = tern_arena_zalloc(arena, model->n_inputs + 1, sizeof(*c->features));
    if (c->columns == NULL || c->features == NULL)
        return tern_arena_fail(arena, err, "the columns");
    for (uint32_t k = 0; k < n; k++)
        c->columns[k].input = UINT32_MAX;
    bool strings = false;
    bool labelled = false;
    for (uint32_t i = 0; i < model->n_inputs; i++)
        strings = strings || model->inputs[i].dtype == TERN_DTYPE_BYTES;
    c->header = tern_csv_is_header(&c->csv);
    for (uint32_t k = 0; k < n && c->header; k++)
        labelled = labelled || is_label_name(c->csv.fields[k].text);
    for (uint32_t i = 0; i < model->n_inputs; i++)
        c->features[i] = count_features(&model->inputs[i], n - labelled);
    if (c->header && match_names(c))
        return TERN_OK;
    bool found = false;
    TERN_TRY(match_features(c, &found, err));
    if (found)
        return TERN_OK;
    /* A first line of words is data when the model takes words. */
    if (strings)
        c->header = false;
    return match_order(c, err);
}

/* Lines that are left, so that the tensors can be made before they are read. */
static enum tern_code count_lines(struct csv_rows *c, struct tern_err *err)
{
    struct tern_csv ahead = c->csv;
    bool more = true;

    ahead.fields = NULL; /* the copy grows its own */
    ahead.cap_fields = 0;
    c->n_rows = c->header ? 0 : 1;
    for (;;) {
        TERN_TRY(tern_csv_next(&ahead, &more, err));
        if (!more)
            return TERN_OK;
        c->n_rows++;
    }
}

static enum tern_code make_inputs(struct csv_rows *c, struct tern_err *err)
{
    const struct tern_model_info *model = c->reader->model;
    struct tern_arena *arena = c->reader->arena;
    struct tern_rows *rows = c->reader->rows;

    c->inputs = tern_arena_zalloc(arena, model->n_inputs + 1, sizeof(*c->inputs));
    c->texts = tern_arena_zalloc(arena, model->n_inputs + 1, sizeof(*c->texts));
    rows->labels = tern_arena_zalloc(arena, c->n_rows + 1, sizeof(*rows->labels));
    if (c->inputs == NULL || c->texts == NULL || rows->labels == NULL)
        return tern_arena_fail(arena, err, "the rows");
    for (uint32_t i = 0; i < model->n_inputs; i++) {
        struct tern_tensor *tensor = &c->inputs[i];
        *tensor = (struct tern_tensor){
            .name = model->inputs[i].name, .dtype = model->inputs[i].dtype, .shape = {.rank = 2}};
        tensor->shape.dim[0] = (int64_t)c->n_rows;
        tensor->shape.dim[1] = (int64_t)c->features[i];
        if (model->inputs[i].shape.rank == 1)
            tensor->shape.rank = 1;
        TERN_TRY(tern_rows_fit(&model->inputs[i], &tensor->shape, err));
        tern_buf_init(&c->texts[i], TERN_ROWS_BYTES_MAX);
        if (tensor->dtype == TERN_DTYPE_BYTES)
            continue;
        TERN_TRY(
            tern_shape_bytes(tensor->name, tensor->dtype, &tensor->shape, &tensor->n_bytes, err));
        tensor->data = tern_arena_alloc(arena, TENSOR_ALIGN, tensor->n_bytes + 1);
        if (tensor->data == NULL)
            return tern_arena_fail(arena, err, "the rows");
    }
    rows->inputs = (struct tern_v2_tensors){.rows = c->inputs, .n = model->n_inputs};
    return TERN_OK;
}

/* Whole numbers go by integers, which keep digits that a double would lose. Nothing is a missing
 * value, as pandas writes one. */
static bool store(struct tern_tensor *tensor, size_t i, struct tern_str text)
{
    bool special = tern_value_is_float(tensor->dtype);
    int64_t whole;
    double v;

    if (tensor->dtype == TERN_DTYPE_INT64 && tern_num_parse_i64(text, &whole)) {
        memcpy((char *)tensor->data + i * sizeof(whole), &whole, sizeof(whole));
        return true;
    }
    if (tensor->dtype == TERN_DTYPE_BOOL &&
        (tern_str_eq_nocase(text, TERN_STR("true")) || tern_str_eq_nocase(text, TERN_STR("false"))))
        return tern_value_set(TERN_DTYPE_BOOL, tensor->data, i, text.n == 4);
    if (special && text.n == 0)
        return tern_value_set(tensor->dtype, tensor->data, i, (double)NAN);
    return tern_csv_number(text, special, &v) && tern_value_set(tensor->dtype, tensor->data, i, v);
}

static enum tern_code read_field(struct csv_rows *c, size_t row, uint32_t k, struct tern_err *err)
{
    const struct column *column = &c->columns[k];
    struct tern_str text = c->csv.fields[k].text;

    if (column->label) {
        struct tern_str copy = tern_arena_copy(c->reader->arena, text);
        tern_rows_set_label(&c->reader->rows->labels[row], copy);
        c->reader->rows->n_labels = row + 1;
    }
    if (column->input == UINT32_MAX)
        return TERN_OK;
    struct tern_tensor *tensor = &c->inputs[column->input];
    if (tensor->dtype == TERN_DTYPE_BYTES) {
        uint32_t n = (uint32_t)text.n;
        tern_buf_add(&c->texts[column->input], &n, sizeof(n));
        tern_buf_add_str(&c->texts[column->input], text);
        return TERN_OK;
    }
    if (store(tensor, row * c->features[column->input] + column->feature, text))
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "CSV line %u, column %u: '%.*s' is no %s for input '%.*s'", c->csv.line, k + 1,
                     TERN_STR_ARG(text), tern_dtype_name(tensor->dtype),
                     TERN_STR_ARG(tensor->name));
}

static enum tern_code read_lines(struct csv_rows *c, struct tern_err *err)
{
    bool more = true;
    size_t row = 0;

    if (c->header)
        TERN_TRY(tern_csv_next(&c->csv, &more, err));
    while (more && row < c->n_rows) {
        for (uint32_t k = 0; k < c->csv.n_fields; k++)
            TERN_TRY(read_field(c, row, k, err));
        row++;
        TERN_TRY(tern_csv_next(&c->csv, &more, err));
    }
    return TERN_OK;
}

/* Strings move from their buffers into the arena. */
static enum tern_code close_strings(struct csv_rows *c, struct tern_err *err)
{
    for (uint32_t i = 0; i < c->reader->rows->inputs.n; i++) {
        struct tern_tensor *tensor = &c->inputs[i];
        if (tensor->dtype != TERN_DTYPE_BYTES)
            continue;
        TERN_TRY(tern_buf_check(&c->texts[i], "the strings", err));
        struct tern_str copy = tern_arena_copy(c->reader->arena, tern_buf_str(&c->texts[i]));
        tensor->data = tern_arena_alloc(c->reader->arena, TENSOR_ALIGN, copy.n + 1);
        if (tensor->data == NULL)
            return tern_arena_fail(c->reader->arena, err, "the strings");
        if (copy.n > 0)
            memcpy(tensor->data, copy.p, copy.n);
        tensor->n_bytes = copy.n;
    }
    return TERN_OK;
}

enum tern_code tern_rows_read_csv(struct tern_rows_reader *reader, struct tern_str text,
                                  struct tern_err *err)
{
    struct csv_rows c = {.reader = reader};
    bool more = false;

    if (!tern_str_is_utf8(text))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "this is neither NPY, JSON nor CSV text in UTF-8");
    tern_csv_init(&c.csv, text, tern_csv_guess_separator(text), reader->arena);
    TERN_TRY(tern_csv_next(&c.csv, &more, err));
    if (!more)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "CSV: there is no line in it");
    TERN_TRY(plan(&c, err));
    TERN_TRY(count_lines(&c, err));
    if (c.n_rows == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "CSV: only a line of names, no row");
    enum tern_code code = make_inputs(&c, err);
    if (code == TERN_OK)
        code = read_lines(&c, err);
    if (code == TERN_OK)
        code = close_strings(&c, err);
    for (uint32_t i = 0; c.texts != NULL && i < reader->model->n_inputs; i++)
        tern_buf_fini(&c.texts[i]);
    return code;
}
