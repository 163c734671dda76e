#include "cli/rows.h"

#include <math.h>
#include "base/mem.h"
#include "cli/rows_int.h"
#include "cli/values.h"
#include "os/file.h"
#include "simd/numbers.h"
#include "wire/csv.h"
#include "wire/npy.h"

#define TENSOR_ALIGN 64

static size_t features_of(const struct tern_shape *shape, int from)
{
    struct tern_shape rest = {.rank = shape->rank - from};
    size_t count;

    for (int i = 0; i < rest.rank; i++)
        rest.dim[i] = shape->dim[i + from];
    return tern_shape_count(&rest, &count) ? count : 0;
}

enum tern_code tern_rows_fit(const struct tern_tensor_spec *spec, struct tern_shape *shape,
                             struct tern_err *err)
{
    const struct tern_shape *want = &spec->shape;
    struct tern_shape row = *shape;
    char wanted[160], got[160];

    if (tern_shape_fits(want, shape))
        return TERN_OK;
    if (shape->rank + 1 == want->rank) { /* a single row */
        row.rank = want->rank;
        row.dim[0] = 1;
        memcpy(row.dim + 1, shape->dim, (size_t)shape->rank * sizeof(row.dim[0]));
        if (tern_shape_fits(want, &row)) {
            *shape = row;
            return TERN_OK;
        }
    }
    size_t features = want->rank > 1 ? features_of(want, 1) : 0;
    if (features > 0 && shape->rank >= 2 && features_of(shape, 1) == features) { /* flat rows */
        row = *want;
        row.dim[0] = shape->dim[0];
        if (tern_shape_fits(want, &row)) {
            *shape = row;
            return TERN_OK;
        }
    }
    return tern_fail(
        err, TERN_INVALID_ARGUMENT, "input '%.*s' takes %s %s; the data has the shape %s",
        TERN_STR_ARG(spec->name), tern_dtype_name(spec->dtype),
        tern_shape_print(want, wanted, sizeof(wanted)), tern_shape_print(shape, got, sizeof(got)));
}

enum tern_code tern_rows_only_input(const struct tern_rows_reader *reader, const char *form,
                                    const struct tern_tensor_spec **ret, struct tern_err *err)
{
    const struct tern_model_info *model = reader->model;

    if (model->n_inputs == 1) {
        *ret = &model->inputs[0];
        return TERN_OK;
    }
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "%s is for models with one input, and '%.*s' has %u; give "
                     "{\"inputs\": [...]} with each by its name",
                     form, TERN_STR_ARG(model->name), model->n_inputs);
}

enum tern_code tern_rows_set_input(struct tern_rows_reader *reader,
                                   const struct tern_tensor *tensor, struct tern_err *err)
{
    struct tern_tensor *rows = tern_arena_zalloc(reader->arena, 1, sizeof(*rows));

    if (rows == NULL)
        return tern_arena_fail(reader->arena, err, "the rows");
    *rows = *tensor;
    reader->rows->inputs = (struct tern_v2_tensors){.rows = rows, .n = 1};
    return TERN_OK;
}

void tern_rows_set_label(struct tern_rows_label *label, struct tern_str text)
{
    label->text = text;
    if (!tern_csv_number(text, false, &label->number))
        label->number = NAN;
}

/* ---- NPY ---- */

/* Value by value into the model's type. */
static enum tern_code convert(const struct tern_tensor *from, struct tern_tensor *to,
                              struct tern_arena *arena, struct tern_err *err)
{
    size_t count;

    TERN_TRY(tern_shape_bytes(to->name, to->dtype, &to->shape, &to->n_bytes, err));
    to->data = tern_arena_alloc(arena, TENSOR_ALIGN, to->n_bytes);
    if (to->data == NULL)
        return tern_arena_fail(arena, err, "the rows");
    if (!tern_shape_count(&to->shape, &count))
        count = 0;
    for (size_t i = 0; i < count; i++) {
        double v = tern_value_get(from, i);
        if (!tern_value_set(to->dtype, to->data, i, v))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "NPY: element %zu is %.17g, which the type %s of input '%.*s' cannot "
                             "hold",
                             i, v, tern_dtype_name(to->dtype), TERN_STR_ARG(to->name));
    }
    return TERN_OK;
}

static enum tern_code read_npy(struct tern_rows_reader *reader, struct tern_str file,
                               struct tern_err *err)
{
    const struct tern_tensor_spec *spec = &reader->model->inputs[0];
    struct tern_npy array;

    TERN_TRY(tern_npy_read(file, &array, err));
    TERN_TRY(tern_rows_only_input(reader, "NPY", &spec, err));
    struct tern_tensor tensor = {.name = spec->name, .dtype = array.dtype};
    tensor.shape.rank = array.rank;
    memcpy(tensor.shape.dim, array.dim, sizeof(array.dim));
    tensor.n_bytes = array.data.n;
    TERN_TRY(tern_rows_fit(spec, &tensor.shape, err));
    /* A copy: what follows the header need not be aligned. */
    tensor.data = tern_arena_alloc(reader->arena, TENSOR_ALIGN, array.data.n + 1);
    if (tensor.data == NULL)
        return tern_arena_fail(reader->arena, err, "the rows");
    if (array.data.n > 0)
        memcpy(tensor.data, array.data.p, array.data.n);
    struct tern_tensor wanted = tensor;
    wanted.dtype = spec->dtype;
    if (tensor.dtype == spec->dtype)
        return tern_rows_set_input(reader, &tensor, err);
    TERN_TRY(convert(&tensor, &wanted, reader->arena, err));
    return tern_rows_set_input(reader, &wanted, err);
}

/* ---- any file ---- */

enum tern_code tern_rows_load(const char *path, struct tern_arena *arena, struct tern_str *ret,
                              struct tern_err *err)
{
    struct tern_file_info info;
    char *bytes = NULL;
    size_t n = 0;

    if (strcmp(path, "-") == 0)
        TERN_TRY(tern_file_read_stream("/dev/stdin", TERN_ROWS_BYTES_MAX, TERN_TEXT_PAD, &bytes, &n,
                                       err));
    else if (tern_file_stat(path, &info, NULL) == TERN_OK && !info.is_regular && !info.is_folder)
        TERN_TRY(tern_file_read_stream(path, TERN_ROWS_BYTES_MAX, TERN_TEXT_PAD, &bytes, &n, err));
    else
        TERN_TRY(tern_file_read(path, TERN_ROWS_BYTES_MAX, TERN_TEXT_PAD, &bytes, &n, err));
    enum tern_code code = tern_arena_on_reset(arena, tern_mem_free, bytes, err);
    if (code != TERN_OK) {
        tern_mem_free(bytes);
        return code;
    }
    *ret = tern_str_make(bytes, n);
    return TERN_OK;
}

static enum tern_code read_any(struct tern_rows_reader *reader, struct tern_str text,
                               struct tern_err *err)
{
    size_t i = 0;

    if (tern_npy_is(text))
        return read_npy(reader, text, err);
    while (i < text.n &&
           (text.p[i] == ' ' || text.p[i] == '\n' || text.p[i] == '\r' || text.p[i] == '\t'))
        i++;
    if (i == text.n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "there is no data in it");
    return text.p[i] == '{' || text.p[i] == '[' ? tern_rows_read_json(reader, text, err)
                                                : tern_rows_read_csv(reader, text, err);
}

/* Every input has as many rows as the first, and labels are as many. */
static enum tern_code count_rows(struct tern_rows *rows, struct tern_err *err)
{
    rows->n = tern_value_rows(&rows->inputs.rows[0].shape);
    if (rows->n_labels != 0 && rows->n_labels != rows->n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%zu rows, but %zu labels", rows->n,
                         rows->n_labels);
    return TERN_OK;
}

enum tern_code tern_rows_parse(const char *path, struct tern_str text,
                               const struct tern_model_info *model, struct tern_arena *arena,
                               struct tern_rows *ret, struct tern_err *err)
{
    struct tern_rows rows = {.tolerance = TERN_ROWS_TOLERANCE};
    struct tern_rows_reader reader = {.model = model, .arena = arena, .rows = &rows};
    enum tern_code code = read_any(&reader, text, err);

    if (code == TERN_OK)
        code = count_rows(&rows, err);
    if (code != TERN_OK) {
        tern_err_prefix(err, "%s", strcmp(path, "-") == 0 ? "standard input" : path);
        return code;
    }
    *ret = rows;
    return TERN_OK;
}

enum tern_code tern_rows_read(const char *path, const struct tern_model_info *model,
                              struct tern_arena *arena, struct tern_rows *ret, struct tern_err *err)
{
    struct tern_str text = {NULL, 0};

    TERN_TRY(tern_rows_load(path, arena, &text, err));
    return tern_rows_parse(path, text, model, arena, ret, err);
}
