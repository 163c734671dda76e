#include "edge/edge.h"

#include <string.h>
#include "simd/simd.h"

static int run_some(const struct tern_edge_model *model, const void *rows, size_t n, void *out,
                    void *working)
{
    static const uint32_t first = 0;
    struct tern_arena arena = {
        .at = working, .end = (char *)working + model->working_bytes, .max = SIZE_MAX};
    const struct tern_tensor input = {
        .dtype = model->in,
        .shape = {2, {(int64_t)n, model->n_features}},
        .data = (void *)(uintptr_t)rows,
        .n_bytes = n * model->n_features * tern_dtype_size(model->in),
    };
    struct tern_tensor output = {.data = NULL};
    const struct tern_engine_run run = {
        .inputs = &input,
        .input_spec = &first,
        .n_inputs = 1,
        .outputs = &output,
        .output_spec = &first,
        .n_outputs = 1,
        .arena = &arena,
    };
    if (tern_program_run(model->program, &run, NULL) != TERN_OK)
        return -1;
    memcpy(out, output.data, output.n_bytes);
    return 0;
}

int tern_edge_run(const struct tern_edge_model *model, const void *rows, size_t n, void *out,
                  void *working)
{
    size_t row = model->n_features * tern_dtype_size(model->in);
    size_t answer = model->n_outputs * tern_dtype_size(model->out);

    for (size_t done = 0; done < n;) {
        size_t some = n - done < model->rows ? n - done : model->rows;
        if (run_some(model, (const char *)rows + done * row, some, (char *)out + done * answer,
                     working != NULL ? working : model->working) != 0)
            return -1;
        done += some;
    }
    return 0;
}

const char *tern_edge_feature_name(const struct tern_edge_model *model, size_t feature)
{
    if (model->feature_names == NULL || feature >= model->n_features)
        return NULL;
    return model->feature_names[feature];
}

/* ---- in place of base/ and simd/ ---- */

/* Memory is what the arena was given: there is no more of it. */
void *tern_arena_alloc_slow(struct tern_arena *arena, size_t align, size_t size)
{
    return size == 0 ? tern_arena_fit(arena, align, 1) : NULL;
}

/* No kernel but the portable ones: those for one machine are large. */
struct tern_simd tern_simd;
