/* NPY: any bytes are an array or a mistake; an array written again reads the same. */
#include <assert.h>
#include <string.h>

#include "wire/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_npy array, again;
    struct tern_buf out;

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
