#include "engine/native/ops/op_classes.h"

#include <string.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_cells.h"

static enum tern_code copy_texts(struct tern_arena *arena, const struct tern_onnx_texts *from,
                                 const struct tern_str **ret, struct tern_err *err)
{
    struct tern_str *texts = tern_arena_zalloc(arena, from->n, sizeof(*texts));

    if (texts == NULL)
        return tern_arena_fail(arena, err, "the classes");
    for (size_t i = 0; i < from->n; i++) {
        texts[i] = tern_arena_copy(arena, from->p[i]);
        if (texts[i].p == NULL && from->p[i].n > 0)
            return tern_arena_fail(arena, err, "the classes");
    }
    *ret = texts;
    return TERN_OK;
}

enum tern_code tern_op_classes_read(struct tern_onnx_node *node, const char *ints_name,
                                    const char *texts_name, struct tern_op_classes *ret,
                                    struct tern_err *err)
{
    struct tern_op_classes classes = {.dtype = TERN_DTYPE_INT64};
    struct tern_arena *arena = node->program->arena;
    struct tern_onnx_ints ints;
    struct tern_onnx_texts texts;

    TERN_TRY(tern_onnx_node_ints(node, ints_name, &ints, err));
    TERN_TRY(tern_onnx_node_texts(node, texts_name, &texts, err));
    if (texts.n > 0) {
        classes.dtype = TERN_DTYPE_BYTES;
        classes.n = texts.n;
        TERN_TRY(copy_texts(arena, &texts, &classes.texts, err));
    } else if (ints.n > 0) {
        int64_t *copy = tern_arena_zalloc(arena, ints.n, sizeof(*copy));
        if (copy == NULL)
            return tern_arena_fail(arena, err, "the classes");
        memcpy(copy, ints.p, ints.n * sizeof(*copy));
        classes.n = ints.n;
        classes.ints = copy;
    }
    *ret = classes;
    return TERN_OK;
}

struct tern_op_classes tern_op_classes_binary(enum tern_dtype dtype)
{
    static const int64_t ints[] = {0, 1};
    static const struct tern_str texts[] = {{"0", 1}, {"1", 1}};

    return (struct tern_op_classes){dtype, ints, texts, 2};
}

void tern_op_classes_points(const struct tern_op_classes *classes, struct tern_state *to)
{
    bool is_text = classes->dtype == TERN_DTYPE_BYTES;

    tern_state_cells(to, &classes->ints, TERN_DTYPE_INT64, is_text ? 0 : classes->n);
    tern_state_cells(to, &classes->texts, TERN_DTYPE_BYTES, is_text ? classes->n : 0);
}

enum tern_code tern_op_classes_give(const struct tern_op_classes *classes,
                                    const struct tern_step *step, struct tern_program_run *run,
                                    uint32_t i, const uint32_t *numbers, size_t n,
                                    struct tern_err *err)
{
    struct tern_shape shape = {1, {(int64_t)n}};
    void *cells;

    TERN_TRY(tern_op_cells_room(step, run, i, &shape, &cells, err));
    for (size_t k = 0; k < n; k++) {
        if (classes->dtype == TERN_DTYPE_INT64)
            ((int64_t *)cells)[k] = classes->ints[numbers[k]];
        else
            ((struct tern_str *)cells)[k] = classes->texts[numbers[k]];
    }
    return tern_op_cells_done(step, run, i, &shape, cells, err);
}

static enum tern_code name_numbers(struct tern_program *program, uint32_t value,
                                   const int64_t *numbers, size_t n, struct tern_err *err)
{
    struct tern_str *names = tern_arena_zalloc(program->arena, n, sizeof(*names));

    if (names == NULL)
        return tern_arena_fail(program->arena, err, "the classes");
    for (size_t i = 0; i < n; i++) {
        names[i] = tern_arena_printf(program->arena, "%lld", (long long)numbers[i]);
        if (names[i].p == NULL)
            return tern_arena_fail(program->arena, err, "the classes");
    }
    return tern_program_label(program, value, names, n, err);
}

enum tern_code tern_op_classes_label(struct tern_program *program, uint32_t value,
                                     const struct tern_op_classes *classes, struct tern_err *err)
{
    return classes->dtype == TERN_DTYPE_INT64
               ? name_numbers(program, value, classes->ints, classes->n, err)
               : tern_program_label(program, value, classes->texts, classes->n, err);
}

/* ZipMap makes a list of maps from labels to scores; nobody who asks over a network wants it. Its
 * output is the scores themselves. */
enum tern_code tern_op_classes_zipmap(struct tern_onnx_node *node, struct tern_err *err)
{
    struct tern_op_classes classes;
    uint32_t value;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_DTYPE(FP32), err));
    TERN_TRY(
        tern_op_classes_read(node, "classlabels_int64s", "classlabels_strings", &classes, err));
    TERN_TRY(tern_op_form_identity(node, err));
    if (node->n_out == 0 || node->out[0] == NULL)
        return TERN_OK;
    node->out[0]->n_columns = classes.n;
    TERN_TRY(tern_onnx_node_read(node, 0, &value, err));
    return tern_op_classes_label(node->program, value, &classes, err);
}
