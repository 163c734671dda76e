/* Over gRPC: regions of shared memory. */
#include "proto/oip_grpc_admin.h"

/* ...StatusRequest, ...UnregisterRequest: name = 1 */
static enum tern_code decode_region(struct tern_call *call, bool cuda, struct tern_err *err)
{
    call->region = (struct tern_region_row){.cuda = cuda};
    return tern_pb_find_text(call->message, 1, "name", &call->region.name, err);
}

enum tern_code tern_oip_grpc_decode_system_region(struct tern_call *call, struct tern_err *err)
{
    return decode_region(call, false, err);
}

enum tern_code tern_oip_grpc_decode_cuda_region(struct tern_call *call, struct tern_err *err)
{
    return decode_region(call, true, err);
}

static enum tern_code read_number(const struct tern_pb_field *field, const char *what,
                                  uint64_t *ret, struct tern_err *err)
{
    TERN_TRY(tern_pb_want(field, TERN_PB_VARINT, what, err));
    *ret = field->value;
    return TERN_OK;
}

/* SystemSharedMemoryRegisterRequest: name = 1, key = 2, offset = 3, byte_size = 4 */
static enum tern_code read_system_field(const struct tern_pb_field *field,
                                        struct tern_region_row *region, struct tern_err *err)
{
    switch (field->number) {
    case 1:
        return tern_pb_text(field, "name", &region->name, err);
    case 2:
        return tern_pb_text(field, "key", &region->key, err);
    case 3:
        return read_number(field, "offset", &region->offset, err);
    case 4:
        return read_number(field, "byte_size", &region->byte_size, err);
    default:
        return TERN_OK;
    }
}

/* CudaSharedMemoryRegisterRequest: name = 1, raw_handle = 2, device_id = 3, byte_size = 4 */
static enum tern_code read_cuda_field(const struct tern_pb_field *field,
                                      struct tern_region_row *region, struct tern_err *err)
{
    switch (field->number) {
    case 1:
        return tern_pb_text(field, "name", &region->name, err);
    case 2:
        TERN_TRY(tern_pb_want(field, TERN_PB_BYTES, "raw_handle", err));
        region->handle = field->bytes;
        return TERN_OK;
    case 3:
        return read_number(field, "device_id", &region->device_id, err);
    case 4:
        return read_number(field, "byte_size", &region->byte_size, err);
    default:
        return TERN_OK;
    }
}

static enum tern_code decode_register(struct tern_call *call, bool cuda,
                                      enum tern_code (*read)(const struct tern_pb_field *field,
                                                             struct tern_region_row *region,
                                                             struct tern_err *err),
                                      struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;

    call->region = (struct tern_region_row){.cuda = cuda};
    tern_pb_init(&pb, call->message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            return TERN_OK;
        TERN_TRY(read(&field, &call->region, err));
    }
}

enum tern_code tern_oip_grpc_decode_system_register(struct tern_call *call, struct tern_err *err)
{
    return decode_register(call, false, read_system_field, err);
}

enum tern_code tern_oip_grpc_decode_cuda_register(struct tern_call *call, struct tern_err *err)
{
    return decode_register(call, true, read_cuda_field, err);
}

/* ...StatusResponse: regions = 1, a map by name; of the system {name = 1, key = 2, offset = 3,
 * byte_size = 4}, of CUDA {name = 1, device_id = 2, byte_size = 3} */
enum tern_code tern_oip_grpc_encode_regions(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = call->x->out;

    for (uint32_t i = 0; i < call->n_regions; i++) {
        const struct tern_region_row *row = &call->regions[i];
        size_t entry = tern_pb_open(out, 1);
        tern_pb_add_bytes(out, 1, row->name);
        size_t status = tern_pb_open(out, 2);
        tern_pb_add_bytes(out, 1, row->name);
        if (row->cuda) {
            tern_pb_add_varint_unless_zero(out, 2, row->device_id);
            tern_pb_add_varint_unless_zero(out, 3, row->byte_size);
        } else {
            tern_pb_add_bytes(out, 2, row->key);
            tern_pb_add_varint_unless_zero(out, 3, row->offset);
            tern_pb_add_varint_unless_zero(out, 4, row->byte_size);
        }
        tern_pb_close(out, status);
        tern_pb_close(out, entry);
    }
    return tern_buf_check(out, "the response", err);
}
