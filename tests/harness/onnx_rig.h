/* ONNX files written by hand, message by message: small graphs whose every part a test can damage.
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto */
#ifndef TERN_TESTS_ONNX_RIG_H
#define TERN_TESTS_ONNX_RIG_H

#include <string.h>
#include "base/buf.h"
#include "wire/pb.h"

enum { RIG_FLOAT = 1, RIG_INT64 = 7, RIG_STRING = 8 };

/* Text that ends at the first zero. */
static inline void rig_text(struct tern_buf *buf, uint32_t field, const char *text)
{
    tern_pb_add_bytes(buf, field, tern_str_of(text));
}

/* A list of names, separated by spaces; "-" is an empty one. */
static inline void rig_names(struct tern_buf *buf, uint32_t field, const char *names)
{
    struct tern_str rest = tern_str_of(names), name;

    while (rest.n > 0 && tern_str_split(&rest, ' ', &name))
        tern_pb_add_bytes(buf, field, tern_str_eq(name, TERN_STR("-")) ? TERN_STR("") : name);
}

static inline void rig_open_attr(struct tern_buf *buf, const char *name, uint64_t type,
                                 size_t *ret_mark)
{
    *ret_mark = tern_pb_open(buf, 5);
    rig_text(buf, 1, name);
    tern_pb_add_varint(buf, 20, type);
}

static inline void rig_int(struct tern_buf *buf, const char *name, int64_t value)
{
    size_t mark;

    rig_open_attr(buf, name, 2, &mark);
    tern_pb_add_varint(buf, 3, (uint64_t)value);
    tern_pb_close(buf, mark);
}

static inline uint32_t rig_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static inline void rig_float(struct tern_buf *buf, const char *name, float value)
{
    size_t mark;

    rig_open_attr(buf, name, 1, &mark);
    tern_pb_add_fixed32(buf, 2, rig_bits(value));
    tern_pb_close(buf, mark);
}

static inline void rig_string(struct tern_buf *buf, const char *name, const char *value)
{
    size_t mark;

    rig_open_attr(buf, name, 3, &mark);
    rig_text(buf, 4, value);
    tern_pb_close(buf, mark);
}

static inline void rig_ints(struct tern_buf *buf, const char *name, const int64_t *values, size_t n)
{
    size_t mark;

    rig_open_attr(buf, name, 7, &mark);
    for (size_t i = 0; i < n; i++)
        tern_pb_add_varint(buf, 8, (uint64_t)values[i]);
    tern_pb_close(buf, mark);
}

static inline void rig_floats(struct tern_buf *buf, const char *name, const float *values, size_t n)
{
    size_t mark;

    rig_open_attr(buf, name, 6, &mark);
    for (size_t i = 0; i < n; i++)
        tern_pb_add_fixed32(buf, 7, rig_bits(values[i]));
    tern_pb_close(buf, mark);
}

static inline void rig_strings(struct tern_buf *buf, const char *name, const char *names)
{
    size_t mark;

    rig_open_attr(buf, name, 8, &mark);
    rig_names(buf, 9, names);
    tern_pb_close(buf, mark);
}

static inline size_t rig_open_node(struct tern_buf *buf, const char *op, const char *domain,
                                   const char *in, const char *out)
{
    size_t mark = tern_pb_open(buf, 1);

    rig_names(buf, 1, in);
    rig_names(buf, 2, out);
    rig_text(buf, 4, op);
    rig_text(buf, 7, domain);
    return mark;
}

/* A float32 initializer: its elements in the message, or raw. */
static inline void rig_initializer(struct tern_buf *buf, const char *name, const int64_t *dims,
                                   size_t rank, const float *values, size_t n, bool is_raw)
{
    size_t mark = tern_pb_open(buf, 5), packed;

    for (size_t i = 0; i < rank; i++)
        tern_pb_add_varint(buf, 1, (uint64_t)dims[i]);
    tern_pb_add_varint(buf, 2, RIG_FLOAT);
    rig_text(buf, 8, name);
    if (is_raw) {
        tern_pb_add_bytes(buf, 9, tern_str_make((const char *)values, n * sizeof(*values)));
    } else {
        packed = tern_pb_open(buf, 4);
        tern_buf_add(buf, values, n * sizeof(*values));
        tern_pb_close(buf, packed);
    }
    tern_pb_close(buf, mark);
}

/* An input (field 11) or output (12). A dimension of 0 is any. rank < 0: no shape is said. */
static inline void rig_port(struct tern_buf *buf, uint32_t field, const char *name, uint64_t dtype,
                            const int64_t *dims, int rank)
{
    size_t info = tern_pb_open(buf, field);

    rig_text(buf, 1, name);
    size_t type = tern_pb_open(buf, 2), tensor = tern_pb_open(buf, 1);
    tern_pb_add_varint(buf, 1, dtype);
    if (rank >= 0) {
        size_t shape = tern_pb_open(buf, 2);
        for (int i = 0; i < rank; i++) {
            size_t dim = tern_pb_open(buf, 1);
            if (dims[i] > 0)
                tern_pb_add_varint(buf, 1, (uint64_t)dims[i]);
            tern_pb_close(buf, dim);
        }
        tern_pb_close(buf, shape);
    }
    tern_pb_close(buf, tensor);
    tern_pb_close(buf, type);
    tern_pb_close(buf, info);
}

/* Everything before the graph's parts; answers the graph's mark. */
static inline size_t rig_open_model(struct tern_buf *buf, uint64_t opset, uint64_t ml_opset)
{
    const struct {
        const char *domain;
        uint64_t version;
    } opsets[] = {{"", opset}, {"ai.onnx.ml", ml_opset}};

    tern_pb_add_varint(buf, 1, 8); /* IR version */
    for (size_t i = 0; i < 2; i++) {
        size_t mark = tern_pb_open(buf, 8);
        rig_text(buf, 1, opsets[i].domain);
        tern_pb_add_varint(buf, 2, opsets[i].version);
        tern_pb_close(buf, mark);
    }
    return tern_pb_open(buf, 7);
}

#endif
