/* Shared memory of clients: which regions there are, register and unregister. */
#include "proto/oip_int.h"

enum member { MEMBER_KEY, MEMBER_OFFSET, MEMBER_BYTE_SIZE, MEMBER_DEVICE, MEMBER_HANDLE };

static enum tern_code read_u64(struct tern_json *json, struct tern_str key, uint64_t *ret,
                               struct tern_err *err)
{
    struct tern_param param;

    TERN_TRY(tern_oip_read_param(json, key, &param, err));
    return tern_param_u64(&param, ret, err);
}

/* {"b64": "..."} */
static enum tern_code read_handle(struct tern_json *json, struct tern_str *ret,
                                  struct tern_err *err)
{
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            return TERN_OK;
        if (tern_str_eq(key, TERN_STR("b64")))
            TERN_TRY(tern_json_string(json, ret, err));
        else
            TERN_TRY(tern_json_skip(json, err));
    }
}

static int member_of(struct tern_str key)
{
    static const struct {
        struct tern_str key;
        enum member member;
    } rows[] = {
        {{"key", 3}, MEMBER_KEY},
        {{"offset", 6}, MEMBER_OFFSET},
        {{"byte_size", 9}, MEMBER_BYTE_SIZE},
        {{"device_id", 9}, MEMBER_DEVICE},
        {{"raw_handle", 10}, MEMBER_HANDLE},
    };

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        if (tern_str_eq(key, rows[i].key))
            return (int)rows[i].member;
    }
    return -1;
}

static enum tern_code read_member(struct tern_call *call, struct tern_json *json,
                                  struct tern_str key, uint32_t *seen, struct tern_err *err)
{
    struct tern_region_row *region = &call->region;
    int member = member_of(key);

    if (member < 0)
        return tern_json_skip(json, err);
    TERN_TRY(tern_json_once(json, seen, (unsigned)member, key, err));
    switch ((enum member)member) {
    case MEMBER_KEY:
        return tern_json_string(json, &region->key, err);
    case MEMBER_OFFSET:
        return read_u64(json, key, &region->offset, err);
    case MEMBER_BYTE_SIZE:
        return read_u64(json, key, &region->byte_size, err);
    case MEMBER_DEVICE:
        return read_u64(json, key, &region->device_id, err);
    case MEMBER_HANDLE:
    default:
        return read_handle(json, &region->handle, err);
    }
}

static enum tern_code check_seen(struct tern_str name, bool cuda, uint32_t seen,
                                 struct tern_err *err)
{
    static const char *const names[] = {"key", "offset", "byte_size", "device_id", "raw_handle"};
    uint32_t needed = 1u << MEMBER_BYTE_SIZE |
                      (cuda ? 1u << MEMBER_DEVICE | 1u << MEMBER_HANDLE : 1u << MEMBER_KEY);

    for (unsigned i = 0; i < TERN_COUNT_OF(names); i++) {
        if ((needed >> i & 1) != 0 && (seen >> i & 1) == 0)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "Shared memory region '%.*s': the request has no '%s'",
                             TERN_STR_ARG(name), names[i]);
    }
    return TERN_OK;
}

static enum tern_code decode_register(struct tern_call *call, bool cuda, struct tern_err *err)
{
    uint32_t seen;

    call->region = (struct tern_region_row){.cuda = cuda, .name = call->name};
    TERN_TRY(tern_oip_check_content_type(call->x, err));
    TERN_TRY(tern_oip_read_object(call, call->message, read_member, &seen, err));
    return check_seen(call->name, cuda, seen, err);
}

enum tern_code tern_oip_decode_system_register(struct tern_call *call, struct tern_err *err)
{
    return decode_register(call, false, err);
}

enum tern_code tern_oip_decode_cuda_register(struct tern_call *call, struct tern_err *err)
{
    return decode_register(call, true, err);
}

enum tern_code tern_oip_decode_system_region(struct tern_call *call, struct tern_err *err)
{
    (void)err;
    call->region = (struct tern_region_row){.name = call->name};
    return TERN_OK;
}

enum tern_code tern_oip_decode_cuda_region(struct tern_call *call, struct tern_err *err)
{
    (void)err;
    call->region = (struct tern_region_row){.cuda = true, .name = call->name};
    return TERN_OK;
}

static void write_member(struct tern_buf *out, struct tern_str key, uint64_t value)
{
    tern_buf_add_char(out, ',');
    tern_json_add_string(out, key);
    tern_buf_add_char(out, ':');
    tern_buf_add_u64(out, value);
}

enum tern_code tern_oip_encode_regions(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);

    tern_buf_add_char(out, '[');
    for (uint32_t i = 0; i < call->n_regions; i++) {
        const struct tern_region_row *row = &call->regions[i];
        tern_buf_add_str(out, i > 0 ? TERN_STR(",{\"name\":") : TERN_STR("{\"name\":"));
        tern_json_add_string(out, row->name);
        if (row->cuda) {
            write_member(out, TERN_STR("device_id"), row->device_id);
        } else {
            TERN_BUF_ADD_LITERAL(out, ",\"key\":");
            tern_json_add_string(out, row->key);
            write_member(out, TERN_STR("offset"), row->offset);
        }
        write_member(out, TERN_STR("byte_size"), row->byte_size);
        tern_buf_add_char(out, '}');
    }
    tern_buf_add_char(out, ']');
    return tern_buf_check(out, "the response", err);
}

/* The status says it all. */
enum tern_code tern_oip_encode_region_done(struct tern_call *call, struct tern_err *err)
{
    (void)err;
    tern_oip_begin_json(call->x, 200);
    call->x->response_type = tern_str_make(NULL, 0);
    return TERN_OK;
}
