/* Over gRPC: the settings of traces and of the log. One call both reads and changes them: a request
 * without settings only looks, which every listener allows, so the row is the operation that reads
 * and decode raises it. */
#include "proto/oip_grpc_admin.h"

typedef enum tern_code value_fn(struct tern_call *call, struct tern_str message,
                                struct tern_setting *ret, struct tern_err *err);

/* The row of that key, or a new one; of a key that stands there twice the last counts, as in every
 * map. NULL without memory. */
static struct tern_setting *row_of(struct tern_call *call, struct tern_str key)
{
    struct tern_settings *settings = &call->settings;

    if (settings->rows == NULL)
        settings->rows =
            tern_arena_zalloc(call->arena, TERN_SETTINGS_MAX + 1, sizeof(struct tern_setting));
    if (settings->rows == NULL)
        return NULL;
    for (uint32_t i = 0; i < settings->n; i++) {
        if (tern_str_eq(settings->rows[i].key, key))
            return &settings->rows[i];
    }
    return &settings->rows[settings->n++];
}

static enum tern_code read_setting(struct tern_call *call, const struct tern_pb_field *field,
                                   value_fn *read_value, struct tern_err *err)
{
    struct tern_str key, value;

    TERN_TRY(tern_pb_want(field, TERN_PB_BYTES, "settings", err));
    TERN_TRY(tern_oip_grpc_read_entry(field->bytes, "settings", &key, &value, err));
    struct tern_setting *setting = row_of(call, key);
    if (setting == NULL)
        return tern_arena_fail(call->arena, err, "the settings");
    if (call->settings.n > TERN_SETTINGS_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "settings: more than %d of them",
                         TERN_SETTINGS_MAX);
    *setting = (struct tern_setting){.key = key};
    return read_value(call, value, setting, err);
}

/* TraceSettingRequest.SettingValue: value = 1, repeated; none: the setting is cleared */
static enum tern_code read_texts(struct tern_call *call, struct tern_str message,
                                 struct tern_setting *ret, struct tern_err *err)
{
    struct tern_str *values =
        tern_arena_zalloc(call->arena, TERN_SETTING_VALUES_MAX, sizeof(*values));
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;

    if (values == NULL)
        return tern_arena_fail(call->arena, err, "the settings");
    ret->kind = TERN_SETTING_TEXT;
    ret->values = values;
    tern_pb_init(&pb, message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        if (field.number != 1)
            continue;
        if (ret->n == TERN_SETTING_VALUES_MAX)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "setting '%.*s': more than %d values",
                             TERN_STR_ARG(ret->key), TERN_SETTING_VALUES_MAX);
        TERN_TRY(tern_pb_text(&field, "settings", &values[ret->n++], err));
    }
    ret->clear = ret->n == 0;
    return TERN_OK;
}

/* LogSettingsRequest.SettingValue: bool = 1, uint32 = 2, string = 3 */
static enum tern_code read_choice(struct tern_call *call, struct tern_str message,
                                  struct tern_setting *ret, struct tern_err *err)
{
    struct tern_str *text = tern_arena_zalloc(call->arena, 1, sizeof(*text));
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more, any = false;

    if (text == NULL)
        return tern_arena_fail(call->arena, err, "the settings");
    tern_pb_init(&pb, message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        any |= field.number >= 1 && field.number <= 3;
        if (field.number == 1) {
            TERN_TRY(tern_pb_want(&field, TERN_PB_VARINT, "bool_param", err));
            ret->kind = TERN_SETTING_BOOL;
            ret->boolean = field.value != 0;
        } else if (field.number == 2) {
            TERN_TRY(tern_pb_want(&field, TERN_PB_VARINT, "uint32_param", err));
            ret->kind = TERN_SETTING_NUMBER;
            ret->number = (uint32_t)field.value;
        } else if (field.number == 3) {
            TERN_TRY(tern_pb_text(&field, "string_param", text, err));
            ret->kind = TERN_SETTING_TEXT;
            ret->values = text;
            ret->n = 1;
        }
    }
    if (!any)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "setting '%.*s' has no value",
                         TERN_STR_ARG(ret->key));
    return TERN_OK;
}

static enum tern_code read_request(struct tern_call *call, value_fn *read_value,
                                   enum tern_op update, struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;

    tern_pb_init(&pb, call->message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        if (field.number == 1)
            TERN_TRY(read_setting(call, &field, read_value, err));
        if (field.number == 2 && update == TERN_OP_TRACE_UPDATE)
            TERN_TRY(tern_pb_text(&field, "model_name", &call->model, err));
    }
    if (call->settings.n > 0)
        call->op = update;
    return TERN_OK;
}

/* TraceSettingRequest: settings = 1, model_name = 2 */
enum tern_code tern_oip_grpc_decode_trace(struct tern_call *call, struct tern_err *err)
{
    return read_request(call, read_texts, TERN_OP_TRACE_UPDATE, err);
}

/* LogSettingsRequest: settings = 1 */
enum tern_code tern_oip_grpc_decode_log(struct tern_call *call, struct tern_err *err)
{
    return read_request(call, read_choice, TERN_OP_LOG_UPDATE, err);
}

static void add_texts(struct tern_buf *out, const struct tern_setting *setting)
{
    for (uint32_t i = 0; i < setting->n; i++)
        tern_pb_add_bytes(out, 1, setting->values[i]);
}

static void add_choice(struct tern_buf *out, const struct tern_setting *setting)
{
    switch (setting->kind) {
    case TERN_SETTING_BOOL:
        tern_pb_add_varint(out, 1, setting->boolean);
        break;
    case TERN_SETTING_NUMBER:
        tern_pb_add_varint(out, 2, setting->number);
        break;
    case TERN_SETTING_TEXT:
        tern_pb_add_bytes(out, 3, setting->n > 0 ? setting->values[0] : tern_str_make(NULL, 0));
        break;
    }
}

/* Both answers: settings = 1, a map of what holds now */
static enum tern_code encode_settings(struct tern_call *call,
                                      void (*add_value)(struct tern_buf *out,
                                                        const struct tern_setting *setting),
                                      struct tern_err *err)
{
    struct tern_buf *out = call->x->out;

    for (uint32_t i = 0; i < call->settings.n; i++) {
        size_t entry = tern_pb_open(out, 1);
        tern_pb_add_bytes(out, 1, call->settings.rows[i].key);
        size_t value = tern_pb_open(out, 2);
        add_value(out, &call->settings.rows[i]);
        tern_pb_close(out, value);
        tern_pb_close(out, entry);
    }
    return tern_buf_check(out, "the response", err);
}

enum tern_code tern_oip_grpc_encode_trace(struct tern_call *call, struct tern_err *err)
{
    return encode_settings(call, add_texts, err);
}

enum tern_code tern_oip_grpc_encode_log(struct tern_call *call, struct tern_err *err)
{
    return encode_settings(call, add_choice, err);
}
