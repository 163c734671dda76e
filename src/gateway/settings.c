/* The settings of traces and of the log, read and changed while the server runs, under Triton's
 * names. An update is checked whole before any of it is done. */
#include "gateway/gateway_int.h"

enum log_key {
    LOG_FILE,
    LOG_INFO,
    LOG_WARNING,
    LOG_ERROR,
    LOG_VERBOSE,
    LOG_FORMAT,
    LOG_KEYS,
};

static const struct {
    const char *key;
    enum tern_setting_kind kind;
    enum tern_log_level level; /* BOOL: what it turns on and off */
} log_rows[LOG_KEYS] = {
    [LOG_FILE] = {"log_file", TERN_SETTING_TEXT, TERN_LOG_ERROR},
    [LOG_INFO] = {"log_info", TERN_SETTING_BOOL, TERN_LOG_INFO},
    [LOG_WARNING] = {"log_warning", TERN_SETTING_BOOL, TERN_LOG_WARN},
    [LOG_ERROR] = {"log_error", TERN_SETTING_BOOL, TERN_LOG_ERROR},
    [LOG_VERBOSE] = {"log_verbose_level", TERN_SETTING_NUMBER, TERN_LOG_DEBUG},
    [LOG_FORMAT] = {"log_format", TERN_SETTING_TEXT, TERN_LOG_ERROR},
};

/* What an update comes to. */
struct log_wish {
    unsigned levels;
    uint32_t verbose;
    bool iso;
};

static enum tern_code check_kind(const struct tern_setting *setting, enum tern_setting_kind want,
                                 struct tern_err *err)
{
    static const char *const names[] = {
        [TERN_SETTING_BOOL] = "boolean",
        [TERN_SETTING_NUMBER] = "unsigned int32",
        [TERN_SETTING_TEXT] = "string",
    };

    if (setting->kind == want && (want != TERN_SETTING_TEXT || setting->n == 1) &&
        (want != TERN_SETTING_NUMBER || setting->number <= UINT32_MAX))
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT, "expect %s for '%.*s'", names[want],
                     TERN_STR_ARG(setting->key));
}

static enum tern_code read_format(const struct tern_setting *setting, bool *ret_iso,
                                  struct tern_err *err)
{
    struct tern_str text = setting->values[0];

    if (!tern_str_eq(text, TERN_STR("default")) && !tern_str_eq(text, TERN_STR("ISO8601")))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "invalid argument for log_format: expected default or ISO8601, got '%.*s'",
                         TERN_STR_ARG(text));
    *ret_iso = text.n == 7 && text.p[0] == 'I';
    return TERN_OK;
}

static enum tern_code read_log_setting(const struct tern_setting *setting, struct log_wish *wish,
                                       struct tern_err *err)
{
    unsigned key = 0;

    while (key < LOG_KEYS && !tern_str_eq(setting->key, tern_str_of(log_rows[key].key)))
        key++;
    if (key == LOG_KEYS)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "unknown log setting '%.*s', expected log_info, log_warning, log_error, "
                         "log_verbose_level or log_format",
                         TERN_STR_ARG(setting->key));
    if (setting->clear) /* JSON's null leaves a setting as it is */
        return TERN_OK;
    if (key == LOG_FILE)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "log file location can not be updated through network protocol");
    TERN_TRY(check_kind(setting, log_rows[key].kind, err));
    if (key == LOG_FORMAT)
        return read_format(setting, &wish->iso, err);
    bool on = key == LOG_VERBOSE ? setting->number > 0 : setting->boolean;
    if (key == LOG_VERBOSE)
        wish->verbose = (uint32_t)setting->number;
    wish->levels =
        (wish->levels & ~(1u << log_rows[key].level)) | ((unsigned)on << log_rows[key].level);
    return TERN_OK;
}

static enum tern_code update_log(struct gateway_call *gc, struct tern_log *log,
                                 struct tern_err *err)
{
    const struct tern_settings *settings = &gc->call.settings;
    struct log_wish wish = {
        .levels = atomic_load(&log->levels),
        .verbose = atomic_load(&gc->gateway->log_verbose),
        .iso = atomic_load(&log->iso_times),
    };

    for (uint32_t i = 0; i < settings->n; i++)
        TERN_TRY(read_log_setting(&settings->rows[i], &wish, err));
    atomic_store(&gc->gateway->log_verbose, wish.verbose);
    atomic_store(&log->iso_times, wish.iso);
    atomic_store(&log->levels, wish.levels);
    return TERN_OK;
}

/* The level that the options gave counts as 1: a client can say no more than "some". */
static uint32_t verbose_now(const struct gateway_call *gc, unsigned levels)
{
    uint32_t asked = atomic_load(&gc->gateway->log_verbose);

    if ((levels >> TERN_LOG_DEBUG & 1u) == 0)
        return 0;
    return asked > 0 ? asked : 1;
}

enum tern_code gateway_run_log(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    struct tern_log *log = tern_observer_log(gc->gateway->settings.observer);
    struct tern_call *call = &gc->call;

    (void)ret_pending;
    if (call->op == TERN_OP_LOG_UPDATE)
        TERN_TRY(update_log(gc, log, err));
    struct tern_setting *rows = tern_arena_zalloc(call->arena, LOG_KEYS, sizeof(*rows));
    struct tern_str *texts = tern_arena_zalloc(call->arena, LOG_KEYS, sizeof(*texts));
    if (rows == NULL || texts == NULL)
        return tern_arena_fail(call->arena, err, "the settings");
    unsigned levels = atomic_load(&log->levels);
    for (unsigned i = 0; i < LOG_KEYS; i++) {
        texts[i] = TERN_STR("");
        rows[i] = (struct tern_setting){
            .key = tern_str_of(log_rows[i].key),
            .kind = log_rows[i].kind,
            .boolean = (levels >> log_rows[i].level & 1u) != 0,
            .values = &texts[i],
            .n = 1,
        };
    }
    rows[LOG_VERBOSE].number = verbose_now(gc, levels);
    texts[LOG_FORMAT] = atomic_load(&log->iso_times) ? TERN_STR("ISO8601") : TERN_STR("default");
    call->settings = (struct tern_settings){rows, LOG_KEYS};
    return TERN_OK;
}

/* ---- traces ---- */

enum tern_code gateway_run_trace(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    struct tern_sampler *sampler = tern_observer_sampler(gc->gateway->settings.observer);
    struct tern_call *call = &gc->call;

    (void)ret_pending;
    if (sampler == NULL)
        return tern_fail(err, TERN_UNIMPLEMENTED, "traces are not set up");
    if (call->model.n > 0 && tern_snapshot_find(gc->loop->snapshot, call->model) == NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "Request for unknown model : %.*s",
                         TERN_STR_ARG(call->model));
    if (call->op == TERN_OP_TRACE_UPDATE)
        TERN_TRY(tern_sampler_update(sampler, call->model, &call->settings, err));
    return tern_sampler_read(sampler, call->model, call->arena, &call->settings, err);
}
