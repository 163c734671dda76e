/* Rows of tensors as lists of JSON values. */
#include "proto/instances.h"

#include "simd/numbers.h"

/* Elements [at, at + n) of a flat tensor of numbers. */
static void write_run(struct tern_buf *out, enum tern_dtype dtype, const char *data, size_t at,
                      size_t n)
{
    size_t size = tern_dtype_size(dtype);

    if (tern_buf_reserve(out, tern_numbers_write_bound(dtype, n)))
        out->n += tern_numbers_write(dtype, data + at * size, n, out->p + out->n);
}

struct row_writer {
    struct tern_buf *out;
    const struct tern_tensor *tensor;
    size_t *text_at; /* BYTES: where the next one begins */
};

static void write_elements(const struct row_writer *w, size_t at, size_t n)
{
    struct tern_str text = {NULL, 0};

    if (w->tensor->dtype != TERN_DTYPE_BYTES) {
        write_run(w->out, w->tensor->dtype, w->tensor->data, at, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            tern_buf_add_char(w->out, ',');
        (void)tern_tensor_next_bytes(w->tensor, w->text_at, &text);
        tern_json_add_string(w->out, text);
    }
}

/* Elements from `at` on, nested as dim says: runs of the last dimension, with the brackets that
 * open before and close behind them. */
static void write_nested(const struct row_writer *w, size_t at, const size_t *dim, int rank)
{
    size_t n = 1, run = rank > 0 ? dim[rank - 1] : 1;

    for (int i = 0; i < rank; i++)
        n *= dim[i];
    for (size_t done = 0; done < n || (n == 0 && done == 0); done += run > 0 ? run : 1) {
        size_t inner = 1;
        if (done > 0)
            tern_buf_add_char(w->out, ',');
        for (int i = rank - 1; i >= 0; i--) {
            inner *= dim[i] > 0 ? dim[i] : 1;
            if (done % inner == 0)
                tern_buf_add_char(w->out, '[');
        }
        write_elements(w, at + done, n > 0 ? run : 0);
        inner = 1;
        for (int i = rank - 1; i >= 0; i--) {
            inner *= dim[i] > 0 ? dim[i] : 1;
            if ((done + run) % inner == 0)
                tern_buf_add_char(w->out, ']');
        }
    }
}

static void write_row(struct tern_buf *out, const struct tern_tensor *tensor, size_t row,
                      size_t *text_at)
{
    const struct row_writer w = {out, tensor, text_at};
    size_t dim[TERN_RANK_MAX], n = 1;
    int rank = tensor->shape.rank - 1;

    for (int i = 0; i < rank; i++)
        n *= dim[i] = (size_t)tensor->shape.dim[i + 1];
    if (rank == 1 && dim[0] == 1) /* a column of single values is a list of values */
        rank = 0;
    write_nested(&w, row * n, dim, rank);
}

enum tern_code tern_instances_write(struct tern_buf *out, const struct tern_tensor *outputs,
                                    uint32_t n, struct tern_err *err)
{
    size_t text_at[TERN_TENSORS_MAX] = {0};
    int64_t rows = n > 0 && outputs[0].shape.rank > 0 ? outputs[0].shape.dim[0] : 0;

    for (uint32_t i = 0; i < n; i++) {
        if (outputs[i].shape.rank == 0 || outputs[i].shape.dim[0] != rows || n > TERN_TENSORS_MAX)
            return tern_fail(err, TERN_FAILED_PRECONDITION,
                             "output '%.*s' has not the rows that the first one has: it cannot be "
                             "told row by row",
                             TERN_STR_ARG(outputs[i].name));
    }
    tern_buf_add_char(out, '[');
    for (int64_t row = 0; row < rows; row++) {
        if (row > 0)
            tern_buf_add_char(out, ',');
        for (uint32_t i = 0; i < n; i++) {
            if (n > 1) {
                tern_buf_add_char(out, i == 0 ? '{' : ',');
                tern_json_add_string(out, outputs[i].name);
                tern_buf_add_char(out, ':');
            }
            write_row(out, &outputs[i], (size_t)row, &text_at[i]);
        }
        if (n > 1)
            tern_buf_add_char(out, '}');
    }
    tern_buf_add_char(out, ']');
    return tern_buf_check(out, "the response", err);
}

void tern_instances_write_numbers(struct tern_buf *out, const double *numbers, uint32_t row,
                                  const size_t *dim, int rank)
{
    const struct tern_tensor tensor = {.dtype = TERN_DTYPE_FP64,
                                       .data = (void *)(uintptr_t)numbers}; /* only read */
    const struct row_writer w = {out, &tensor, NULL};
    size_t n = 1;

    for (int i = 0; i < rank; i++)
        n *= dim[i];
    write_nested(&w, row * n, dim, rank);
}
