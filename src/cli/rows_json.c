/* Rows as JSON: a request, an example file, or a plain array. */
#include "cli/rows_int.h"
#include "simd/numbers.h"

#define TENSOR_ALIGN 64

/* [[...], ...] at the reader, for the model's only input. */
static enum tern_code read_array(struct tern_rows_reader *reader, struct tern_json *json,
                                 struct tern_err *err)
{
    const struct tern_tensor_spec *spec = NULL;
    struct tern_numbers_result found;

    TERN_TRY(tern_rows_only_input(reader, "a plain array", &spec, err));
    if (tern_json_peek(json) != TERN_JSON_ARRAY)
        return tern_json_fail(json, err, "expected an array of rows");
    if (spec->dtype == TERN_DTYPE_BYTES)
        return tern_json_fail(json, err,
                              "input '%.*s' takes strings: give {\"inputs\": [...]} with its shape",
                              TERN_STR_ARG(spec->name));
    struct tern_str text = {json->p, (size_t)(json->end - json->p)};
    size_t cap = tern_numbers_bound(text);
    size_t size = tern_dtype_size(spec->dtype);
    struct tern_tensor tensor = {.name = spec->name, .dtype = spec->dtype};
    tensor.data = tern_arena_alloc(reader->arena, TENSOR_ALIGN, cap * size + 1);
    if (tensor.data == NULL)
        return tern_arena_fail(reader->arena, err, "the rows");
    TERN_TRY(tern_numbers_read(spec->dtype, text, tensor.data, cap, &found, err));
    json->p += found.used;
    tensor.n_bytes = found.count * size;
    tensor.shape.rank = found.nest.rank;
    memcpy(tensor.shape.dim, found.nest.dim, sizeof(tensor.shape.dim));
    TERN_TRY(tern_rows_fit(spec, &tensor.shape, err));
    return tern_rows_set_input(reader, &tensor, err);
}

/* Scalars of any kind, kept as the text they were: numbers and strings both name classes. */
static enum tern_code read_scalars(struct tern_rows_reader *reader, struct tern_json *json,
                                   struct tern_str **ret, size_t *ret_n, struct tern_err *err)
{
    struct tern_str *rows = NULL;
    size_t n = 0, cap = 0;
    bool more;

    TERN_TRY(tern_json_array(json, err));
    for (;;) {
        TERN_TRY(tern_json_item(json, &more, err));
        if (!more)
            break;
        if (n == cap) {
            struct tern_str *grown =
                tern_arena_zalloc(reader->arena, cap == 0 ? 64 : cap * 2, sizeof(*rows));
            if (grown == NULL)
                return tern_arena_fail(reader->arena, err, "the labels");
            if (n > 0)
                memcpy(grown, rows, n * sizeof(*rows));
            rows = grown;
            cap = cap == 0 ? 64 : cap * 2;
        }
        if (tern_json_peek(json) == TERN_JSON_STRING) {
            TERN_TRY(tern_json_string(json, &rows[n], err));
        } else {
            const char *from = json->p;
            TERN_TRY(tern_json_skip(json, err));
            rows[n] = tern_str_make(from, (size_t)(json->p - from));
        }
        n++;
    }
    *ret = rows;
    *ret_n = n;
    return TERN_OK;
}

static enum tern_code read_labels(struct tern_rows_reader *reader, struct tern_json *json,
                                  struct tern_err *err)
{
    struct tern_rows *rows = reader->rows;
    struct tern_str *texts = NULL;

    TERN_TRY(read_scalars(reader, json, &texts, &rows->n_labels, err));
    rows->labels = tern_arena_zalloc(reader->arena, rows->n_labels + 1, sizeof(*rows->labels));
    if (rows->labels == NULL)
        return tern_arena_fail(reader->arena, err, "the labels");
    for (size_t i = 0; texts != NULL && i < rows->n_labels; i++)
        tern_rows_set_label(&rows->labels[i], texts[i]);
    return TERN_OK;
}

/* A request's "outputs" is a list of names; an example's holds the answers by version. */
static enum tern_code keep_outputs(struct tern_rows_reader *reader, struct tern_json *json,
                                   struct tern_err *err)
{
    bool recorded = tern_json_peek(json) == TERN_JSON_OBJECT;
    const char *from = json->p;

    TERN_TRY(tern_json_skip(json, err));
    if (recorded)
        reader->rows->recorded = tern_str_make(from, (size_t)(json->p - from));
    return TERN_OK;
}

static enum tern_code read_member(struct tern_rows_reader *reader, struct tern_json *json,
                                  struct tern_str key, struct tern_err *err)
{
    struct tern_rows *rows = reader->rows;
    struct tern_json_number number;
    struct tern_str text;

    if (tern_str_eq(key, TERN_STR("inputs")))
        return tern_v2_read_tensors(json, &rows->inputs, err);
    if (tern_str_eq(key, TERN_STR("instances")))
        return read_array(reader, json, err);
    if (tern_str_eq(key, TERN_STR("outputs")))
        return keep_outputs(reader, json, err);
    if (tern_str_eq(key, TERN_STR("labels")))
        return read_labels(reader, json, err);
    if (tern_str_eq(key, TERN_STR("label_names")))
        return read_scalars(reader, json, &rows->label_names, &rows->n_label_names, err);
    if (tern_str_eq(key, TERN_STR("task"))) {
        TERN_TRY(tern_json_string(json, &text, err));
        rows->regression = tern_str_eq(text, TERN_STR("regression"));
        return TERN_OK;
    }
    if (tern_str_eq(key, TERN_STR("tolerance"))) {
        TERN_TRY(tern_json_number(json, &number, err));
        rows->tolerance = number.kind == TERN_JSON_DOUBLE ? number.real : (double)number.int64;
        return TERN_OK;
    }
    return tern_json_skip(json, err);
}

enum tern_code tern_rows_read_json(struct tern_rows_reader *reader, struct tern_str text,
                                   struct tern_err *err)
{
    struct tern_json json;
    struct tern_str key;
    bool more;

    tern_json_init(&json, text, reader->arena);
    if (tern_json_peek(&json) == TERN_JSON_ARRAY) {
        TERN_TRY(read_array(reader, &json, err));
        return tern_json_end(&json, err);
    }
    TERN_TRY(tern_json_object(&json, err));
    for (;;) {
        TERN_TRY(tern_json_key(&json, &more, &key, err));
        if (!more)
            break;
        TERN_TRY(read_member(reader, &json, key, err));
    }
    TERN_TRY(tern_json_end(&json, err));
    if (reader->rows->inputs.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the object has no \"inputs\": expected a request body of the Open "
                         "Inference Protocol, {\"inputs\": [{\"name\": ..., \"datatype\": ..., "
                         "\"shape\": ..., \"data\": ...}]}");
    return TERN_OK;
}

struct tern_str tern_rows_model(struct tern_str text, struct tern_arena *arena)
{
    const struct tern_str none = {NULL, 0};
    struct tern_str key, name;
    struct tern_json json;
    bool more;

    tern_json_init(&json, text, arena);
    if (tern_json_peek(&json) != TERN_JSON_OBJECT || tern_json_object(&json, NULL) != TERN_OK)
        return none;
    while (tern_json_key(&json, &more, &key, NULL) == TERN_OK && more) {
        if (tern_str_eq(key, TERN_STR("model")))
            return tern_json_string(&json, &name, NULL) == TERN_OK ? name : none;
        if (tern_json_skip(&json, NULL) != TERN_OK)
            return none;
    }
    return none;
}

enum tern_code tern_rows_recorded(const struct tern_rows *rows, struct tern_str version,
                                  struct tern_arena *arena, struct tern_v2_tensors *ret,
                                  struct tern_err *err)
{
    struct tern_v2_tensors found = {.n = 0};
    struct tern_json json;
    struct tern_str key;
    bool more;

    if (rows->recorded.p == NULL) {
        *ret = found;
        return TERN_OK;
    }
    tern_json_init(&json, rows->recorded, arena);
    TERN_TRY(tern_json_object(&json, err));
    for (;;) {
        TERN_TRY(tern_json_key(&json, &more, &key, err));
        if (!more)
            break;
        TERN_TRY(tern_str_eq(key, version) ? tern_v2_read_tensors(&json, &found, err)
                                           : tern_json_skip(&json, err));
    }
    *ret = found;
    return TERN_OK;
}
