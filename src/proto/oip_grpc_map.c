/* What the messages of the administrative calls have in common. */
#include "proto/oip_grpc_admin.h"

enum tern_code tern_oip_grpc_read_entry(struct tern_str entry, const char *what,
                                        struct tern_str *ret_key, struct tern_str *ret_value,
                                        struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;

    *ret_key = *ret_value = tern_str_make(NULL, 0);
    tern_pb_init(&pb, entry);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            return TERN_OK;
        if (field.number == 1)
            TERN_TRY(tern_pb_text(&field, what, ret_key, err));
        if (field.number == 2) {
            TERN_TRY(tern_pb_want(&field, TERN_PB_BYTES, what, err));
            *ret_value = field.bytes;
        }
    }
}

enum tern_grpc_form tern_oip_grpc_form(const struct tern_call *call)
{
    const struct tern_listener_info *listener = call->x->listener;

    return listener == NULL ? TERN_GRPC_FORM_TRITON : listener->grpc_form;
}

enum tern_code tern_oip_grpc_encode_empty(struct tern_call *call, struct tern_err *err)
{
    (void)call, (void)err;
    return TERN_OK;
}
