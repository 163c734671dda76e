/* NPY: any bytes are an array or a mistake; an array written again reads the same, and so do a
 * view's numbers. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wire/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_column(const struct tern_npy_view *view, uint32_t i)
{
    const struct tern_npy_column *column = &view->columns[i];

    assert(column->size > 0 && column->at + column->size <= view->stride);
    if (column->dtype == TERN_DTYPE_BYTES) {
        char *text = malloc(column->size);
        assert(text != NULL);
        for (size_t k = 0; k < view->n && k < 64; k++)
            assert(tern_npy_view_text(view, i, k, text) <= column->size);
        free(text);
    } else if (column->dtype != TERN_DTYPE_INVALID) {
        double *reals = calloc(view->n + 1, sizeof(*reals));
        int64_t *integers = calloc(view->n + 1, sizeof(*integers));
        assert(reals != NULL && integers != NULL);
        tern_npy_view_reals(view, i, reals);
        tern_npy_view_integers(view, i, integers);
        for (size_t k = 0; k < view->n; k++)
            assert(integers[k] == 0 || fabs((double)integers[k] - reals[k]) < 1 + fabs(reals[k]));
        free(reals);
        free(integers);
    }
}

static void read_view(struct tern_str file)
{
    struct tern_npy_view view;

    if (tern_npy_view_read(file, &view, NULL) != TERN_OK || view.n > 1u << 20)
        return;
    assert(view.n_columns > 0 && view.data.n == view.n * view.stride && view.data.n <= file.n);
    for (uint32_t i = 0; i < view.n_columns; i++)
        read_column(&view, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_npy array, again;
    struct tern_buf out;

    read_view(tern_str_make((const char *)data, size));
    if (tern_npy_read(tern_str_make((const char *)data, size), &array, NULL) != TERN_OK)
        return 0;
    assert(array.data.n <= size && array.rank <= TERN_NPY_RANK_MAX);
    tern_buf_init(&out, size + 4096);
    assert(tern_npy_write(&array, &out, NULL) == TERN_OK);
    assert(tern_npy_read(tern_buf_str(&out), &again, NULL) == TERN_OK);
    assert(again.dtype == array.dtype && again.rank == array.rank);
    assert(memcmp(again.dim, array.dim, sizeof(array.dim)) == 0);
    assert(tern_str_eq(again.data, array.data));
    tern_buf_fini(&out);
    return 0;
}
