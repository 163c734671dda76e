/* The trace and logging extensions: an object of settings in, all settings that hold now out. */
#include "proto/oip_int.h"

static enum tern_code too_many(const char *what, uint32_t max, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "at most %u %s are read from one request", max,
                     what);
}

/* A text; a number is taken as its text. */
static enum tern_code read_text(struct tern_json *json, struct tern_str *ret, struct tern_err *err)
{
    struct tern_json_number number;

    if (tern_json_peek(json) != TERN_JSON_NUMBER)
        return tern_json_string(json, ret, err);
    const char *begin = json->p;
    TERN_TRY(tern_json_number(json, &number, err));
    *ret = tern_str_trim(tern_str_make(begin, (size_t)(json->p - begin)));
    return TERN_OK;
}

static enum tern_code read_list(struct tern_json *json, struct tern_str *values, uint32_t *ret_n,
                                struct tern_err *err)
{
    bool more;

    TERN_TRY(tern_json_array(json, err));
    for (*ret_n = 0;; (*ret_n)++) {
        TERN_TRY(tern_json_item(json, &more, err));
        if (!more)
            return TERN_OK;
        if (*ret_n == TERN_SETTING_VALUES_MAX)
            return too_many("values of one setting", TERN_SETTING_VALUES_MAX, err);
        TERN_TRY(read_text(json, &values[*ret_n], err));
    }
}

static enum tern_code read_value(struct tern_json *json, bool numbers_are_texts,
                                 struct tern_str *values, struct tern_setting *setting,
                                 struct tern_err *err)
{
    struct tern_json_number number;
    enum tern_json_kind kind = tern_json_peek(json);

    setting->kind = TERN_SETTING_TEXT;
    setting->values = values;
    setting->n = 1;
    if (kind == TERN_JSON_NULL) {
        setting->clear = true;
        return tern_json_null(json, err);
    }
    if (kind == TERN_JSON_BOOL) {
        setting->kind = TERN_SETTING_BOOL;
        return tern_json_bool(json, &setting->boolean, err);
    }
    if (kind == TERN_JSON_ARRAY)
        return read_list(json, values, &setting->n, err);
    if (kind != TERN_JSON_NUMBER || numbers_are_texts)
        return read_text(json, values, err);
    TERN_TRY(tern_json_number(json, &number, err));
    setting->kind = TERN_SETTING_NUMBER;
    if (number.kind != TERN_JSON_INT64 || number.int64 < 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expect unsigned int32 for '%.*s'",
                         TERN_STR_ARG(setting->key));
    setting->number = (uint64_t)number.int64;
    return TERN_OK;
}

static enum tern_code read_setting(struct tern_call *call, struct tern_json *json,
                                   struct tern_str key, bool numbers_are_texts,
                                   struct tern_err *err)
{
    if (call->settings.n == TERN_SETTINGS_MAX)
        return too_many("settings", TERN_SETTINGS_MAX, err);
    struct tern_setting *row = &call->settings.rows[call->settings.n++];
    struct tern_str *values =
        tern_arena_zalloc(call->arena, TERN_SETTING_VALUES_MAX, sizeof(*values));
    if (values == NULL)
        return tern_arena_fail(call->arena, err, "the settings");
    row->key = key;
    return read_value(json, numbers_are_texts, values, row, err);
}

static enum tern_code read_log_setting(struct tern_call *call, struct tern_json *json,
                                       struct tern_str key, uint32_t *seen, struct tern_err *err)
{
    (void)seen;
    return read_setting(call, json, key, false, err);
}

/* The trace settings are texts; that 5 means "5" is clear. */
static enum tern_code read_trace_setting(struct tern_call *call, struct tern_json *json,
                                         struct tern_str key, uint32_t *seen, struct tern_err *err)
{
    (void)seen;
    return read_setting(call, json, key, true, err);
}

/* Makes room for the settings; *ret_any: there is a body to read them from. */
static enum tern_code begin_settings(struct tern_call *call, bool *ret_any, struct tern_err *err)
{
    struct tern_setting *rows = tern_arena_zalloc(call->arena, TERN_SETTINGS_MAX, sizeof(*rows));

    TERN_TRY(tern_oip_check_content_type(call->x, err));
    if (rows == NULL)
        return tern_arena_fail(call->arena, err, "the settings");
    call->settings = (struct tern_settings){rows, 0};
    *ret_any = call->message.n > 0;
    return TERN_OK;
}

enum tern_code tern_oip_decode_log_settings(struct tern_call *call, struct tern_err *err)
{
    uint32_t seen;
    bool any;

    TERN_TRY(begin_settings(call, &any, err));
    return any ? tern_oip_read_object(call, call->message, read_log_setting, &seen, err) : TERN_OK;
}

enum tern_code tern_oip_decode_trace_settings(struct tern_call *call, struct tern_err *err)
{
    uint32_t seen;
    bool any;

    TERN_TRY(begin_settings(call, &any, err));
    return any ? tern_oip_read_object(call, call->message, read_trace_setting, &seen, err)
               : TERN_OK;
}

static void write_texts(struct tern_buf *out, const struct tern_setting *row)
{
    if (row->list)
        tern_buf_add_char(out, '[');
    for (uint32_t i = 0; i < row->n; i++) {
        if (i > 0)
            tern_buf_add_char(out, ',');
        tern_json_add_string(out, row->values[i]);
    }
    if (row->list)
        tern_buf_add_char(out, ']');
}

enum tern_code tern_oip_encode_settings(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);

    tern_buf_add_char(out, '{');
    for (uint32_t i = 0; i < call->settings.n; i++) {
        const struct tern_setting *row = &call->settings.rows[i];
        if (i > 0)
            tern_buf_add_char(out, ',');
        tern_json_add_string(out, row->key);
        tern_buf_add_char(out, ':');
        if (row->kind == TERN_SETTING_BOOL)
            tern_buf_add_str(out, row->boolean ? TERN_STR("true") : TERN_STR("false"));
        else if (row->kind == TERN_SETTING_NUMBER)
            tern_buf_add_u64(out, row->number);
        else
            write_texts(out, row);
    }
    tern_buf_add_char(out, '}');
    return tern_buf_check(out, "the response", err);
}
