#include "engine/onnx/ort.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/num.h"
#include "os/dl.h"

#define PATH_CAP 4096

/* What belongs to the process; see ort.h. */
static struct {
    pthread_mutex_t lock;          /* over everything here */
    pthread_mutex_t sessions_lock; /* held while a session is created */
    char *library;                 /* owned: as configured; NULL for the usual places */
    void (*log)(void *arg, int level, const char *text);
    void *log_arg;
    struct tern_dl *dl; /* owned, never closed; NULL: not found yet */
    bool has_arena;     /* the environment has an arena of this strategy */
    uint32_t arena_strategy;
    struct tern_ort ort;
} process = {.lock = PTHREAD_MUTEX_INITIALIZER, .sessions_lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- errors ---- */

static bool is_path_end(char c)
{
    return c == '\0' || strchr(" \t\n\"'`,;()[]<>:", c) != NULL;
}

void tern_ort_strip_paths(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0';) {
        bool starts = *from == '/' && (from == text || is_path_end(from[-1]));
        if (!starts) {
            *to++ = *from++;
            continue;
        }
        const char *last = from; /* after the last slash of this path */
        const char *end = from;
        for (; !is_path_end(*end); end++)
            last = *end == '/' ? end + 1 : last;
        memmove(to, last, (size_t)(end - last));
        to += end - last;
        from = end;
    }
    *to = '\0';
}

static enum tern_code code_of(int ort_code)
{
    switch (ort_code) {
    case ORT_INVALID_ARGUMENT:
    case ORT_INVALID_PROTOBUF:
    case ORT_INVALID_GRAPH:
    case ORT_NO_MODEL:
        return TERN_INVALID_ARGUMENT;
    case ORT_NO_SUCHFILE:
        return TERN_NOT_FOUND;
    case ORT_NOT_IMPLEMENTED:
        return TERN_UNIMPLEMENTED;
    default:
        return TERN_INTERNAL;
    }
}

enum tern_code tern_ort_fail(const struct tern_ort *ort, struct ort_status *status,
                             const char *doing, struct tern_err *err)
{
    if (status == NULL)
        return TERN_OK;
    enum tern_code code = code_of(ort->api.GetErrorCode(status));
    tern_fail(err, code, "%s%s%s", doing, doing[0] == '\0' ? "" : ": ",
              ort->api.GetErrorMessage(status));
    if (err != NULL)
        tern_ort_strip_paths(err->text);
    ort->api.ReleaseStatus(status);
    return code;
}

void tern_ort_release_value(void *value)
{
    process.ort.api.ReleaseValue(value);
}

/* ---- trusting a library ---- */

/* "1.30.0" -> 30. */
static bool parse_minor(const char *version, uint32_t *ret_minor)
{
    struct tern_str rest = tern_str_of(version);
    struct tern_str major;
    struct tern_str minor;
    uint64_t value;

    if (!tern_str_split(&rest, '.', &major) || !tern_str_split(&rest, '.', &minor) ||
        !tern_str_eq(major, TERN_STR("1")) || !tern_num_parse_u64(minor, 10000, &value))
        return false;
    *ret_minor = (uint32_t)value;
    return true;
}

// NOLINTBEGIN(bugprone-macro-parentheses): as in ort_abi.h
static void fill_api(const ort_slot_fn *slots, uint32_t api_version, struct ort_api *ret_api)
{
#define X(result, name, slot, parameters) ret_api->name = (result(*) parameters)slots[slot];
#define X_NEWER(result, name, slot, first, parameters) \
    ret_api->name = api_version >= (first) ? (result(*) parameters)slots[slot] : NULL;
    TERN_ORT_SLOTS(X)
    TERN_ORT_NEWER_SLOTS(X_NEWER)
#undef X
#undef X_NEWER
}
// NOLINTEND(bugprone-macro-parentheses)

/* A round trip through four slots: a table that is not what we think fails here, not in a run. */
static bool self_test(const struct ort_api *api)
{
    static const char text[] = "tern self-test";
    struct ort_status *status = api->CreateStatus(ORT_NO_MODEL, text);
    if (status == NULL)
        return false;
    bool good = api->GetErrorCode(status) == ORT_NO_MODEL &&
                strcmp(api->GetErrorMessage(status), text) == 0;
    api->ReleaseStatus(status);
    return good;
}

static enum tern_code trust(struct tern_dl *dl, struct tern_ort *ret_ort, struct tern_err *err)
{
    tern_dl_fn fn;
    uint32_t minor;
    struct tern_ort ort = {0};

    TERN_TRY(tern_dl_symbol(dl, "OrtGetApiBase", &fn, err));
    const struct ort_api_base *base = ((const struct ort_api_base *(*)(void))fn)();
    const char *version = base == NULL ? NULL : base->get_version();
    if (version == NULL || !tern_str_copy_z(tern_str_of(version), ort.version, 32) ||
        !parse_minor(version, &minor))
        return tern_fail(err, TERN_UNAVAILABLE, "the library does not say that it is 1.x");
    if (minor < TERN_ORT_API_MIN)
        return tern_fail(err, TERN_UNAVAILABLE, "release %s is too old: 1.%d or later is needed",
                         ort.version, TERN_ORT_API_MIN);
    ort.api_version = minor < TERN_ORT_API_MAX ? minor : TERN_ORT_API_MAX;
    const ort_slot_fn *slots = base->get_api(ort.api_version);
    if (slots == NULL)
        return tern_fail(err, TERN_UNAVAILABLE, "release %s refuses API version %u", ort.version,
                         ort.api_version);
    fill_api(slots, ort.api_version, &ort.api);
    if (!self_test(&ort.api))
        return tern_fail(err, TERN_UNAVAILABLE, "release %s failed the self-test", ort.version);
    *ret_ort = ort;
    return TERN_OK;
}

/* ---- finding it ---- */

/* Loads and tests one candidate into process. */
static enum tern_code try_library(const char *name, struct tern_err *err)
{
    struct tern_dl *dl;
    struct tern_ort ort;

    TERN_TRY(tern_dl_open(name, &dl, err));
    enum tern_code code = trust(dl, &ort, err);
    if (code != TERN_OK) {
        tern_dl_close(dl);
        return code;
    }
    process.dl = dl;
    process.ort = ort;
    return TERN_OK;
}

/* A named library is the only candidate: falling back to another one would hide the mistake. */
static enum tern_code try_named(const char *name, const char *source, struct tern_err *err)
{
    struct tern_err why;
    if (try_library(name, &why) == TERN_OK)
        return TERN_OK;
    tern_ort_strip_paths(why.text);
    return tern_fail(err, TERN_UNAVAILABLE,
                     "ONNX Runtime cannot be loaded from %s: %s; `make onnxruntime` gets one",
                     source, why.text);
}

/* Beside the program, where `make onnxruntime` and a packed folder put it. A file that is there and
 * cannot be used leaves its reason in err. */
static bool try_beside_program(struct tern_err *err)
{
    static const char *const places[] = {
        "/../onnxruntime/lib/libonnxruntime.so",
        "/../onnxruntime/lib/libonnxruntime.so.1",
        "/onnxruntime/lib/libonnxruntime.so",
        "/onnxruntime/lib/libonnxruntime.so.1",
    };
    char folder[PATH_CAP];
    char path[PATH_CAP + 64];

    if (tern_dl_exe_folder(folder, sizeof(folder), NULL) != TERN_OK)
        return false;
    for (size_t i = 0; i < TERN_COUNT_OF(places); i++) {
        snprintf(path, sizeof(path), "%s%s", folder, places[i]);
        if (access(path, R_OK) == 0 && try_library(path, err) == TERN_OK)
            return true;
    }
    return false;
}

/* Where the system looks. Debian names the file after the release, 1.21 first. */
static bool try_system(void)
{
    char name[64];

    if (try_library("libonnxruntime.so.1", NULL) == TERN_OK ||
        try_library("libonnxruntime.so", NULL) == TERN_OK)
        return true;
    for (int minor = TERN_ORT_API_MAX + 8; minor >= TERN_ORT_API_MIN; minor--) {
        snprintf(name, sizeof(name), "libonnxruntime.so.1.%d", minor);
        if (try_library(name, NULL) == TERN_OK)
            return true;
    }
    return false;
}

static enum tern_code find_library(struct tern_err *err)
{
    struct tern_err why = {0};
    const char *from_environment = getenv("TERN_ONNXRUNTIME");

    if (process.library != NULL)
        return try_named(process.library, "the configured library", err);
    if (from_environment != NULL && from_environment[0] != '\0')
        return try_named(from_environment, "TERN_ONNXRUNTIME", err);
    if (try_beside_program(&why) || try_system())
        return TERN_OK;
    tern_ort_strip_paths(why.text);
    return tern_fail(err, TERN_UNAVAILABLE,
                     "ONNX Runtime %s%s%s; get it with `make onnxruntime`, or install Debian's "
                     "libonnxruntime package, or set TERN_ONNXRUNTIME=/path/to/libonnxruntime.so",
                     why.text[0] == '\0' ? "was not found" : "cannot be used (", why.text,
                     why.text[0] == '\0' ? "" : ")");
}

/* ---- the environment ---- */

static void on_log(void *arg, int level, const char *category, const char *log_id,
                   const char *code_location, const char *message)
{
    char text[1024];

    (void)arg;
    (void)category;
    (void)code_location;
    if (process.log == NULL || level < ORT_LOG_WARNING)
        return;
    snprintf(text, sizeof(text), "%s: %s", log_id == NULL || *log_id == '\0' ? "onnx" : log_id,
             message);
    tern_ort_strip_paths(text);
    process.log(process.log_arg, level, text);
}

static enum tern_code start_env(struct tern_err *err)
{
    struct tern_ort *ort = &process.ort;
    struct ort_env *env;

    TERN_TRY(tern_ort_check(
        ort, ort->api.CreateEnvWithCustomLogger(on_log, NULL, ORT_LOG_WARNING, "onnx", &env),
        "ONNX Runtime cannot start", err));
    struct ort_status *status =
        ort->api.CreateCpuMemoryInfo(ORT_ALLOCATOR_ARENA, ORT_MEMORY_DEFAULT, &ort->cpu);
    if (status == NULL)
        status = ort->api.GetAllocatorWithDefaultOptions(&ort->allocator);
    if (status != NULL) {
        ort->api.ReleaseEnv(env);
        return tern_ort_fail(ort, status, "ONNX Runtime cannot start", err);
    }
    ort->env = env;
    return TERN_OK;
}

/* Official builds of the library (1.29 and later) report its use to their maker: they keep a device
 * id and a database in the home folder, and a thread that sends. A server does not do that unasked,
 * and it costs a third of the start. The library looks when its environment is made. */
static void opt_out_of_reports(void)
{
    (void)setenv("ORT_DISABLE_TELEMETRY", "1", 0); /* what the operator says stands */
}

enum tern_code tern_ort_configure(const struct tern_onnx_config *config, struct tern_err *err)
{
    char *library = NULL;

    if (config->library != NULL && config->library[0] != '\0') {
        struct tern_str path = tern_str_of(config->library);
        library = tern_mem_strdup(path);
        if (library == NULL)
            return tern_mem_fail(err, "the library's path", path.n);
    }
    pthread_mutex_lock(&process.lock);
    tern_mem_free(process.library);
    process.library = library;
    process.log = config->log;
    process.log_arg = config->log_arg;
    pthread_mutex_unlock(&process.lock);
    opt_out_of_reports();
    return TERN_OK;
}

enum tern_code tern_ort_find(const struct tern_ort **ret_ort, struct tern_err *err)
{
    pthread_mutex_lock(&process.lock);
    enum tern_code code = process.dl != NULL ? TERN_OK : find_library(err);
    pthread_mutex_unlock(&process.lock);
    if (code == TERN_OK)
        *ret_ort = &process.ort;
    return code;
}

enum tern_code tern_ort_start(const struct tern_ort **ret_ort, struct tern_err *err)
{
    pthread_mutex_lock(&process.lock);
    enum tern_code code = process.dl != NULL ? TERN_OK : find_library(err);
    if (code == TERN_OK && process.ort.env == NULL)
        code = start_env(err);
    pthread_mutex_unlock(&process.lock);
    if (code == TERN_OK)
        *ret_ort = &process.ort;
    return code;
}

void tern_ort_stop(void)
{
    pthread_mutex_lock(&process.lock);
    if (process.ort.env != NULL) {
        process.ort.api.ReleaseMemoryInfo(process.ort.cpu);
        process.ort.api.ReleaseEnv(process.ort.env);
        process.ort.cpu = NULL;
        process.ort.env = NULL;
        process.has_arena = false;
    }
    tern_mem_free(process.library);
    process.library = NULL;
    pthread_mutex_unlock(&process.lock);
}

enum tern_code tern_ort_session_new(const struct tern_ort *ort, struct tern_str bytes,
                                    const struct ort_session_options *options,
                                    struct ort_session **ret_session, struct tern_err *err)
{
    pthread_mutex_lock(&process.sessions_lock);
    struct ort_status *status =
        ort->api.CreateSessionFromArray(ort->env, bytes.p, bytes.n, options, ret_session);
    pthread_mutex_unlock(&process.sessions_lock);
    return tern_ort_check(ort, status, "", err);
}

static enum tern_code register_arena(const struct tern_ort *ort, uint32_t strategy,
                                     struct tern_err *err)
{
    static const char *const keys[] = {"arena_extend_strategy"};
    struct ort_arena_config *config;
    const size_t value = strategy;

    TERN_TRY(tern_ort_check(ort, ort->api.CreateArenaCfgV2(keys, &value, 1, &config),
                            "arena_extend_strategy", err));
    struct ort_status *status = ort->api.CreateAndRegisterAllocator(ort->env, ort->cpu, config);
    ort->api.ReleaseArenaCfg(config);
    return tern_ort_check(ort, status, "arena_extend_strategy", err);
}

enum tern_code tern_ort_share_arena(const struct tern_ort *ort, uint32_t strategy,
                                    struct tern_err *err)
{
    enum tern_code code = TERN_OK;

    pthread_mutex_lock(&process.lock);
    if (!process.has_arena)
        code = register_arena(ort, strategy, err);
    else if (process.arena_strategy != strategy)
        code = tern_fail(err, TERN_FAILED_PRECONDITION,
                         "arena_extend_strategy is %u: another model of this server has %u, and "
                         "they share one arena",
                         strategy, process.arena_strategy);
    if (code == TERN_OK) {
        process.has_arena = true;
        process.arena_strategy = strategy;
    }
    pthread_mutex_unlock(&process.lock);
    return code;
}
