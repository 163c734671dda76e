#include "edge/edge.h"

#include <string.h>
#include "simd/simd.h"

/* Bytes of an element in the arrays of a caller. */
static size_t in_size(const struct tern_edge_port *port)
{
    return port->dtype == TERN_DTYPE_BYTES ? sizeof(char *) : tern_dtype_size(port->dtype);
}

static size_t out_size(const struct tern_edge_model *model)
{
    return model->output.dtype == TERN_DTYPE_BYTES ? model->text_bytes
                                                   : tern_dtype_size(model->output.dtype);
}

/* Texts as a tensor has them: a length of four bytes, then so many. */
static void *pack_texts(const char *const *texts, size_t n, struct tern_arena *arena,
                        size_t *ret_bytes)
{
    size_t n_bytes = 0;

    for (size_t i = 0; i < n; i++)
        n_bytes += 4 + (texts[i] == NULL ? 0 : strlen(texts[i]));
    char *packed = tern_arena_alloc(arena, 64, n_bytes), *at = packed;
    for (size_t i = 0; packed != NULL && i < n; i++) {
        uint32_t length = texts[i] == NULL ? 0 : (uint32_t)strlen(texts[i]);
        memcpy(at, &length, 4);
        if (length > 0)
            memcpy(at + 4, texts[i], length);
        at += 4 + length;
    }
    *ret_bytes = n_bytes;
    return packed;
}

static int unpack_texts(const struct tern_tensor *tensor, size_t n, size_t size, char *out)
{
    struct tern_str text;
    size_t at = 0;

    for (size_t i = 0; i < n; i++, out += size) {
        if (!tern_tensor_next_bytes(tensor, &at, &text) || text.n >= size)
            return -1;
        if (text.n > 0)
            memcpy(out, text.p, text.n);
        out[text.n] = '\0';
    }
    return 0;
}

static int take(const struct tern_edge_port *port, const void *data, size_t n,
                struct tern_arena *arena, struct tern_tensor *input)
{
    input->dtype = port->dtype;
    input->shape = port->shape;
    input->shape.dim[0] = (int64_t)n;
    input->data = (void *)(uintptr_t)data;
    input->n_bytes = n * port->n * in_size(port);
    if (port->dtype == TERN_DTYPE_BYTES)
        input->data = pack_texts(data, n * port->n, arena, &input->n_bytes);
    return input->data == NULL ? -1 : 0;
}

/* Rows from `first` on. */
static int run_some(const struct tern_edge_model *model, const void *const *inputs, size_t first,
                    size_t n, char *out, void *working)
{
    static const uint32_t output_spec = 0;
    struct tern_arena arena = {
        .at = working, .end = (char *)working + model->working_bytes, .max = SIZE_MAX};
    struct tern_tensor *tensors = tern_arena_alloc(&arena, 8, model->n_inputs * sizeof(*tensors));
    uint32_t *spec = tern_arena_alloc(&arena, 8, model->n_inputs * sizeof(*spec));
    struct tern_tensor output = {.data = NULL};

    if (tensors == NULL || spec == NULL)
        return -1;
    memset(tensors, 0, model->n_inputs * sizeof(*tensors));
    for (uint32_t i = 0; i < model->n_inputs; i++) {
        const struct tern_edge_port *port = &model->inputs[i];
        const char *data = (const char *)inputs[i] + first * port->n * in_size(port);
        spec[i] = i;
        if (take(port, data, n, &arena, &tensors[i]) != 0)
            return -1;
    }
    const struct tern_engine_run run = {
        .inputs = tensors,
        .input_spec = spec,
        .n_inputs = model->n_inputs,
        .outputs = &output,
        .output_spec = &output_spec,
        .n_outputs = 1,
        .arena = &arena,
    };
    if (tern_program_run(model->program, &run, NULL) != TERN_OK)
        return -1;
    if (model->output.dtype == TERN_DTYPE_BYTES)
        return unpack_texts(&output, n * model->output.n, model->text_bytes, out);
    if (output.n_bytes != n * model->output.n * out_size(model))
        return -1;
    memcpy(out, output.data, output.n_bytes);
    return 0;
}

int tern_edge_run(const struct tern_edge_model *model, const void *const *inputs, size_t n,
                  void *out, void *working)
{
    size_t answer = model->output.n * out_size(model);

    for (size_t done = 0; done < n;) {
        size_t some = n - done < model->rows ? n - done : model->rows;
        if (run_some(model, inputs, done, some, (char *)out + done * answer,
                     working != NULL ? working : model->working) != 0)
            return -1;
        done += some;
    }
    return 0;
}

const char *tern_edge_feature_name(const struct tern_edge_model *model, size_t feature)
{
    if (model->feature_names == NULL || feature >= model->n_columns)
        return NULL;
    return model->feature_names[feature];
}

/* ---- in place of base/ and simd/ ---- */

/* Memory is what the arena was given: there is no more of it. */
void *tern_arena_alloc_slow(struct tern_arena *arena, size_t align, size_t size)
{
    return size == 0 ? tern_arena_fit(arena, align, 1) : NULL;
}

void *tern_arena_zalloc(struct tern_arena *arena, size_t count, size_t size)
{
    size_t n;
    void *p = NULL;

    if (!__builtin_mul_overflow(count, size, &n))
        p = tern_arena_alloc(arena, _Alignof(max_align_t), n);
    if (p != NULL)
        memset(p, 0, n);
    return p;
}

/* No kernel but the portable ones: those for one machine are large. */
struct tern_simd tern_simd;
