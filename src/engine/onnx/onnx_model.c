#include "engine/onnx/onnx_model.h"

#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "engine/onnx/onnx_files.h"
#include "engine/onnx/onnx_scan.h"
#include "os/file.h"

/* ---- inputs and outputs ---- */

/* How the library is asked for ports of one kind: inputs, optional inputs, outputs. */
struct side {
    const char *what;
    struct ort_status *(*name)(const struct ort_session *, size_t, struct ort_allocator *, char **);
    struct ort_status *(*type)(const struct ort_session *, size_t, struct ort_type_info **);
};

static enum tern_dtype dtype_of(int element)
{
    static const enum tern_dtype dtypes[] = {
        [ORT_ELEMENT_FLOAT] = TERN_DTYPE_FP32,    [ORT_ELEMENT_UINT8] = TERN_DTYPE_UINT8,
        [ORT_ELEMENT_INT8] = TERN_DTYPE_INT8,     [ORT_ELEMENT_UINT16] = TERN_DTYPE_UINT16,
        [ORT_ELEMENT_INT16] = TERN_DTYPE_INT16,   [ORT_ELEMENT_INT32] = TERN_DTYPE_INT32,
        [ORT_ELEMENT_INT64] = TERN_DTYPE_INT64,   [ORT_ELEMENT_STRING] = TERN_DTYPE_BYTES,
        [ORT_ELEMENT_BOOL] = TERN_DTYPE_BOOL,     [ORT_ELEMENT_FLOAT16] = TERN_DTYPE_FP16,
        [ORT_ELEMENT_DOUBLE] = TERN_DTYPE_FP64,   [ORT_ELEMENT_UINT32] = TERN_DTYPE_UINT32,
        [ORT_ELEMENT_UINT64] = TERN_DTYPE_UINT64, [ORT_ELEMENT_BFLOAT16] = TERN_DTYPE_BF16,
    };
    if (element < 0 || (size_t)element >= TERN_COUNT_OF(dtypes))
        return TERN_DTYPE_INVALID;
    return dtypes[element];
}

static const char *element_name(int element)
{
    static const char *const names[] = {
        [ORT_ELEMENT_UNDEFINED] = "no type",
        [ORT_ELEMENT_COMPLEX64] = "COMPLEX64",
        [ORT_ELEMENT_COMPLEX128] = "COMPLEX128",
        [17] = "FLOAT8E4M3FN",
        [18] = "FLOAT8E4M3FNUZ",
        [19] = "FLOAT8E5M2",
        [20] = "FLOAT8E5M2FNUZ",
        [21] = "UINT4",
        [22] = "INT4",
        [23] = "FLOAT4E2M1",
        [24] = "UINT2",
        [25] = "INT2",
        [26] = "FLOAT8E8M0",
    };
    if (element < 0 || (size_t)element >= TERN_COUNT_OF(names) || names[element] == NULL)
        return "an element type newer than Tern";
    return names[element];
}

static enum tern_code fail_kind(const struct side *side, const char *name, int kind,
                                struct tern_err *err)
{
    static const char *const kinds[] = {
        "nothing known",   "a tensor",        "a sequence",       "a map",
        "an opaque value", "a sparse tensor", "an optional value"};
    const char *what = kind < 0 || (size_t)kind >= TERN_COUNT_OF(kinds) ? kinds[0] : kinds[kind];
    bool may_be_zipmap = kind == ORT_KIND_SEQUENCE || kind == ORT_KIND_MAP;

    return tern_fail(err, TERN_INVALID_ARGUMENT, "%s '%s' is %s; only tensors can be served%s",
                     side->what, name, what,
                     may_be_zipmap ? ": a scikit-learn classifier gives a tensor when it is "
                                     "converted with options={'zipmap': False} (zipmap=False)"
                                   : "");
}

static enum tern_code copy_symbols(const char *const *symbols, struct tern_arena *arena,
                                   struct tern_onnx_port *port, struct tern_err *err)
{
    for (int i = 0; i < port->shape.rank; i++) {
        port->symbols[i] = "";
        if (symbols[i] == NULL || symbols[i][0] == '\0')
            continue;
        port->symbols[i] = tern_arena_copy(arena, tern_str_of(symbols[i])).p;
        if (port->symbols[i] == NULL)
            return tern_arena_fail(arena, err, "a dimension's name");
    }
    return TERN_OK;
}

static enum tern_code read_tensor_info(const struct tern_ort *ort, const struct side *side,
                                       const struct ort_tensor_info *info, struct tern_arena *arena,
                                       struct tern_onnx_port *port, struct tern_err *err)
{
    const struct ort_api *api = &ort->api;
    const char *symbols[TERN_RANK_MAX] = {NULL};
    size_t rank = 0;

    TERN_TRY(tern_ort_check(ort, api->GetTensorElementType(info, &port->element), port->name, err));
    port->dtype = dtype_of(port->element);
    if (port->dtype == TERN_DTYPE_INVALID)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "%s '%s' has elements of %s, which no request can carry", side->what,
                         port->name, element_name(port->element));
    TERN_TRY(tern_ort_check(ort, api->GetDimensionsCount(info, &rank), port->name, err));
    if (rank > TERN_RANK_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%s '%s' has %zu dimensions, at most %d work",
                         side->what, port->name, rank, TERN_RANK_MAX);
    port->shape.rank = (int)rank;
    TERN_TRY(tern_ort_check(ort, api->GetDimensions(info, port->shape.dim, rank), port->name, err));
    TERN_TRY(tern_ort_check(ort, api->GetSymbolicDimensions(info, symbols, rank), port->name, err));
    for (size_t i = 0; i < rank; i++)
        if (port->shape.dim[i] < 0)
            port->shape.dim[i] = -1;
    return copy_symbols(symbols, arena, port, err);
}

static enum tern_code read_port(const struct tern_ort *ort, const struct ort_session *session,
                                const struct side *side, size_t index, struct tern_arena *arena,
                                struct tern_onnx_port *port, struct tern_err *err)
{
    char *name;
    int kind = ORT_KIND_UNKNOWN;
    struct ort_type_info *type;
    const struct ort_tensor_info *info;

    TERN_TRY(
        tern_ort_check(ort, side->name(session, index, ort->allocator, &name), side->what, err));
    port->name = tern_arena_copy(arena, tern_str_of(name)).p;
    struct ort_status *freed = ort->api.AllocatorFree(ort->allocator, name);
    TERN_TRY(tern_ort_check(ort, freed, side->what, err));
    if (port->name == NULL)
        return tern_arena_fail(arena, err, side->what);

    TERN_TRY(tern_ort_check(ort, side->type(session, index, &type), port->name, err));
    enum tern_code code =
        tern_ort_check(ort, ort->api.GetOnnxTypeFromTypeInfo(type, &kind), port->name, err);
    if (code == TERN_OK && kind != ORT_KIND_TENSOR)
        code = fail_kind(side, port->name, kind, err);
    if (code == TERN_OK)
        code = tern_ort_check(ort, ort->api.CastTypeInfoToTensorInfo(type, &info), port->name, err);
    if (code == TERN_OK)
        code = read_tensor_info(ort, side, info, arena, port, err);
    ort->api.ReleaseTypeInfo(type);
    return code;
}

static enum tern_code read_ports(const struct tern_ort *ort, const struct ort_session *session,
                                 const struct side *side, size_t n, struct tern_arena *arena,
                                 struct tern_onnx_port *ports, struct tern_err *err)
{
    for (size_t i = 0; i < n; i++)
        TERN_TRY(read_port(ort, session, side, i, arena, &ports[i], err));
    return TERN_OK;
}

static enum tern_code new_ports(size_t n, const char *what, struct tern_arena *arena,
                                struct tern_onnx_port **ret_ports, struct tern_err *err)
{
    if (n > TERN_ONNX_PORTS_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the model has %zu %ss, at most %d work", n,
                         what, TERN_ONNX_PORTS_MAX);
    *ret_ports = tern_arena_zalloc(arena, n + 1, sizeof(**ret_ports));
    return *ret_ports == NULL ? tern_arena_fail(arena, err, what) : TERN_OK;
}

static enum tern_code read_inputs(struct tern_onnx_model *model, struct tern_arena *arena,
                                  struct tern_err *err)
{
    const struct ort_api *api = &model->ort->api;
    const struct side required = {"input", api->SessionGetInputName, api->SessionGetInputTypeInfo};
    const struct side optional = {"optional input", api->SessionGetOverridableInitializerName,
                                  api->SessionGetOverridableInitializerTypeInfo};
    size_t n = 0;
    size_t n_optional = 0;

    TERN_TRY(
        tern_ort_check(model->ort, api->SessionGetInputCount(model->spare, &n), "inputs", err));
    TERN_TRY(tern_ort_check(model->ort,
                            api->SessionGetOverridableInitializerCount(model->spare, &n_optional),
                            "inputs", err));
    if (n_optional > TERN_ONNX_OPTIONAL_MAX)
        n_optional = 0;
    TERN_TRY(new_ports(n + n_optional, "input", arena, &model->inputs, err));
    TERN_TRY(read_ports(model->ort, model->spare, &required, n, arena, model->inputs, err));
    TERN_TRY(
        read_ports(model->ort, model->spare, &optional, n_optional, arena, model->inputs + n, err));
    model->n_required = (uint32_t)n;
    model->n_inputs = (uint32_t)(n + n_optional);
    return TERN_OK;
}

/* ---- which output dimensions follow from the inputs ---- */

static bool find_symbol(const struct tern_onnx_model *model, const char *symbol,
                        struct tern_onnx_dim *ret)
{
    for (uint32_t i = 0; i < model->n_required; i++)
        for (int d = 0; d < model->inputs[i].shape.rank; d++)
            if (model->inputs[i].shape.dim[d] == -1 &&
                strcmp(model->inputs[i].symbols[d], symbol) == 0) {
                *ret = (struct tern_onnx_dim){(int16_t)i, (int16_t)d};
                return true;
            }
    return false;
}

/* A dimension with a name is that of the input with the same name. One without a name is taken for
 * the batch if it is the first, and so is the first input's: scikit-learn models are like this. */
static void predict_output(const struct tern_onnx_model *model, struct tern_onnx_port *output)
{
    bool is_predictable = output->dtype != TERN_DTYPE_BYTES;

    for (int d = 0; d < output->shape.rank; d++) {
        output->from[d].input = -1;
        if (output->shape.dim[d] >= 0)
            continue;
        bool is_known = (output->symbols[d][0] != '\0' || d == 0) &&
                        find_symbol(model, output->symbols[d], &output->from[d]);
        if (is_known && output->symbols[d][0] == '\0')
            is_known = output->from[d].index == 0;
        is_predictable = is_predictable && is_known;
    }
    atomic_init(&output->is_predictable, is_predictable);
}

static enum tern_code read_outputs(struct tern_onnx_model *model, struct tern_arena *arena,
                                   struct tern_err *err)
{
    const struct ort_api *api = &model->ort->api;
    const struct side side = {"output", api->SessionGetOutputName, api->SessionGetOutputTypeInfo};
    size_t n = 0;

    TERN_TRY(
        tern_ort_check(model->ort, api->SessionGetOutputCount(model->spare, &n), "outputs", err));
    TERN_TRY(new_ports(n, "output", arena, &model->outputs, err));
    TERN_TRY(read_ports(model->ort, model->spare, &side, n, arena, model->outputs, err));
    model->n_outputs = (uint32_t)n;
    for (size_t i = 0; i < n; i++)
        predict_output(model, &model->outputs[i]);
    return TERN_OK;
}

/* ---- loading ---- */

struct source {
    struct tern_str bytes;
    char *owned; /* bytes.p when they were read here */
    struct tern_onnx_scan scan;
};

static enum tern_code read_source(const struct tern_engine_load *spec, struct source *source,
                                  struct tern_err *err)
{
    struct tern_onnx_folder folder = {.fd = -1};

    source->bytes = spec->bytes;
    if (spec->bytes.p == NULL) {
        size_t n;
        TERN_TRY(tern_file_read(spec->path, TERN_ONNX_SIZE_MAX, 0, &source->owned, &n, err));
        source->bytes = tern_str_make(source->owned, n);
    }
    if (spec->path != NULL)
        TERN_TRY(tern_onnx_files_open(spec->path, &folder, err));
    enum tern_code code =
        tern_onnx_scan(source->bytes, tern_onnx_files_check, &folder, &source->scan, err);
    tern_onnx_files_close(&folder);
    return code;
}

/* Tells the library where external tensors lie: it got bytes, not a path. */
static enum tern_code set_folder(struct tern_onnx_model *model, const char *path,
                                 struct tern_err *err)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    struct tern_str name =
        slash == NULL ? TERN_STR(".") : tern_str_make(path, (size_t)(slash - path) + 1);

    if (!tern_str_copy_z(name, folder, sizeof(folder)))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the model's path is too long");
    return tern_ort_check(
        model->ort,
        model->ort->api.AddSessionConfigEntry(
            model->session_options, "session.model_external_initializers_file_folder_path", folder),
        "external data", err);
}

/* Own sessions scale best: two threads on one session of a small model reach 0.9 to 1.3 times one
 * thread, on two sessions 1.8 to 1.95. Each costs its weights once more, so only small models get
 * them. */
static bool wants_shared(const struct tern_onnx_options *options, const struct source *source)
{
    if (options->share != TERN_ONNX_AUTO)
        return options->share == TERN_ONNX_ON;
    return options->intra_threads > 1 || options->is_parallel || source->scan.n_external > 0 ||
           source->bytes.n > TERN_ONNX_OWN_SESSION_MAX || tern_onnx_options_has_device(options);
}

/* Whether a dimension other than the batch varies from run to run. */
static bool has_varying_shapes(const struct tern_onnx_model *model)
{
    for (uint32_t i = 0; i < model->n_required; i++)
        for (int d = 1; d < model->inputs[i].shape.rank; d++)
            if (model->inputs[i].shape.dim[d] < 0)
                return true;
    return false;
}

/* Without an arena every run of a middling model maps and unmaps its intermediate results
 * (measured: twice the processor time on threads other than the first), so the library's default,
 * an arena a session, stays. It keeps the largest run's memory: little for a small model, but a
 * large one fed with ever new shapes would grow for ever. That one gives its arena back after each
 * run, a small part of what its runs take. */
static void choose_shrinkage(struct tern_onnx_model *model, const struct tern_onnx_options *options)
{
    model->shrinkage = options->shrinkage;
    if (model->shrinkage == NULL && model->is_shared && options->arena != TERN_ONNX_OFF &&
        !tern_onnx_options_has_device(options) && has_varying_shapes(model))
        model->shrinkage = "cpu:0";
}

/* The library's words, and what it was given: most failures are an opset that it is too old for. */
static void explain(const struct tern_onnx_model *model, const struct source *source,
                    struct tern_err *err)
{
    char versions[160];
    if (err == NULL)
        return;
    tern_onnx_scan_print(&source->scan, versions, sizeof(versions));
    tern_err_prefix(err, "ONNX Runtime %s does not accept the model (%s)", model->ort->version,
                    versions);
}

static enum tern_code open_session(struct tern_onnx_model *model,
                                   const struct tern_engine_load *spec, struct source *source,
                                   const struct tern_onnx_options *options, struct tern_err *err)
{
    char log_id[TERN_MODEL_NAME_MAX + 1];

    model->is_shared = wants_shared(options, source);
    if (!tern_str_copy_z(spec->name, log_id, sizeof(log_id)))
        snprintf(log_id, sizeof(log_id), "onnx");
    TERN_TRY(tern_onnx_options_apply(model->ort, options, log_id, &model->session_options, err));
    if (source->scan.n_external > 0)
        TERN_TRY(set_folder(model, spec->path, err));
    enum tern_code code =
        tern_ort_session_new(model->ort, source->bytes, model->session_options, &model->spare, err);
    if (code != TERN_OK)
        explain(model, source, err);
    return code;
}

/* The file's bytes stay with a model whose instances have sessions of their own. */
static enum tern_code keep_bytes(struct tern_onnx_model *model, struct source *source,
                                 struct tern_err *err)
{
    if (model->is_shared)
        return TERN_OK;
    char *bytes = source->owned;
    if (bytes == NULL) {
        bytes = tern_mem_alloc(source->bytes.n);
        if (bytes == NULL)
            return tern_mem_fail(err, "the model file", source->bytes.n);
        memcpy(bytes, source->bytes.p, source->bytes.n);
    }
    model->bytes = tern_str_make(bytes, source->bytes.n);
    source->owned = NULL;
    return TERN_OK;
}

static enum tern_code fill(struct tern_onnx_model *model, const struct tern_engine_load *spec,
                           struct source *source, struct tern_arena *arena, struct tern_err *err)
{
    struct tern_onnx_options options;

    TERN_TRY(tern_onnx_options_parse(spec, arena, &options, err));
    TERN_TRY(read_source(spec, source, err));
    TERN_TRY(tern_ort_start(&model->ort, err));
    TERN_TRY(open_session(model, spec, source, &options, err));
    TERN_TRY(read_inputs(model, arena, err));
    TERN_TRY(read_outputs(model, arena, err));
    choose_shrinkage(model, &options);
    model->has_device = tern_onnx_options_has_device(&options);
    return keep_bytes(model, source, err);
}

enum tern_code tern_onnx_model_new(const struct tern_engine_load *spec, struct tern_arena *arena,
                                   struct tern_onnx_model **ret_model, struct tern_err *err)
{
    struct source source = {0};
    struct tern_onnx_model *model = tern_mem_zalloc(1, sizeof(*model));

    if (model == NULL)
        return tern_mem_fail(err, "a model", sizeof(*model));
    pthread_mutex_init(&model->lock, NULL);
    enum tern_code code = fill(model, spec, &source, arena, err);
    tern_mem_free(source.owned);
    if (code != TERN_OK) {
        tern_onnx_model_free(model);
        return code;
    }
    *ret_model = model;
    return TERN_OK;
}

void tern_onnx_model_free(struct tern_onnx_model *model)
{
    if (model->spare != NULL)
        model->ort->api.ReleaseSession(model->spare);
    if (model->session_options != NULL)
        model->ort->api.ReleaseSessionOptions(model->session_options);
    tern_mem_free((void *)(uintptr_t)model->bytes.p);
    pthread_mutex_destroy(&model->lock);
    tern_mem_free(model);
}

enum tern_code tern_onnx_model_take_session(struct tern_onnx_model *model,
                                            struct ort_session **ret_session, struct tern_err *err)
{
    pthread_mutex_lock(&model->lock);
    struct ort_session *session = model->spare;
    if (!model->is_shared)
        model->spare = NULL;
    pthread_mutex_unlock(&model->lock);
    if (session == NULL)
        TERN_TRY(
            tern_ort_session_new(model->ort, model->bytes, model->session_options, &session, err));
    *ret_session = session;
    return TERN_OK;
}

void tern_onnx_model_drop_session(struct tern_onnx_model *model, struct ort_session *session)
{
    if (!model->is_shared)
        model->ort->api.ReleaseSession(session);
}
