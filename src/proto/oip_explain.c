/* POST .../explain, response side: an explanation as the tensors of an infer response. Ours: the
 * protocol has no explanations. */
#include <string.h>
#include "proto/oip_int.h"

#define TENSORS_MAX 9

static struct tern_shape shape_of(int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return (struct tern_shape){.rank = rank, .dim = {a, b, c, d}};
}

/* An array that the explanation does not have is left out. */
static void add_numbers(struct tern_infer_response *response, struct tern_str name,
                        const double *numbers, struct tern_shape shape)
{
    size_t n = 1;

    if (numbers == NULL)
        return;
    for (int i = 0; i < shape.rank; i++)
        n *= (size_t)shape.dim[i];
    response->outputs[response->n_outputs++] = (struct tern_tensor){
        .name = name,
        .dtype = TERN_DTYPE_FP64,
        .shape = shape,
        .data = (void *)(uintptr_t)numbers, /* it is only read */
        .n_bytes = n * sizeof(*numbers),
    };
}

static enum tern_code add_names(struct tern_call *call, struct tern_str name,
                                const struct tern_str *rows, uint32_t n, struct tern_err *err)
{
    struct tern_infer_response *response = &call->response;
    size_t size = 0;

    for (uint32_t i = 0; i < n; i++)
        size += 4 + rows[i].n;
    unsigned char *at = tern_arena_alloc(call->arena, 4, size + 1);
    if (at == NULL)
        return tern_arena_fail(call->arena, err, "the names of the features");
    response->outputs[response->n_outputs++] = (struct tern_tensor){
        .name = name,
        .dtype = TERN_DTYPE_BYTES,
        .shape = shape_of(1, n, 0, 0, 0),
        .data = at,
        .n_bytes = size,
    };
    for (uint32_t i = 0; i < n; i++) {
        for (unsigned k = 0; k < 4; k++)
            *at++ = (unsigned char)(rows[i].n >> (8 * k));
        if (rows[i].n > 0)
            memcpy(at, rows[i].p, rows[i].n);
        at += rows[i].n;
    }
    return TERN_OK;
}

static enum tern_code add_params(struct tern_call *call, struct tern_err *err)
{
    const struct tern_explain_answer *answer = call->explanation;
    const struct tern_param rows[] = {
        {.key = TERN_STR("method"),
         .kind = TERN_PARAM_STRING,
         .string = tern_str_of(tern_explain_method_name(answer->method))},
        {.key = TERN_STR("explained"),
         .kind = TERN_PARAM_STRING,
         .string = answer->is_margin ? TERN_STR("margin") : TERN_STR("output")},
        {.key = TERN_STR("evaluations"),
         .kind = TERN_PARAM_INT64,
         .int64 = (int64_t)answer->evaluations},
    };

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++)
        TERN_TRY(tern_params_add(call->arena, &call->response.params, &rows[i], err));
    return TERN_OK;
}

enum tern_code tern_oip_encode_explain(struct tern_call *call, struct tern_err *err)
{
    const struct tern_explain_answer *answer = call->explanation;
    struct tern_infer_response *response = &call->response;
    int64_t n = answer->n, k = answer->n_outputs, m = answer->n_features;
    bool is_global = answer->method == TERN_EXPLAIN_IMPORTANCE;

    response->outputs = tern_arena_zalloc(call->arena, TENSORS_MAX, sizeof(*response->outputs));
    if (response->outputs == NULL)
        return tern_arena_fail(call->arena, err, "the response");
    response->n_outputs = 0;
    if (is_global)
        add_numbers(response, TERN_STR("importances"), answer->values, shape_of(2, k, m, 0, 0));
    else
        add_numbers(response, TERN_STR("shap_values"), answer->values, shape_of(3, n, k, m, 0));
    add_numbers(response, TERN_STR("deviations"), answer->deviations, shape_of(2, k, m, 0, 0));
    add_numbers(response, TERN_STR("base_values"), answer->base, shape_of(1, k, 0, 0, 0));
    add_numbers(response, TERN_STR("predictions"), answer->predictions, shape_of(2, n, k, 0, 0));
    add_numbers(response, TERN_STR("additivity_error"), answer->additivity,
                shape_of(1, n, 0, 0, 0));
    add_numbers(response, TERN_STR("interactions"), answer->interactions, shape_of(4, n, k, m, m));
    TERN_TRY(add_names(call, TERN_STR("feature_names"), answer->features, answer->n_features, err));
    TERN_TRY(add_names(call, TERN_STR("output_names"), answer->outputs, answer->n_outputs, err));
    TERN_TRY(add_params(call, err));
    return tern_oip_encode_infer(call, err);
}
