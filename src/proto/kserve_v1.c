#include "proto/kserve_v1.h"

#include "proto/instances.h"
#include "proto/oip_int.h"

#define MODEL "/v1/models/{model}"

/* {"predictions": [...]} */
static enum tern_code encode_predict(struct tern_call *call, struct tern_err *err)
{
    const struct tern_infer_response *response = &call->response;
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);

    TERN_BUF_ADD_LITERAL(out, "{\"predictions\":");
    TERN_TRY(tern_instances_write(out, response->outputs, response->n_outputs, err));
    tern_buf_add_char(out, '}');
    call->x->allow_compression = true;
    return tern_buf_check(out, "the response", err);
}

static void write_names(struct tern_buf *out, const char *name, const struct tern_str *rows,
                        uint32_t n)
{
    tern_buf_printf(out, ",\"%s\":", name);
    for (uint32_t i = 0; i < n; i++) {
        tern_buf_add_char(out, i == 0 ? '[' : ',');
        tern_json_add_string(out, rows[i]);
    }
    tern_buf_add_char(out, ']');
}

static void write_explanation(struct tern_buf *out, const struct tern_explain_answer *a,
                              uint32_t row)
{
    const size_t k = a->n_outputs, m = a->n_features;
    bool is_global = a->method == TERN_EXPLAIN_IMPORTANCE;

    tern_buf_printf(out, "{\"%s\":", is_global ? "importances" : "shap_values");
    tern_instances_write_numbers(out, a->values, row, (const size_t[]){k, m}, 2);
    if (a->base != NULL) {
        TERN_BUF_ADD_LITERAL(out, ",\"base_values\":");
        tern_instances_write_numbers(out, a->base, 0, &k, 1);
    }
    if (a->interactions != NULL) {
        TERN_BUF_ADD_LITERAL(out, ",\"interactions\":");
        tern_instances_write_numbers(out, a->interactions, row, (const size_t[]){k, m, m}, 3);
    }
    if (a->additivity != NULL) {
        TERN_BUF_ADD_LITERAL(out, ",\"additivity_error\":");
        tern_instances_write_numbers(out, a->additivity, row, NULL, 0);
    }
    tern_buf_add_char(out, '}');
}

/* {"predictions": [...], "explanations": [...]} and what all of them have in common. */
static enum tern_code encode_explain(struct tern_call *call, struct tern_err *err)
{
    const struct tern_explain_answer *a = call->explanation;
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);
    const size_t k = a->n_outputs;

    TERN_BUF_ADD_LITERAL(out, "{\"predictions\":[");
    for (uint32_t row = 0; a->predictions != NULL && row < a->n; row++) {
        if (row > 0)
            tern_buf_add_char(out, ',');
        tern_instances_write_numbers(out, a->predictions, row, &k, k > 1 ? 1 : 0);
    }
    TERN_BUF_ADD_LITERAL(out, "],\"explanations\":[");
    for (uint32_t row = 0; row < a->n; row++) {
        if (row > 0)
            tern_buf_add_char(out, ',');
        write_explanation(out, a, row);
    }
    tern_buf_printf(out, "],\"method\":\"%s\",\"explained\":\"%s\"",
                    tern_explain_method_name(a->method), a->is_margin ? "margin" : "output");
    write_names(out, "feature_names", a->features, a->n_features);
    write_names(out, "output_names", a->outputs, a->n_outputs);
    tern_buf_add_char(out, '}');
    call->x->allow_compression = true;
    return tern_buf_check(out, "the response", err);
}

/* Who asks a path of V1 gets an error of V1. */
static bool claims(const struct tern_exchange *x)
{
    return tern_str_starts(x->path, TERN_STR("/v1/models"));
}

// clang-format off
static const struct tern_route routes[] = {
    TERN_ROUTE(GET, "/v1/models", MODEL_LIST, NULL, tern_oip_encode_model_list,
               "Names of the models"),
    TERN_ROUTE(GET, MODEL, MODEL_READY, NULL, tern_oip_encode_model_ready,
               "200 when the model can infer, else 503"),
    {.method = TERN_METHOD_POST, .pattern = MODEL ":predict", .op = TERN_OP_INFER,
     .decode = tern_instances_decode, .encode = encode_predict,
     .help = "Predictions for a list of instances", .unary = "V1 predict"},
    TERN_ROUTE(POST, MODEL ":explain", EXPLAIN, tern_instances_decode, encode_explain,
               "What each feature of the instances adds to the prediction"),
};
// clang-format on

const struct tern_proto tern_kserve_v1 = {
    .name = "kserve_v1",
    .help = "KServe's V1 protocol over REST",
    .routes = routes,
    .n_routes = TERN_COUNT_OF(routes),
    .claims = claims,
    .encode_error = tern_oip_encode_error,
};
