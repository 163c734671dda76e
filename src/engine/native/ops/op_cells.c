#include "engine/native/ops/op_cells.h"

#include <string.h>
#include "engine/native/ops/op_shape.h"

size_t tern_op_cells_size(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_BYTES ? sizeof(struct tern_str) : tern_dtype_size(dtype);
}

static enum tern_dtype dtype_of(const struct tern_step *step, const struct tern_program_run *run,
                                uint32_t i)
{
    return run->values[step->out[i]].dtype;
}

enum tern_code tern_op_cells_of(const struct tern_tensor *tensor, struct tern_arena *arena,
                                const void **ret_cells, struct tern_err *err)
{
    size_t n = tern_op_shape_count(tensor), at = 0;

    if (tensor->dtype != TERN_DTYPE_BYTES) {
        *ret_cells = tensor->data;
        return TERN_OK;
    }
    struct tern_str *cells = tern_arena_zalloc(arena, n + 1, sizeof(*cells));
    if (cells == NULL)
        return tern_arena_fail(arena, err, "the elements of a tensor");
    for (size_t i = 0; i < n; i++) {
        if (!tern_tensor_next_bytes(tensor, &at, &cells[i]))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "element %zu of %zu is cut off", i, n);
    }
    *ret_cells = cells;
    return TERN_OK;
}

enum tern_code tern_op_cells_room(const struct tern_step *step, struct tern_program_run *run,
                                  uint32_t i, const struct tern_shape *shape, void **ret_cells,
                                  struct tern_err *err)
{
    struct tern_tensor *out;
    size_t n;

    if (dtype_of(step, run, i) != TERN_DTYPE_BYTES) {
        TERN_TRY(tern_step_out(step, run, i, shape, &out, err));
        *ret_cells = out->data;
        return TERN_OK;
    }
    if (!tern_shape_count(shape, &n) || n == SIZE_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a result is too large");
    *ret_cells = tern_arena_zalloc(run->arena, n + 1, sizeof(struct tern_str));
    if (*ret_cells == NULL)
        return tern_arena_fail(run->arena, err, "the elements of a tensor");
    return TERN_OK;
}

enum tern_code tern_op_cells_done(const struct tern_step *step, struct tern_program_run *run,
                                  uint32_t i, const struct tern_shape *shape, const void *cells,
                                  struct tern_err *err)
{
    const struct tern_str *texts = cells;
    struct tern_tensor packed = {.dtype = TERN_DTYPE_BYTES};
    size_t n = tern_op_shape_span(shape, 0, shape->rank);

    if (dtype_of(step, run, i) != TERN_DTYPE_BYTES)
        return TERN_OK;
    for (size_t k = 0; k < n; k++)
        packed.n_bytes += 4 + texts[k].n;
    char *at = tern_arena_alloc(run->arena, 64, packed.n_bytes);
    if (at == NULL)
        return tern_arena_fail(run->arena, err, "a tensor");
    packed.data = at;
    for (size_t k = 0; k < n; k++) {
        uint32_t length = (uint32_t)texts[k].n;
        memcpy(at, &length, 4);
        if (length > 0)
            memcpy(at + 4, texts[k].p, length);
        at += 4 + texts[k].n;
    }
    tern_step_pass(step, run, i, &packed, shape);
    return TERN_OK;
}

/* A step of any size; the size of a cell is a constant in each of the calls below. */
TERN_INLINE void copy_cells(char *dst, const char *src, size_t step, size_t n, size_t size)
{
    for (size_t i = 0; i < n; i++)
        memcpy(dst + i * size, src + (ptrdiff_t)(i * step * size), size);
}

void tern_op_cells_copy(void *dst, const void *src, size_t step, size_t n, size_t size)
{
    if (step == 1 && n > 0)
        memcpy(dst, src, n * size);
    else if (size == 4)
        copy_cells(dst, src, step, n, 4);
    else if (size == 8)
        copy_cells(dst, src, step, n, 8);
    else
        copy_cells(dst, src, step, n, size);
}
