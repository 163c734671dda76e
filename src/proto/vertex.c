#include "proto/vertex.h"

#include <inttypes.h>
#include "proto/instances.h"
#include "proto/oip_int.h"

#define ENDPOINT "/v1/projects/{name}/locations/{name}/endpoints/{model}"

static void write_tail(struct tern_buf *out, const struct tern_call *call)
{
    TERN_BUF_ADD_LITERAL(out, ",\"deployedModelId\":\"");
    tern_buf_add_i64(out, call->info->version);
    TERN_BUF_ADD_LITERAL(out, "\",\"modelDisplayName\":");
    tern_json_add_string(out, call->info->name);
    tern_buf_printf(out, ",\"modelVersionId\":\"%" PRId64 "\"}", call->info->version);
}

/* {"predictions": [...], "deployedModelId": ...} */
static enum tern_code encode_predict(struct tern_call *call, struct tern_err *err)
{
    const struct tern_infer_response *response = &call->response;
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);

    TERN_BUF_ADD_LITERAL(out, "{\"predictions\":");
    TERN_TRY(tern_instances_write(out, response->outputs, response->n_outputs, err));
    write_tail(out, call);
    call->x->allow_compression = true;
    return tern_buf_check(out, "the response", err);
}

/* A struct of features, by name. */
static void write_features(struct tern_buf *out, const struct tern_explain_answer *a, uint32_t row,
                           uint32_t output)
{
    const double *values = a->values + ((size_t)row * a->n_outputs + output) * a->n_features;

    for (uint32_t f = 0; f < a->n_features; f++) {
        tern_buf_add_char(out, f == 0 ? '{' : ',');
        tern_json_add_string(out, a->features[f]);
        tern_buf_add_char(out, ':');
        tern_instances_write_numbers(out, values, f, NULL, 0);
    }
    tern_buf_add_char(out, '}');
}

static void write_number(struct tern_buf *out, const char *name, double value)
{
    tern_buf_printf(out, "\"%s\":", name);
    tern_instances_write_numbers(out, &value, 0, NULL, 0);
    tern_buf_add_char(out, ',');
}

/* One for each output: they are sorted by nothing but its number. */
static void write_attribution(struct tern_buf *out, const struct tern_explain_answer *a,
                              uint32_t row, uint32_t output)
{
    tern_buf_add_char(out, '{');
    write_number(out, "baselineOutputValue", a->base[output]);
    write_number(out, "instanceOutputValue", a->predictions[(size_t)row * a->n_outputs + output]);
    TERN_BUF_ADD_LITERAL(out, "\"featureAttributions\":");
    write_features(out, a, row, output);
    TERN_BUF_ADD_LITERAL(out, ",\"outputIndex\":");
    if (a->n_outputs > 1)
        tern_buf_printf(out, "[%" PRIu32 "],", output);
    else
        TERN_BUF_ADD_LITERAL(out, "[],");
    write_number(out, "approximationError", a->additivity[row]);
    if (a->labels != NULL) {
        TERN_BUF_ADD_LITERAL(out, "\"outputDisplayName\":");
        tern_json_add_string(out, a->labels[output]);
        tern_buf_add_char(out, ',');
    }
    TERN_BUF_ADD_LITERAL(out, "\"outputName\":");
    tern_json_add_string(out, a->outputs[output]);
    tern_buf_add_char(out, '}');
}

static void write_row(struct tern_buf *out, const struct tern_explain_answer *a, uint32_t row)
{
    TERN_BUF_ADD_LITERAL(out, "{\"attributions\":[");
    for (uint32_t k = 0; k < a->n_outputs; k++) {
        if (k > 0)
            tern_buf_add_char(out, ',');
        write_attribution(out, a, row, k);
    }
    TERN_BUF_ADD_LITERAL(out, "]}");
}

static enum tern_code encode_explain(struct tern_call *call, struct tern_err *err)
{
    const struct tern_explain_answer *a = call->explanation;
    const size_t k = a->n_outputs;

    if (a->method == TERN_EXPLAIN_IMPORTANCE)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "method 'importance' is of all rows: attributions are of each");
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);
    TERN_BUF_ADD_LITERAL(out, "{\"explanations\":[");
    for (uint32_t row = 0; row < a->n; row++) {
        if (row > 0)
            tern_buf_add_char(out, ',');
        write_row(out, a, row);
    }
    TERN_BUF_ADD_LITERAL(out, "],\"predictions\":[");
    for (uint32_t row = 0; row < a->n; row++) {
        if (row > 0)
            tern_buf_add_char(out, ',');
        tern_instances_write_numbers(out, a->predictions, row, &k, k > 1 ? 1 : 0);
    }
    tern_buf_add_char(out, ']');
    write_tail(out, call);
    call->x->allow_compression = true;
    return tern_buf_check(out, "the response", err);
}

/* {"error": {"code": 400, "message": "...", "status": "INVALID_ARGUMENT"}} */
static void encode_error(struct tern_exchange *x, const struct tern_err *err)
{
    int status = tern_err_http_status(err);
    struct tern_buf *out = tern_oip_begin_json(x, status);

    tern_buf_printf(out, "{\"error\":{\"code\":%d,\"message\":", status);
    tern_json_add_string(out, tern_str_of(err->text));
    tern_buf_printf(out, ",\"status\":\"%s\"}}", tern_code_name(err->code));
}

static bool claims(const struct tern_exchange *x)
{
    return tern_str_starts(x->path, TERN_STR("/v1/projects/"));
}

// clang-format off
static const struct tern_route routes[] = {
    {.method = TERN_METHOD_POST, .pattern = ENDPOINT ":predict", .op = TERN_OP_INFER,
     .decode = tern_instances_decode, .encode = encode_predict,
     .help = "Predictions for a list of instances", .unary = "Vertex's predict"},
    TERN_ROUTE(POST, ENDPOINT ":explain", EXPLAIN, tern_instances_decode, encode_explain,
               "Attributions for a list of instances"),
};
// clang-format on

const struct tern_proto tern_vertex = {
    .name = "vertex",
    .help = "Vertex AI's endpoints over REST: the endpoint is the model",
    .routes = routes,
    .n_routes = TERN_COUNT_OF(routes),
    .claims = claims,
    .encode_error = encode_error,
};
