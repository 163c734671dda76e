#include "registry/batch_input.h"

#include <string.h>
#include "base/num.h"

/* The numbers of one input, written one after another. */
struct maker {
    const struct tern_batch_input *input;
    struct tern_tensor *tensor;
    char *at;
    struct tern_err *err;
};

static enum tern_code put(struct maker *m, uint64_t number)
{
    int32_t whole = (int32_t)number;
    float real = (float)number;

    if (number > INT32_MAX)
        return tern_fail(m->err, TERN_INVALID_ARGUMENT,
                         "input '%.*s' is made from the batch and cannot say %llu: too many "
                         "elements",
                         TERN_STR_ARG(m->tensor->name), (unsigned long long)number);
    if (m->input->dtype == TERN_DTYPE_FP32)
        memcpy(m->at, &real, sizeof(real));
    else
        memcpy(m->at, &whole, sizeof(whole));
    m->at += sizeof(whole);
    return TERN_OK;
}

static bool is_item_shape(enum tern_batch_input_kind kind)
{
    return kind == TERN_BATCH_ITEM_SHAPE || kind == TERN_BATCH_ITEM_SHAPE_FLATTEN;
}

static size_t count_of(const struct tern_shape *shape)
{
    size_t count;

    return tern_shape_count(shape, &count) ? count : SIZE_MAX;
}

/* The shape of the input; SIZE_MAX when no memory would do. */
static size_t size_up(const struct tern_batch_input *input, const struct tern_shape *const *shapes,
                      uint32_t n, struct tern_shape *shape)
{
    size_t rows = 0, most = 0, numbers = n, each = (size_t)shapes[0]->rank - 1;

    for (uint32_t k = 0; k < n; k++) {
        size_t count = count_of(shapes[k]);
        most = count > most ? count : most;
        if (tern_num_add(rows, (size_t)shapes[k]->dim[0], &rows))
            return SIZE_MAX;
    }
    if (input->kind == TERN_BATCH_MAX_ELEMENT_COUNT_AS_SHAPE)
        numbers = most;
    else if (input->kind == TERN_BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO)
        numbers++;
    else if (is_item_shape(input->kind) && tern_num_mul(rows, each, &numbers))
        return SIZE_MAX;
    *shape = (struct tern_shape){1, {(int64_t)numbers}};
    if (input->kind == TERN_BATCH_ITEM_SHAPE)
        *shape = (struct tern_shape){2, {(int64_t)rows, (int64_t)each}};
    return numbers;
}

static enum tern_code put_shapes(struct maker *m, const struct tern_shape *const *shapes,
                                 uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        for (int64_t row = 0; row < shapes[k]->dim[0]; row++) {
            for (int d = 1; d < shapes[0]->rank; d++)
                TERN_TRY(put(m, (uint64_t)shapes[k]->dim[d]));
        }
    }
    return TERN_OK;
}

static enum tern_code put_counts(struct maker *m, const struct tern_shape *const *shapes,
                                 uint32_t n)
{
    bool accumulates = m->input->kind != TERN_BATCH_ELEMENT_COUNT;
    size_t sum = 0;

    if (m->input->kind == TERN_BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO)
        TERN_TRY(put(m, 0));
    for (uint32_t k = 0; k < n; k++) {
        if (!accumulates)
            sum = 0;
        if (tern_num_add(sum, count_of(shapes[k]), &sum))
            sum = SIZE_MAX;
        TERN_TRY(put(m, sum));
    }
    return TERN_OK;
}

enum tern_code tern_batch_input_make(const struct tern_batch_input *input, struct tern_str name,
                                     const struct tern_shape *const *shapes, uint32_t n,
                                     struct tern_arena *arena, struct tern_tensor *ret_tensor,
                                     struct tern_err *err)
{
    struct tern_tensor tensor = {.name = name, .dtype = input->dtype};
    size_t numbers = size_up(input, shapes, n, &tensor.shape);

    tensor.data = numbers <= INT64_MAX ? tern_arena_zalloc(arena, numbers, 4) : NULL;
    if (tensor.data == NULL)
        return tern_arena_fail(arena, err, "the inputs of a batch");
    tensor.n_bytes = numbers * 4;
    struct maker m = {input, &tensor, tensor.data, err};
    if (is_item_shape(input->kind))
        TERN_TRY(put_shapes(&m, shapes, n));
    else if (input->kind != TERN_BATCH_MAX_ELEMENT_COUNT_AS_SHAPE)
        TERN_TRY(put_counts(&m, shapes, n));
    *ret_tensor = tensor;
    return TERN_OK;
}
