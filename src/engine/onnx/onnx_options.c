#include "engine/onnx/onnx_options.h"

#include <ctype.h>
#include <stdio.h>
#include "base/num.h"

#define NAME_MAX_BYTES 64

/* ---- reading ---- */

struct word {
    const char *text;
    int value;
};

static const struct word modes[] = {{"0", 0}, {"1", 1}, {"sequential", 0}, {"parallel", 1}, {0}};
static const struct word switches[] = {{"0", 0}, {"1", 1}, {"false", 0}, {"true", 1}, {0}};
static const struct word strategies[] = {{"0", 0}, {"1", 1}, {0}};
static const struct word levels[] = {{"none", 0}, {"basic", 1}, {"extended", 2}, {"all", 99}, {0}};
static const struct word triton_levels[] = {{"-1", 1}, {"1", 2}, {"2", 0}, {0}};

/* The options whose value is one of a few words. */
enum setting { MODE, LEVEL, ARENA, PATTERN, SHARE, STRATEGY };

static const struct {
    const char *key;
    const struct word *words;
    enum setting setting;
} settings[] = {
    {"execution_mode", modes, MODE},
    {"optimization.graph.level", triton_levels, LEVEL},
    {"graph_optimization_level", levels, LEVEL},
    {"enable_mem_arena", switches, ARENA},
    {"enable_mem_pattern", switches, PATTERN},
    {"share_session", switches, SHARE},
    {"arena_extend_strategy", strategies, STRATEGY},
};

static const char *const entry_prefixes[] = {"session.", "optimization.", "ep.", "mlas."};
/* What Tern sets itself, because its own checks of the file depend on it. */
static const char *const reserved[] = {"session.load_model_format",
                                       "session.model_external_initializers_file_folder_path"};

static enum tern_code read_word(const struct tern_engine_option *option, const struct word *words,
                                int *ret_value, struct tern_err *err)
{
    char known[128] = "";
    int n = 0;

    for (const struct word *w = words; w->text != NULL; w++) {
        if (tern_str_eq_nocase(option->value, tern_str_of(w->text))) {
            *ret_value = w->value;
            return TERN_OK;
        }
        n += snprintf(known + n, sizeof(known) - (size_t)n, "%s%s", n == 0 ? "" : ", ", w->text);
    }
    return tern_fail(err, TERN_INVALID_ARGUMENT, "option %.*s: expected one of %s, got \"%.*s\"",
                     TERN_STR_ARG(option->key), known, TERN_STR_ARG(option->value));
}

static void set(struct tern_onnx_options *options, enum setting setting, int value)
{
    switch (setting) {
    case MODE:
        options->is_parallel = value == 1;
        break;
    case LEVEL:
        options->graph_level = value;
        break;
    case ARENA:
        options->arena = (enum tern_onnx_choice)value;
        break;
    case PATTERN:
        options->pattern = (enum tern_onnx_choice)value;
        break;
    case SHARE:
        options->share = (enum tern_onnx_choice)value;
        break;
    case STRATEGY:
        options->extend_strategy = value;
        break;
    }
}

static enum tern_code read_threads(const struct tern_engine_option *option, uint32_t *ret,
                                   struct tern_err *err)
{
    uint64_t n;
    if (!tern_num_parse_u64(option->value, TERN_ONNX_THREADS_MAX, &n))
        return tern_fail(
            err, TERN_INVALID_ARGUMENT, "option %.*s: expected a number from 0 to %d, got \"%.*s\"",
            TERN_STR_ARG(option->key), TERN_ONNX_THREADS_MAX, TERN_STR_ARG(option->value));
    if (n > 0)
        *ret = (uint32_t)n;
    return TERN_OK;
}

static enum tern_code read_providers(const struct tern_engine_option *option,
                                     struct tern_arena *arena, uint32_t n_options,
                                     struct tern_onnx_options *options, struct tern_err *err)
{
    struct tern_str rest = option->value;
    struct tern_str name;

    while (tern_str_split(&rest, ',', &name)) {
        name = tern_str_trim(name);
        if (name.n == 0 || name.n > NAME_MAX_BYTES)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "option %.*s: expected names with commas, got \"%.*s\"",
                             TERN_STR_ARG(option->key), TERN_STR_ARG(option->value));
        if (options->n_providers == TERN_ONNX_PROVIDERS_MAX)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "option %.*s: more than %d names",
                             TERN_STR_ARG(option->key), TERN_ONNX_PROVIDERS_MAX);
        struct tern_onnx_provider *provider = &options->providers[options->n_providers++];
        provider->name = tern_arena_copy(arena, name);
        provider->keys = tern_arena_zalloc(arena, n_options, sizeof(*provider->keys));
        provider->values = tern_arena_zalloc(arena, n_options, sizeof(*provider->values));
        if (provider->name.p == NULL || provider->keys == NULL || provider->values == NULL)
            return tern_arena_fail(arena, err, "an execution provider");
    }
    return TERN_OK;
}

/* Copies "key" = "value" with zeros at their ends. */
static enum tern_code keep(struct tern_arena *arena, struct tern_str key, struct tern_str value,
                           const char **ret_key, const char **ret_value, struct tern_err *err)
{
    *ret_key = tern_arena_copy(arena, key).p;
    *ret_value = tern_arena_copy(arena, value).p;
    if (*ret_key == NULL || *ret_value == NULL)
        return tern_arena_fail(arena, err, "an option");
    return TERN_OK;
}

static enum tern_code fail_unknown(struct tern_str key, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "option %.*s is not known to the onnxruntime engine; it knows "
                     "intra_op_thread_count, inter_op_thread_count, execution_mode, "
                     "optimization.graph.level, graph_optimization_level, enable_mem_arena, "
                     "enable_mem_pattern, arena_extend_strategy, "
                     "memory.enable_memory_arena_shrinkage, share_session, execution_providers, "
                     "<provider>.<key>, session.*, optimization.*, ep.*, mlas.*",
                     TERN_STR_ARG(key));
}

/* "cuda.device_id" belongs to the provider cuda, if that was named. */
static struct tern_onnx_provider *provider_of(struct tern_onnx_options *options,
                                              struct tern_str key, struct tern_str *ret_rest)
{
    size_t dot = tern_str_find(key, '.');
    if (dot == key.n)
        return NULL;
    for (uint32_t i = 0; i < options->n_providers; i++)
        if (tern_str_eq_nocase(options->providers[i].name, tern_str_make(key.p, dot))) {
            *ret_rest = tern_str_from(key, dot + 1);
            return &options->providers[i];
        }
    return NULL;
}

static enum tern_code read_dotted(const struct tern_engine_option *option, struct tern_arena *arena,
                                  struct tern_onnx_options *options, struct tern_err *err)
{
    struct tern_str rest = {NULL, 0};

    if (tern_str_eq(option->key, TERN_STR("memory.enable_memory_arena_shrinkage"))) {
        const char *key;
        return keep(arena, option->key, option->value, &key, &options->shrinkage, err);
    }
    struct tern_onnx_provider *provider = provider_of(options, option->key, &rest);
    if (provider != NULL) {
        uint32_t at = provider->n++;
        return keep(arena, rest, option->value, &provider->keys[at], &provider->values[at], err);
    }
    for (size_t i = 0; i < TERN_COUNT_OF(reserved); i++)
        if (tern_str_eq(option->key, tern_str_of(reserved[i])))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "option %s cannot be set", reserved[i]);
    for (size_t i = 0; i < TERN_COUNT_OF(entry_prefixes); i++)
        if (tern_str_starts(option->key, tern_str_of(entry_prefixes[i]))) {
            struct tern_onnx_entry *entry = &options->entries[options->n_entries++];
            return keep(arena, option->key, option->value, &entry->key, &entry->value, err);
        }
    if (tern_str_eq(option->key, TERN_STR("execute_delay_ms")))
        return TERN_OK; /* for a backend of Triton's tests; its example of a sequence model has it
                         */
    return fail_unknown(option->key, err);
}

static enum tern_code read_option(const struct tern_engine_option *option, struct tern_arena *arena,
                                  struct tern_onnx_options *options, struct tern_err *err)
{
    for (size_t i = 0; i < TERN_COUNT_OF(settings); i++) {
        if (!tern_str_eq(option->key, tern_str_of(settings[i].key)))
            continue;
        int value = 0;
        TERN_TRY(read_word(option, settings[i].words, &value, err));
        set(options, settings[i].setting, value);
        return TERN_OK;
    }
    if (tern_str_eq(option->key, TERN_STR("intra_op_thread_count")))
        return read_threads(option, &options->intra_threads, err);
    if (tern_str_eq(option->key, TERN_STR("inter_op_thread_count")))
        return read_threads(option, &options->inter_threads, err);
    if (tern_str_eq(option->key, TERN_STR("execution_providers")))
        return TERN_OK; /* read before the others */
    return read_dotted(option, arena, options, err);
}

enum tern_code tern_onnx_options_parse(const struct tern_engine_load *spec,
                                       struct tern_arena *arena,
                                       struct tern_onnx_options *ret_options, struct tern_err *err)
{
    struct tern_onnx_options options = {
        .intra_threads = spec->threads > 0 ? spec->threads : 1,
        .graph_level = 99,
        .arena = TERN_ONNX_AUTO,
        .pattern = TERN_ONNX_AUTO,
        .share = TERN_ONNX_AUTO,
        .extend_strategy = -1,
    };

    options.entries = tern_arena_zalloc(arena, spec->n_options + 1u, sizeof(*options.entries));
    if (options.entries == NULL)
        return tern_arena_fail(arena, err, "the model's options");
    for (uint32_t i = 0; i < spec->n_options; i++)
        if (tern_str_eq(spec->options[i].key, TERN_STR("execution_providers")))
            TERN_TRY(read_providers(&spec->options[i], arena, spec->n_options, &options, err));
    for (uint32_t i = 0; i < spec->n_options; i++)
        TERN_TRY(read_option(&spec->options[i], arena, &options, err));
    *ret_options = options;
    return TERN_OK;
}

/* ---- execution providers ---- */

/* Without "ExecutionProvider" at its end: how the library's list spells them, and nobody else. */
static struct tern_str short_name(struct tern_str name)
{
    static const char suffix[] = "executionprovider";
    size_t n = sizeof(suffix) - 1;
    if (name.n > n && tern_str_eq_nocase(tern_str_from(name, name.n - n), tern_str_make(suffix, n)))
        name.n -= n;
    return name;
}

static bool is_provider(struct tern_str name, const char *wanted)
{
    return tern_str_eq_nocase(short_name(name), tern_str_of(wanted));
}

bool tern_onnx_options_has_device(const struct tern_onnx_options *options)
{
    for (uint32_t i = 0; i < options->n_providers; i++)
        if (!is_provider(options->providers[i].name, "cpu"))
            return true;
    return false;
}

/* Whether the library was built with it; the error lists what there is. */
static enum tern_code check_available(const struct tern_ort *ort, struct tern_str wanted,
                                      char name[NAME_MAX_BYTES + 1], struct tern_err *err)
{
    char **list;
    int n;
    char known[256] = "";
    size_t used = 0;
    bool found = false;

    TERN_TRY(
        tern_ort_check(ort, ort->api.GetAvailableProviders(&list, &n), "execution_providers", err));
    for (int i = 0; i < n && !found; i++) {
        struct tern_str one = short_name(tern_str_of(list[i]));
        found = tern_str_eq_nocase(one, short_name(wanted)) &&
                tern_str_copy_z(one, name, NAME_MAX_BYTES + 1);
        if (used < sizeof(known))
            used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%.*s",
                                     i == 0 ? "" : ", ", TERN_STR_ARG(one));
    }
    struct ort_status *status = ort->api.ReleaseAvailableProviders(list, n);
    TERN_TRY(tern_ort_check(ort, status, "execution_providers", err));
    if (!found)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "option execution_providers: this ONNX Runtime (%s) has no provider "
                         "\"%.*s\"; it has %s",
                         ort->version, TERN_STR_ARG(wanted), known);
    return TERN_OK;
}

static enum tern_code append_cuda(const struct tern_ort *ort,
                                  const struct tern_onnx_provider *provider,
                                  struct ort_session_options *session_options, struct tern_err *err)
{
    static const char what[] = "option execution_providers";
    const struct ort_api *api = &ort->api;
    struct ort_cuda_options *cuda;
    struct ort_status *status = NULL;

    TERN_TRY(tern_ort_check(ort, api->CreateCUDAProviderOptions(&cuda), what, err));
    if (provider->n > 0)
        status =
            api->UpdateCUDAProviderOptions(cuda, provider->keys, provider->values, provider->n);
    if (status == NULL)
        status = api->SessionOptionsAppendExecutionProvider_CUDA_V2(session_options, cuda);
    api->ReleaseCUDAProviderOptions(cuda);
    return tern_ort_check(ort, status, what, err);
}

/* The call knows providers by short names whose capitals differ from those of the library's list:
 * XNNPACK, there XnnpackExecutionProvider. */
static struct ort_status *append_named(const struct tern_ort *ort,
                                       const struct tern_onnx_provider *provider, const char *name,
                                       struct ort_session_options *session_options)
{
    char upper[NAME_MAX_BYTES + 1];
    size_t n = 0;

    struct ort_status *status = ort->api.SessionOptionsAppendExecutionProvider(
        session_options, name, provider->keys, provider->values, provider->n);
    if (status == NULL)
        return NULL;
    ort->api.ReleaseStatus(status);
    for (; n < NAME_MAX_BYTES && name[n] != '\0'; n++)
        upper[n] = (char)toupper((unsigned char)name[n]);
    upper[n] = '\0';
    return ort->api.SessionOptionsAppendExecutionProvider(session_options, upper, provider->keys,
                                                          provider->values, provider->n);
}

static enum tern_code append_provider(const struct tern_ort *ort,
                                      const struct tern_onnx_provider *provider,
                                      struct ort_session_options *session_options,
                                      struct tern_err *err)
{
    char name[NAME_MAX_BYTES + 1];

    TERN_TRY(check_available(ort, provider->name, name, err));
    if (is_provider(provider->name, "cpu"))
        return TERN_OK; /* is always there, last */
    if (is_provider(provider->name, "cuda"))
        return append_cuda(ort, provider, session_options, err);
    return tern_ort_check(ort, append_named(ort, provider, name, session_options),
                          "option execution_providers", err);
}

/* ---- applying ---- */

static struct ort_status *apply_numbers(const struct ort_api *api,
                                        const struct tern_onnx_options *options,
                                        struct ort_session_options *to)
{
    struct ort_status *status = api->SetIntraOpNumThreads(to, (int)options->intra_threads);
    if (status == NULL && (options->is_parallel || options->inter_threads > 0))
        status = api->SetInterOpNumThreads(to, (int)options->inter_threads);
    if (status == NULL)
        status = api->SetSessionExecutionMode(to, options->is_parallel ? 1 : 0);
    if (status == NULL)
        status = api->SetSessionGraphOptimizationLevel(to, options->graph_level);
    if (status == NULL && options->arena == TERN_ONNX_OFF)
        status = api->DisableCpuMemArena(to);
    if (status == NULL && options->pattern == TERN_ONNX_OFF)
        status = api->DisableMemPattern(to);
    return status;
}

static struct ort_status *apply_entries(const struct ort_api *api,
                                        const struct tern_onnx_options *options,
                                        struct ort_session_options *to)
{
    /* A pool that spins burns a core for a second after each run; nothing is lost without. */
    struct ort_status *status =
        api->AddSessionConfigEntry(to, "session.intra_op.allow_spinning", "0");
    if (status == NULL)
        status = api->AddSessionConfigEntry(to, "session.inter_op.allow_spinning", "0");
    /* Weights in an arena would round its size up, and keep it from ever shrinking. */
    if (status == NULL)
        status =
            api->AddSessionConfigEntry(to, "session.use_device_allocator_for_initializers", "1");
    if (status == NULL && options->extend_strategy >= 0)
        status = api->AddSessionConfigEntry(to, "session.use_env_allocators", "1");
    for (uint32_t i = 0; i < options->n_entries && status == NULL; i++)
        status = api->AddSessionConfigEntry(to, options->entries[i].key, options->entries[i].value);
    return status;
}

static enum tern_code apply(const struct tern_ort *ort, const struct tern_onnx_options *options,
                            const char *log_id, struct ort_session_options *to,
                            struct tern_err *err)
{
    const struct ort_api *api = &ort->api;

    TERN_TRY(tern_ort_check(ort, api->SetSessionLogId(to, log_id), "session options", err));
    TERN_TRY(tern_ort_check(ort, apply_numbers(api, options, to), "session options", err));
    TERN_TRY(tern_ort_check(ort, apply_entries(api, options, to), "session options", err));
    if (options->extend_strategy >= 0)
        TERN_TRY(tern_ort_share_arena(ort, (uint32_t)options->extend_strategy, err));
    for (uint32_t i = 0; i < options->n_providers; i++)
        TERN_TRY(append_provider(ort, &options->providers[i], to, err));
    return TERN_OK;
}

enum tern_code tern_onnx_options_apply(const struct tern_ort *ort,
                                       const struct tern_onnx_options *options, const char *log_id,
                                       struct ort_session_options **ret_session_options,
                                       struct tern_err *err)
{
    struct ort_session_options *to;

    TERN_TRY(tern_ort_check(ort, ort->api.CreateSessionOptions(&to), "session options", err));
    enum tern_code code = apply(ort, options, log_id, to, err);
    if (code != TERN_OK) {
        ort->api.ReleaseSessionOptions(to);
        return code;
    }
    *ret_session_options = to;
    return TERN_OK;
}
