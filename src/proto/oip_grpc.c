#include "proto/oip_grpc_int.h"

#include "base/num.h"
#include "base/version.h"
#include "proto/oip_grpc_admin.h"

#define SERVICE    "/inference.GRPCInferenceService/"
#define REPOSITORY "/inference.model_repository.ModelRepositoryService/"

/* ---- models by name and version ---- */

enum tern_code tern_oip_grpc_read_version(struct tern_str text, struct tern_str model, int64_t *ret,
                                          struct tern_err *err)
{
    *ret = 0;
    if (text.n == 0 || tern_str_eq(text, TERN_STR("-1"))) /* what Triton calls the policy's */
        return TERN_OK;
    if (!tern_num_parse_i64(text, ret) || *ret < 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "failed to get model version from specified version string '%.*s' "
                         "(details: expected a number above 0, model %.*s)",
                         TERN_STR_ARG(text), TERN_STR_ARG(model));
    return TERN_OK;
}

void tern_oip_grpc_add_version(struct tern_buf *out, uint32_t number, int64_t version)
{
    char text[20];

    tern_pb_add_bytes(out, number,
                      tern_str_make(text, tern_num_format_u64((uint64_t)version, text)));
}

enum tern_code tern_oip_grpc_decode_model(struct tern_call *call, struct tern_err *err)
{
    struct tern_str version = {NULL, 0};
    struct tern_pb_field field;
    struct tern_pb pb;
    bool more;

    tern_pb_init(&pb, call->message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        if (field.number == 1)
            TERN_TRY(tern_pb_text(&field, "name", &call->model, err));
        if (field.number == 2)
            TERN_TRY(tern_pb_text(&field, "version", &version, err));
    }
    return tern_oip_grpc_read_version(version, call->model, &call->version, err);
}

/* Triton answers a question about a model that is not there with "no", not with an error. */
static enum tern_code decode_ready(struct tern_call *call, struct tern_err *err)
{
    call->absent_is_no = true;
    return tern_oip_grpc_decode_model(call, err);
}

/* ---- health and metadata ---- */

/* ServerLiveResponse, ServerReadyResponse, ModelReadyResponse: live or ready = 1 */
static enum tern_code encode_yes(struct tern_call *call, struct tern_err *err)
{
    tern_pb_add_varint_unless_zero(call->x->out, 1, call->yes);
    return tern_buf_check(call->x->out, "the response", err);
}

/* ServerMetadataResponse: name = 1, version = 2, extensions = 3 */
static enum tern_code encode_server_metadata(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = call->x->out;

    tern_pb_add_bytes(out, 1, tern_oip_server_name(call));
    tern_pb_add_bytes(out, 2, TERN_STR(TERN_VERSION));
    for (size_t i = 0; tern_oip_extensions[i] != NULL; i++)
        tern_pb_add_bytes(out, 3, tern_str_of(tern_oip_extensions[i]));
    return tern_buf_check(out, "the response", err);
}

/* TensorMetadata: name = 1, datatype = 2, shape = 3 */
static void add_specs(struct tern_buf *out, uint32_t number, const struct tern_tensor_spec *specs,
                      uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        size_t spec = tern_pb_open(out, number);
        tern_pb_add_bytes(out, 1, specs[i].name);
        tern_pb_add_bytes(out, 2, tern_str_of(tern_dtype_name(specs[i].dtype)));
        tern_oip_grpc_add_shape(out, 3, &specs[i].shape);
        tern_pb_close(out, spec);
    }
}

/* ModelMetadataResponse: name = 1, versions = 2, platform = 3, inputs = 4, outputs = 5 */
static enum tern_code encode_model_metadata(struct tern_call *call, struct tern_err *err)
{
    const struct tern_model_info *info = call->info;
    struct tern_buf *out = call->x->out;
    const int64_t *versions;
    uint32_t n_versions = tern_oip_versions(call, &versions);

    tern_pb_add_bytes(out, 1, info->name);
    for (uint32_t i = 0; i < n_versions; i++)
        tern_oip_grpc_add_version(out, 2, versions[i]);
    tern_pb_add_bytes(out, 3, info->platform.n > 0 ? info->platform : info->backend);
    add_specs(out, 4, info->inputs, info->n_inputs);
    add_specs(out, 5, info->outputs, info->n_outputs);
    return tern_buf_check(out, "the response", err);
}

// clang-format off
static const struct tern_route routes[] = {
    TERN_GRPC_ROUTE(SERVICE "ServerLive", SERVER_LIVE, NULL, encode_yes,
                    "Whether the process answers"),
    TERN_GRPC_ROUTE(SERVICE "ServerReady", SERVER_READY, NULL, encode_yes,
                    "Whether requests can be served"),
    TERN_GRPC_ROUTE(SERVICE "ModelReady", MODEL_READY, decode_ready, encode_yes,
                    "Whether a model can infer"),
    TERN_GRPC_ROUTE(SERVICE "ServerMetadata", SERVER_METADATA, NULL, encode_server_metadata,
                    "Name, version and extensions of the server"),
    TERN_GRPC_ROUTE(SERVICE "ModelMetadata", MODEL_METADATA, tern_oip_grpc_decode_model, encode_model_metadata,
                    "Versions, inputs and outputs of a model"),
    {.method = TERN_METHOD_POST, .pattern = SERVICE "ModelInfer", .op = TERN_OP_INFER,
     .decode = tern_oip_grpc_decode_infer, .encode = tern_oip_grpc_encode_infer,
     .framing = &tern_grpc_framing, .unary = "ModelInfer RPC",
     .help = "A prediction, with raw or typed tensors"},
    {.method = TERN_METHOD_POST, .pattern = SERVICE "ModelStreamInfer", .op = TERN_OP_INFER,
     .decode = tern_oip_grpc_decode_infer, .encode = tern_oip_grpc_encode_stream,
     .stream = TERN_STREAM_BOTH, .framing = &tern_grpc_framing,
     .encode_error_message = tern_oip_grpc_encode_stream_error,
     .help = "Predictions over one stream, answered in order; decoupled models at any time"},
    TERN_GRPC_ROUTE(SERVICE "ModelConfig", MODEL_CONFIG, tern_oip_grpc_decode_model, tern_oip_grpc_encode_config,
                    "The model's whole configuration"),
    TERN_GRPC_ROUTE(SERVICE "ModelStatistics", MODEL_STATISTICS, tern_oip_grpc_decode_model, tern_oip_grpc_encode_statistics,
                    "What a model, or every one, has done so far"),
    TERN_GRPC_ROUTE(SERVICE "RepositoryIndex", REPOSITORY_INDEX, tern_oip_grpc_decode_index, tern_oip_grpc_encode_index,
                    "Models and states of the repository"),
    TERN_GRPC_ROUTE(SERVICE "RepositoryModelLoad", REPOSITORY_LOAD, tern_oip_grpc_decode_control, tern_oip_grpc_encode_control,
                    "Loads a model, or loads it again"),
    TERN_GRPC_ROUTE(SERVICE "RepositoryModelUnload", REPOSITORY_UNLOAD, tern_oip_grpc_decode_control, tern_oip_grpc_encode_control,
                    "Unloads a model"),
    TERN_GRPC_ROUTE(SERVICE "SystemSharedMemoryStatus", SHM_STATUS, tern_oip_grpc_decode_system_region, tern_oip_grpc_encode_regions,
                    "Regions of shared memory"),
    TERN_GRPC_ROUTE(SERVICE "SystemSharedMemoryRegister", SHM_REGISTER, tern_oip_grpc_decode_system_register, tern_oip_grpc_encode_empty,
                    "Registers a region of shared memory"),
    TERN_GRPC_ROUTE(SERVICE "SystemSharedMemoryUnregister", SHM_UNREGISTER, tern_oip_grpc_decode_system_region, tern_oip_grpc_encode_empty,
                    "Forgets a region of shared memory, or all of them"),
    TERN_GRPC_ROUTE(SERVICE "CudaSharedMemoryStatus", SHM_STATUS, tern_oip_grpc_decode_cuda_region, tern_oip_grpc_encode_regions,
                    "Regions of GPU memory"),
    TERN_GRPC_ROUTE(SERVICE "CudaSharedMemoryRegister", SHM_REGISTER, tern_oip_grpc_decode_cuda_register, tern_oip_grpc_encode_empty,
                    "Registers a region of GPU memory"),
    TERN_GRPC_ROUTE(SERVICE "CudaSharedMemoryUnregister", SHM_UNREGISTER, tern_oip_grpc_decode_cuda_region, tern_oip_grpc_encode_empty,
                    "Forgets a region of GPU memory, or all of them"),
    TERN_GRPC_ROUTE(SERVICE "TraceSetting", TRACE_READ, tern_oip_grpc_decode_trace, tern_oip_grpc_encode_trace,
                    "Settings of traces, changed first when some are given (then control)"),
    TERN_GRPC_ROUTE(SERVICE "LogSettings", LOG_READ, tern_oip_grpc_decode_log, tern_oip_grpc_encode_log,
                    "Settings of the log, changed first when some are given (then control)"),
    TERN_GRPC_ROUTE(REPOSITORY "RepositoryIndex", REPOSITORY_INDEX, tern_oip_grpc_decode_index, tern_oip_grpc_encode_index,
                    "Models and states of the repository, as MLServer's clients ask"),
    TERN_GRPC_ROUTE(REPOSITORY "RepositoryModelLoad", REPOSITORY_LOAD, tern_oip_grpc_decode_load, tern_oip_grpc_encode_empty,
                    "Loads a model, or loads it again"),
    TERN_GRPC_ROUTE(REPOSITORY "RepositoryModelUnload", REPOSITORY_UNLOAD, tern_oip_grpc_decode_load, tern_oip_grpc_encode_empty,
                    "Unloads a model"),
};
// clang-format on

const struct tern_proto tern_oip_grpc = {
    .name = "oip_grpc",
    .help = "Open Inference Protocol V2 over gRPC and gRPC-Web (Triton, KServe, MLServer)",
    .routes = routes,
    .n_routes = TERN_COUNT_OF(routes),
    .plan_body = tern_oip_grpc_plan_body,
    TERN_GRPC_PROTO,
};
