/* Metadata of the server and of models. */
#include "base/version.h"
#include "proto/oip_int.h"

/* In Triton's order. */
const char *const tern_oip_extensions[] = {
    "classification",
    "sequence",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "system_shared_memory",
    "cuda_shared_memory",
    "binary_tensor_data",
    "parameters",
    "statistics",
    "trace",
    "logging",
    NULL,
};

struct tern_str tern_oip_server_name(const struct tern_call *call)
{
    const struct tern_listener_info *listener = call->x->listener;

    return listener != NULL && listener->server_name.n > 0 ? listener->server_name
                                                           : TERN_STR("tern");
}

enum tern_code tern_oip_encode_server_metadata(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);

    TERN_BUF_ADD_LITERAL(out, "{\"name\":");
    tern_json_add_string(out, tern_oip_server_name(call));
    TERN_BUF_ADD_LITERAL(out, ",\"version\":\"" TERN_VERSION "\",\"extensions\":[");
    for (size_t i = 0; tern_oip_extensions[i] != NULL; i++) {
        if (i > 0)
            tern_buf_add_char(out, ',');
        tern_json_add_string(out, tern_str_of(tern_oip_extensions[i]));
    }
    TERN_BUF_ADD_LITERAL(out, "]}");
    return tern_buf_check(out, "the response", err);
}

/* A model that the operation did not resolve is an error it reports itself; this is the guard. */
static enum tern_code need_info(const struct tern_call *call, struct tern_err *err)
{
    if (call->info == NULL)
        return tern_fail(err, TERN_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
                         TERN_STR_ARG(call->model));
    return TERN_OK;
}

static void write_version(struct tern_buf *out, int64_t version)
{
    tern_buf_add_char(out, '"');
    tern_buf_add_i64(out, version);
    tern_buf_add_char(out, '"');
}

uint32_t tern_oip_versions(const struct tern_call *call, const int64_t **ret_versions)
{
    if (call->version == 0 && call->n_versions > 0) {
        *ret_versions = call->versions;
        return call->n_versions;
    }
    *ret_versions = call->version != 0 ? &call->version : &call->info->version;
    return 1;
}

static void write_versions(struct tern_buf *out, const struct tern_call *call)
{
    const int64_t *versions;
    uint32_t n = tern_oip_versions(call, &versions);

    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            tern_buf_add_char(out, ',');
        write_version(out, versions[i]);
    }
}

/* Ours: what the model's file calls the columns. Those who do not know the member pass it over. */
static void write_names(struct tern_buf *out, const char *name, const struct tern_str *rows,
                        uint32_t n)
{
    if (n == 0)
        return;
    tern_buf_printf(out, ",\"%s\":", name);
    for (uint32_t i = 0; i < n; i++) {
        tern_buf_add_char(out, i == 0 ? '[' : ',');
        tern_json_add_string(out, rows[i]);
    }
    tern_buf_add_char(out, ']');
}

static void write_spec(struct tern_buf *out, const struct tern_tensor_spec *spec)
{
    TERN_BUF_ADD_LITERAL(out, "{\"name\":");
    tern_json_add_string(out, spec->name);
    TERN_BUF_ADD_LITERAL(out, ",\"datatype\":\"");
    tern_buf_add_str(out, tern_str_of(tern_dtype_name(spec->dtype)));
    TERN_BUF_ADD_LITERAL(out, "\",\"shape\":");
    tern_oip_write_shape(out, &spec->shape);
}

/* Names of features are of all inputs: with several, each is its own feature or brings many. */
static void write_inputs(struct tern_buf *out, const struct tern_model_info *info)
{
    for (uint32_t i = 0; i < info->n_inputs; i++) {
        if (i > 0)
            tern_buf_add_char(out, ',');
        write_spec(out, &info->inputs[i]);
        if (info->n_inputs == 1)
            write_names(out, "feature_names", info->feature_names, info->n_feature_names);
        tern_buf_add_char(out, '}');
    }
}

static void write_outputs(struct tern_buf *out, const struct tern_model_info *info)
{
    for (uint32_t i = 0; i < info->n_outputs; i++) {
        if (i > 0)
            tern_buf_add_char(out, ',');
        write_spec(out, &info->outputs[i]);
        if (info->labels != NULL)
            write_names(out, "labels", info->labels[i].rows, info->labels[i].n);
        tern_buf_add_char(out, '}');
    }
}

enum tern_code tern_oip_encode_model_metadata(struct tern_call *call, struct tern_err *err)
{
    const struct tern_model_info *info = call->info;

    TERN_TRY(need_info(call, err));
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);
    TERN_BUF_ADD_LITERAL(out, "{\"name\":");
    tern_json_add_string(out, info->name);
    TERN_BUF_ADD_LITERAL(out, ",\"versions\":[");
    write_versions(out, call);
    TERN_BUF_ADD_LITERAL(out, "],\"platform\":");
    tern_json_add_string(out, info->platform.n > 0 ? info->platform : info->backend);
    TERN_BUF_ADD_LITERAL(out, ",\"inputs\":[");
    write_inputs(out, info);
    TERN_BUF_ADD_LITERAL(out, "],\"outputs\":[");
    write_outputs(out, info);
    TERN_BUF_ADD_LITERAL(out, "]}");
    return tern_buf_check(out, "the response", err);
}

enum tern_code tern_oip_encode_model_config(struct tern_call *call, struct tern_err *err)
{
    TERN_TRY(need_info(call, err));
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);
    /* Copied: the version may be unloaded before the last byte is written. */
    tern_buf_add_str(out, tern_model_config_now(call->info, call->decoupled)->json);
    return tern_buf_check(out, "the response", err);
}

/* The rows of one model stand together: a name is written when it differs from the one before. */
enum tern_code tern_oip_encode_model_list(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);

    TERN_BUF_ADD_LITERAL(out, "{\"models\":[");
    for (uint32_t i = 0; i < call->n_index; i++) {
        if (i > 0 && tern_str_eq(call->index[i].name, call->index[i - 1].name))
            continue;
        if (i > 0)
            tern_buf_add_char(out, ',');
        tern_json_add_string(out, call->index[i].name);
    }
    TERN_BUF_ADD_LITERAL(out, "]}");
    return tern_buf_check(out, "the response", err);
}
