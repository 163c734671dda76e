#include "explain/grid.h"

#include "base/num.h"
#include "core/value.h"

#define TEXT_MAX ((size_t)64 << 20) /* of the BYTES of one run */

/* ---- tables ---- */

/* Whether the first dimension counts rows: it is the batch, or is free in all inputs. */
static bool is_batch(const struct tern_model_info *info)
{
    bool is_free = info->n_inputs > 0;

    for (uint32_t i = 0; i < info->n_inputs; i++) {
        const struct tern_shape *shape = &info->inputs[i].shape;
        is_free = is_free && shape->rank > 0 && shape->dim[0] < 0;
    }
    return is_free || info->max_batch_size > 0;
}

/* Elements of one row. */
static enum tern_code count_elements(const struct tern_tensor *tensor, bool batch, uint32_t *ret,
                                     struct tern_err *err)
{
    size_t n = 1;

    for (int i = batch ? 1 : 0; i < tensor->shape.rank; i++) {
        if (tern_num_mul(n, (size_t)tensor->shape.dim[i], &n) || n > UINT32_MAX / 2)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' has too many features",
                             TERN_STR_ARG(tensor->name));
    }
    *ret = (uint32_t)n;
    return TERN_OK;
}

static enum tern_code find_ends(struct tern_grid_input *input, uint32_t n_rows,
                                struct tern_arena *arena, struct tern_err *err)
{
    size_t n = (size_t)n_rows * input->n, at = 0;
    size_t *ends = tern_arena_zalloc(arena, n + 1, sizeof(*ends));
    struct tern_str text;

    if (ends == NULL)
        return tern_arena_fail(arena, err, "the texts of an input");
    for (size_t i = 0; i < n; i++) {
        if (!tern_tensor_next_bytes(input->tensor, &at, &text))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' ends within its texts",
                             TERN_STR_ARG(input->tensor->name));
        ends[i] = at;
    }
    input->ends = ends;
    return TERN_OK;
}

static const struct tern_tensor *of_spec(const struct tern_tensor *tensors, const uint32_t *spec_of,
                                         uint32_t n, uint32_t spec)
{
    for (uint32_t i = 0; i < n; i++) {
        if (spec_of[i] == spec)
            return &tensors[i];
    }
    return NULL;
}

static enum tern_code add_input(struct tern_grid *grid, const struct tern_tensor *tensor,
                                uint32_t spec, struct tern_arena *arena, struct tern_err *err)
{
    struct tern_grid_input *input = &grid->inputs[grid->n_inputs++];

    input->tensor = tensor;
    input->spec = spec;
    input->first = grid->n_features;
    input->size = tern_dtype_size(tensor->dtype);
    if (grid->is_batch &&
        (tensor->shape.rank == 0 || tensor->shape.dim[0] != (int64_t)grid->n_rows))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "input '%.*s' has not the %u rows that the first one has",
                         TERN_STR_ARG(tensor->name), grid->n_rows);
    TERN_TRY(count_elements(tensor, grid->is_batch, &input->n, err));
    if (input->n > UINT32_MAX / 2 - grid->n_features)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a row has too many features");
    grid->n_features += input->n;
    return input->size == 0 ? find_ends(input, grid->n_rows, arena, err) : TERN_OK;
}

enum tern_code tern_grid_init(struct tern_grid *grid, const struct tern_model_info *info,
                              const struct tern_tensor *tensors, const uint32_t *spec_of,
                              uint32_t n, struct tern_arena *arena, struct tern_err *err)
{
    *grid = (struct tern_grid){.is_batch = is_batch(info), .n_rows = 1};
    grid->inputs = tern_arena_zalloc(arena, n + 1, sizeof(*grid->inputs));
    if (grid->inputs == NULL)
        return tern_arena_fail(arena, err, "the rows to explain");
    if (grid->is_batch && n > 0 && tensors[0].shape.rank > 0) {
        if (tensors[0].shape.dim[0] > UINT32_MAX / 2)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "there are too many rows");
        grid->n_rows = (uint32_t)tensors[0].shape.dim[0];
    }
    for (uint32_t spec = 0; spec < info->n_inputs; spec++) {
        const struct tern_tensor *tensor = of_spec(tensors, spec_of, n, spec);
        if (tensor != NULL)
            TERN_TRY(add_input(grid, tensor, spec, arena, err));
    }
    return TERN_OK;
}

enum tern_code tern_grid_zeros(struct tern_grid *grid, const struct tern_grid *like,
                               struct tern_arena *arena, struct tern_err *err)
{
    *grid = *like;
    grid->n_rows = 1;
    grid->inputs = tern_arena_zalloc(arena, like->n_inputs + 1, sizeof(*grid->inputs));
    struct tern_tensor *tensors = tern_arena_zalloc(arena, like->n_inputs + 1, sizeof(*tensors));
    if (grid->inputs == NULL || tensors == NULL)
        return tern_arena_fail(arena, err, "a row of zeros");
    for (uint32_t i = 0; i < like->n_inputs; i++) {
        struct tern_grid_input *input = &grid->inputs[i];
        size_t size = like->inputs[i].size > 0 ? like->inputs[i].size : 4; /* an empty text */
        *input = like->inputs[i];
        tensors[i] = *input->tensor;
        tensors[i].n_bytes = size * input->n;
        tensors[i].data = tern_arena_zalloc(arena, input->n + 1, size);
        if (tensors[i].data == NULL)
            return tern_arena_fail(arena, err, "a row of zeros");
        if (grid->is_batch)
            tensors[i].shape.dim[0] = 1;
        input->tensor = &tensors[i];
        if (input->size == 0)
            TERN_TRY(find_ends(input, 1, arena, err));
    }
    return TERN_OK;
}

enum tern_code tern_grid_check_like(const struct tern_grid *grid, const struct tern_grid *like,
                                    const struct tern_model_info *info, struct tern_err *err)
{
    char want[160], got[160];

    if (grid->n_inputs != like->n_inputs)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the background has %u inputs, the rows to explain have %u",
                         grid->n_inputs, like->n_inputs);
    for (uint32_t i = 0; i < grid->n_inputs; i++) {
        const struct tern_grid_input *a = &grid->inputs[i], *b = &like->inputs[i];
        if (a->spec != b->spec)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "the background has input '%.*s', which the rows to explain lack",
                             TERN_STR_ARG(info->inputs[a->spec].name));
        if (a->tensor->dtype != b->tensor->dtype || a->n != b->n)
            return tern_fail(
                err, TERN_INVALID_ARGUMENT,
                "the background's input '%.*s' is %s %s, the rows to explain are %s %s",
                TERN_STR_ARG(info->inputs[a->spec].name), tern_dtype_name(a->tensor->dtype),
                tern_shape_print(&a->tensor->shape, got, sizeof(got)),
                tern_dtype_name(b->tensor->dtype),
                tern_shape_print(&b->tensor->shape, want, sizeof(want)));
    }
    return TERN_OK;
}

/* ---- elements ---- */

static struct tern_str element(const struct tern_grid_input *input, uint32_t row, uint32_t at)
{
    const char *data = input->tensor->data;
    size_t i = (size_t)row * input->n + at;

    if (input->size > 0)
        return tern_str_make(data + i * input->size, input->size);
    size_t from = i == 0 ? 0 : input->ends[i - 1];
    return tern_str_make(data + from, input->ends[i] - from);
}

static const struct tern_grid_input *input_of(const struct tern_grid *grid, uint32_t feature)
{
    const struct tern_grid_input *input = grid->inputs;

    while (feature - input->first >= input->n)
        input++;
    return input;
}

bool tern_grid_equal(const struct tern_grid *a, uint32_t row_a, const struct tern_grid *b,
                     uint32_t row_b, uint32_t feature)
{
    const struct tern_grid_input *in_a = input_of(a, feature), *in_b = input_of(b, feature);

    return tern_str_eq(element(in_a, row_a, feature - in_a->first),
                       element(in_b, row_b, feature - in_b->first));
}

/* ---- rows in the making ---- */

enum tern_code tern_mix_init(struct tern_mix *mix, const struct tern_grid *grid,
                             struct tern_arena *arena, struct tern_err *err)
{
    uint32_t n = grid->n_inputs;

    *mix = (struct tern_mix){.grid = grid};
    mix->tensors = tern_arena_zalloc(arena, n + 1, sizeof(*mix->tensors));
    mix->specs = tern_arena_zalloc(arena, n + 1, sizeof(*mix->specs));
    mix->texts = tern_arena_zalloc(arena, n + 1, sizeof(*mix->texts));
    if (mix->tensors == NULL || mix->specs == NULL || mix->texts == NULL)
        return tern_arena_fail(arena, err, "the rows of an explanation");
    for (uint32_t i = 0; i < n; i++) {
        mix->tensors[i] = *grid->inputs[i].tensor;
        mix->tensors[i].region = NULL;
        mix->specs[i] = grid->inputs[i].spec;
        tern_buf_init(&mix->texts[i], TEXT_MAX);
    }
    return TERN_OK;
}

void tern_mix_fini(struct tern_mix *mix)
{
    for (uint32_t i = 0; mix->texts != NULL && i < mix->grid->n_inputs; i++)
        tern_buf_fini(&mix->texts[i]);
}

enum tern_code tern_mix_begin(struct tern_mix *mix, uint32_t cap, struct tern_arena *arena,
                              struct tern_err *err)
{
    mix->n = 0;
    for (uint32_t i = 0; i < mix->grid->n_inputs; i++) {
        const struct tern_grid_input *input = &mix->grid->inputs[i];
        tern_buf_clear(&mix->texts[i]);
        if (input->size == 0)
            continue;
        mix->tensors[i].data = tern_arena_alloc(arena, 64, (size_t)cap * input->n * input->size);
        if (mix->tensors[i].data == NULL)
            return tern_arena_fail(arena, err, "the rows of an explanation");
    }
    return TERN_OK;
}

/* What stands in the row of one input: numbers are copied whole and then some of them replaced. */
static void put_numbers(void *data, const struct tern_grid_input *under, uint32_t row,
                        const struct tern_grid_input *over, uint32_t over_row,
                        const uint32_t *features, uint32_t n)
{
    size_t size = under->size, bytes = under->n * size;
    const char *from = (const char *)under->tensor->data + row * bytes;
    const char *other = (const char *)over->tensor->data + over_row * bytes;

    memcpy(data, from, bytes);
    for (uint32_t i = 0; i < n; i++) {
        size_t at = (features[i] - under->first) * size;
        memcpy((char *)data + at, other + at, size);
    }
}

static void put_texts(struct tern_buf *out, const struct tern_grid_input *under, uint32_t row,
                      const struct tern_grid_input *over, uint32_t over_row,
                      const uint32_t *features, uint32_t n)
{
    for (uint32_t at = 0, next = 0; at < under->n; at++) {
        bool is_over = next < n && features[next] - under->first == at;
        tern_buf_add_str(out, is_over ? element(over, over_row, at) : element(under, row, at));
        next += is_over;
    }
}

void tern_mix_add(struct tern_mix *mix, const struct tern_grid *under, uint32_t row,
                  const struct tern_grid *over, uint32_t over_row, const uint32_t *features,
                  uint32_t n_features)
{
    uint32_t from = 0;

    for (uint32_t i = 0; i < mix->grid->n_inputs; i++) {
        const struct tern_grid_input *a = &under->inputs[i], *b = &over->inputs[i];
        uint32_t to = from;
        while (to < n_features && features[to] - a->first < a->n)
            to++;
        if (a->size > 0)
            put_numbers((char *)mix->tensors[i].data + (size_t)mix->n * a->n * a->size, a, row, b,
                        over_row, features + from, to - from);
        else
            put_texts(&mix->texts[i], a, row, b, over_row, features + from, to - from);
        from = to;
    }
    mix->n++;
}

enum tern_code tern_mix_end(struct tern_mix *mix, struct tern_err *err)
{
    for (uint32_t i = 0; i < mix->grid->n_inputs; i++) {
        const struct tern_grid_input *input = &mix->grid->inputs[i];
        struct tern_tensor *tensor = &mix->tensors[i];
        if (mix->grid->is_batch)
            tensor->shape.dim[0] = mix->n;
        tensor->n_bytes = (size_t)mix->n * input->n * input->size;
        if (input->size > 0)
            continue;
        TERN_TRY(tern_buf_check(&mix->texts[i], "the texts of an explanation", err));
        tensor->data = mix->texts[i].p;
        tensor->n_bytes = mix->texts[i].n;
    }
    return TERN_OK;
}
