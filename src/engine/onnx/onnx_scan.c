#include "engine/onnx/onnx_scan.h"

#include <stdbool.h>
#include <stdio.h>
#include "base/num.h"
#include "wire/pb.h"

/* The messages that the walk enters, and through which fields. Anything else is stepped over. */
enum message { MODEL, OPSET, GRAPH, NODE, ATTRIBUTE, TENSOR, SPARSE, ENTRY, FUNCTION, TRAINING };

static const struct {
    enum message parent;
    uint32_t field;
    enum message child;
    bool once; /* protobuf merges a second one into the first; no writer makes use of that */
} edges[] = {
    {MODEL, 7, GRAPH, true},          {MODEL, 8, OPSET, false},       {MODEL, 20, TRAINING, false},
    {MODEL, 25, FUNCTION, false},     {GRAPH, 1, NODE, false},        {GRAPH, 5, TENSOR, false},
    {GRAPH, 15, SPARSE, false},       {NODE, 5, ATTRIBUTE, false},    {ATTRIBUTE, 5, TENSOR, true},
    {ATTRIBUTE, 6, GRAPH, true},      {ATTRIBUTE, 10, TENSOR, false}, {ATTRIBUTE, 11, GRAPH, false},
    {ATTRIBUTE, 22, SPARSE, true},    {ATTRIBUTE, 23, SPARSE, false}, {SPARSE, 1, TENSOR, true},
    {SPARSE, 2, TENSOR, true},        {TENSOR, 13, ENTRY, false},     {FUNCTION, 7, NODE, false},
    {FUNCTION, 11, ATTRIBUTE, false}, {TRAINING, 1, GRAPH, true},     {TRAINING, 2, GRAPH, true},
};

enum wire { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

struct frame {
    enum message message;
    size_t end;    /* offset after its last byte */
    uint32_t seen; /* bit n: field n came (fields below 32) */
};

struct field {
    uint32_t number;
    enum wire wire;
    uint64_t value;       /* VARINT */
    struct tern_str text; /* LENGTH */
};

struct scanner {
    struct tern_str bytes;
    size_t at;
    struct frame stack[TERN_ONNX_DEPTH_MAX];
    uint32_t depth;
    struct tern_onnx_scan scan;
    struct tern_onnx_external tensor; /* the one being read: tensors do not nest */
    uint64_t data_location;
    struct tern_str entry_key; /* the external_data entry being read */
    struct tern_str entry_value;
    tern_onnx_external_fn on_external;
    void *arg;
};

/* ---- files that are something else ---- */

static enum tern_code check_head(struct tern_str bytes, struct tern_err *err)
{
    static const struct {
        struct tern_str magic;
        size_t offset;
        const char *what;
    } others[] = {
        {{"PK\x03\x04", 4}, 0, "a zip archive (PyTorch or Keras); export the model to ONNX"},
        {{"\x89HDF", 4}, 0, "an HDF5 file (Keras); export the model to ONNX"},
        {{"\x80\x02", 2}, 0, "a Python pickle; export the model to ONNX"},
        {{"\x80\x03", 2}, 0, "a Python pickle; export the model to ONNX"},
        {{"\x80\x04", 2}, 0, "a Python pickle; export the model to ONNX"},
        {{"\x80\x05", 2}, 0, "a Python pickle; export the model to ONNX"},
        {{"ORTM", 4}, 4, "in ONNX Runtime's own ORT format; use the .onnx file it was made from"},
        {{"GGUF", 4}, 0, "a GGUF file"},
        {{"TFL3", 4}, 4, "a TensorFlow Lite model"},
        {{"\x1f\x8b", 2}, 0, "compressed with gzip; unpack it"},
        {{"version https://git-lfs", 23},
         0,
         "a Git LFS pointer, not the model; fetch it with git lfs pull"},
        {{"<", 1}, 0, "XML or HTML"},
        {{"{", 1}, 0, "JSON"},
    };
    if (bytes.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the model file is empty");
    if (bytes.n > TERN_ONNX_SIZE_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the model file has %zu bytes; an ONNX file has 2 GiB at most, larger "
                         "weights belong in external data",
                         bytes.n);
    for (size_t i = 0; i < TERN_COUNT_OF(others); i++)
        if (tern_str_starts(tern_str_from(bytes, others[i].offset), others[i].magic))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "the model file is not ONNX: it is %s",
                             others[i].what);
    return TERN_OK;
}

/* ---- fields ---- */

static enum tern_code not_onnx(const struct scanner *s, const char *why, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "the model file is not ONNX or is damaged: %s at byte %zu", why, s->at);
}

static bool read_varint(struct scanner *s, size_t end, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (s->at == end)
            return false;
        uint64_t byte = (uint8_t)s->bytes.p[s->at++];
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static enum tern_code read_length(struct scanner *s, size_t end, uint32_t number,
                                  struct tern_str *ret, struct tern_err *err)
{
    uint64_t n;
    if (!read_varint(s, end, &n))
        return not_onnx(s, "a bad length", err);
    if (n > end - s->at && end == s->bytes.n)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the model file is cut off: field %u at byte %zu has %llu bytes and the "
                         "file only %zu more",
                         number, s->at, (unsigned long long)n, end - s->at);
    if (n > end - s->at)
        return not_onnx(s, "a field larger than what holds it", err);
    *ret = tern_str_make(s->bytes.p + s->at, (size_t)n);
    s->at += (size_t)n;
    return TERN_OK;
}

static enum tern_code read_field(struct scanner *s, size_t end, struct field *ret,
                                 struct tern_err *err)
{
    uint64_t tag;
    struct field field = {0};

    if (!read_varint(s, end, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return not_onnx(s, "a bad field number", err);
    field.number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case VARINT:
        if (!read_varint(s, end, &field.value))
            return not_onnx(s, "a bad number", err);
        break;
    case LENGTH:
        TERN_TRY(read_length(s, end, field.number, &field.text, err));
        break;
    case FIXED64:
    case FIXED32: {
        size_t n = (tag & 7) == FIXED64 ? 8 : 4;
        if (n > end - s->at)
            return not_onnx(s, "a number that is cut off", err);
        s->at += n;
        break;
    }
    default:
        return not_onnx(s, "an unknown kind of field", err);
    }
    field.wire = (enum wire)(tag & 7);
    *ret = field;
    return TERN_OK;
}

/* ---- tensors with their bytes elsewhere ---- */

static bool is_plain_path(struct tern_str path)
{
    struct tern_str rest = path;
    struct tern_str part;

    if (path.p == NULL || path.n == 0 || path.p[path.n - 1] == '/')
        return false;
    for (size_t i = 0; i < path.n; i++)
        if ((unsigned char)path.p[i] < 0x20 || path.p[i] == '\\' || path.p[i] == '*')
            return false;
    while (tern_str_split(&rest, '/', &part))
        if (part.n == 0 || tern_str_eq(part, TERN_STR(".")) || tern_str_eq(part, TERN_STR("..")))
            return false;
    return true;
}

static enum tern_code end_entry(struct scanner *s, struct tern_err *err)
{
    struct tern_str key = s->entry_key;
    struct tern_str value = s->entry_value;

    if (tern_str_eq(key, TERN_STR("location"))) {
        if (s->tensor.location.p != NULL)
            return not_onnx(s, "a tensor with two locations", err);
        s->tensor.location = value.p == NULL ? TERN_STR("") : value;
    } else if (tern_str_eq(key, TERN_STR("offset"))) {
        if (!tern_num_parse_u64(value, INT64_MAX, &s->tensor.offset))
            return not_onnx(s, "an external tensor whose offset is no number", err);
    } else if (tern_str_eq(key, TERN_STR("length"))) {
        if (!tern_num_parse_u64(value, INT64_MAX, &s->tensor.length))
            return not_onnx(s, "an external tensor whose length is no number", err);
    }
    return TERN_OK;
}

static enum tern_code end_tensor(struct scanner *s, struct tern_err *err)
{
    const struct tern_onnx_external *tensor = &s->tensor;

    if (tensor->location.p == NULL && s->data_location == 0)
        return TERN_OK;
    if (!is_plain_path(tensor->location))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "tensor '%.*s' has its data in \"%.*s\": only a file inside the model's "
                         "folder is allowed, without \"..\"",
                         TERN_STR_ARG(tensor->tensor),
                         (int)(tensor->location.n > 128 ? 128 : tensor->location.n),
                         tensor->location.p == NULL ? "" : tensor->location.p);
    s->scan.n_external++;
    return s->on_external(s->arg, tensor, err);
}

/* ---- the walk ---- */

static enum tern_code enter(struct scanner *s, enum message message, struct tern_str body,
                            struct tern_err *err)
{
    if (s->depth == TERN_ONNX_DEPTH_MAX)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED,
                         "the model's graphs nest deeper than %d messages", TERN_ONNX_DEPTH_MAX);
    if (message == NODE && ++s->scan.n_nodes > TERN_ONNX_NODES_MAX)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "the model has more than %u nodes",
                         TERN_ONNX_NODES_MAX);
    if (message == TENSOR) {
        if (++s->scan.n_tensors > TERN_ONNX_TENSORS_MAX)
            return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "the model has more than %u tensors",
                             TERN_ONNX_TENSORS_MAX);
        s->tensor = (struct tern_onnx_external){0};
        s->data_location = 0;
    } else if (message == ENTRY) {
        s->entry_key = s->entry_value = (struct tern_str){NULL, 0};
    } else if (message == OPSET && s->scan.n_opsets++ == TERN_ONNX_OPSETS_MAX) {
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "the model imports more than %d opsets",
                         TERN_ONNX_OPSETS_MAX);
    }
    size_t begin = (size_t)(body.p - s->bytes.p);
    s->stack[s->depth++] = (struct frame){.message = message, .end = begin + body.n};
    s->at = begin;
    return TERN_OK;
}

static enum tern_code leave(struct scanner *s, struct tern_err *err)
{
    enum message message = s->stack[--s->depth].message;
    if (message == TENSOR)
        return end_tensor(s, err);
    if (message == ENTRY)
        return end_entry(s, err);
    return TERN_OK;
}

/* What the walk wants to know of a field that holds no message. */
static void note_field(struct scanner *s, enum message in, const struct field *field)
{
    if (in == MODEL && field->number == 1)
        s->scan.ir_version = field->value;
    else if (in == OPSET && field->number == 1)
        s->scan.opsets[s->scan.n_opsets - 1].domain = field->text;
    else if (in == OPSET && field->number == 2)
        s->scan.opsets[s->scan.n_opsets - 1].version = field->value;
    else if (in == TENSOR && field->number == 8)
        s->tensor.tensor = field->text;
    else if (in == TENSOR && field->number == 14)
        s->data_location = field->value;
    else if (in == ENTRY && field->number == 1)
        s->entry_key = field->text;
    else if (in == ENTRY && field->number == 2)
        s->entry_value = field->text;
}

static enum tern_code take_field(struct scanner *s, const struct field *field, struct tern_err *err)
{
    struct frame *frame = &s->stack[s->depth - 1];

    for (size_t i = 0; i < TERN_COUNT_OF(edges); i++) {
        if (edges[i].parent != frame->message || edges[i].field != field->number)
            continue;
        if (field->wire != LENGTH)
            return not_onnx(s, "a number where a message belongs", err);
        uint32_t bit = 1u << field->number;
        if (edges[i].once && (frame->seen & bit) != 0)
            return not_onnx(s, "a field that may come once came twice", err);
        frame->seen |= bit;
        return enter(s, edges[i].child, field->text, err);
    }
    note_field(s, frame->message, field);
    return TERN_OK;
}

/* Attributes hold lists of a million numbers, none of which the walk wants to know. */
static void pass_numbers(struct scanner *s, size_t end, const struct field *field)
{
    struct tern_pb pb = {s->bytes.p + s->at, s->bytes.p + end, s->bytes.p};
    const struct tern_pb_field same = {.number = field->number,
                                       .wire = (enum tern_pb_wire)field->wire};

    (void)tern_pb_run(&pb, &same, NULL);
    s->at = (size_t)(pb.p - s->bytes.p);
}

static enum tern_code walk(struct scanner *s, struct tern_err *err)
{
    struct field field = {0};
    bool has_graph = false;

    TERN_TRY(enter(s, MODEL, s->bytes, err));
    while (s->depth > 0) {
        const struct frame *frame = &s->stack[s->depth - 1];
        if (s->at == frame->end) {
            has_graph = has_graph || frame->message == GRAPH;
            TERN_TRY(leave(s, err));
            continue;
        }
        enum message message = frame->message;
        size_t end = frame->end;
        TERN_TRY(read_field(s, end, &field, err));
        TERN_TRY(take_field(s, &field, err));
        if (message == ATTRIBUTE && field.wire != LENGTH)
            pass_numbers(s, end, &field);
    }
    if (s->scan.ir_version == 0 || s->scan.n_opsets == 0 || !has_graph)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the model file is not ONNX or is cut off: it has no %s",
                         s->scan.ir_version == 0 ? "IR version"
                         : has_graph             ? "opset import"
                                                 : "graph");
    return TERN_OK;
}

enum tern_code tern_onnx_scan(struct tern_str bytes, tern_onnx_external_fn on_external, void *arg,
                              struct tern_onnx_scan *ret_scan, struct tern_err *err)
{
    struct scanner scanner = {.bytes = bytes, .on_external = on_external, .arg = arg};

    TERN_TRY(check_head(bytes, err));
    TERN_TRY(walk(&scanner, err));
    *ret_scan = scanner.scan;
    return TERN_OK;
}

const char *tern_onnx_scan_print(const struct tern_onnx_scan *scan, char *dst, size_t cap)
{
    int n = snprintf(dst, cap, "IR version %llu, opsets", (unsigned long long)scan->ir_version);
    for (uint32_t i = 0; i < scan->n_opsets && n > 0 && (size_t)n < cap; i++) {
        struct tern_str domain = scan->opsets[i].domain;
        if (domain.n == 0)
            domain = TERN_STR("ai.onnx");
        n += snprintf(dst + n, cap - (size_t)n, "%s %.*s %llu", i == 0 ? "" : ",",
                      (int)(domain.n > 64 ? 64 : domain.n), domain.p,
                      (unsigned long long)scan->opsets[i].version);
    }
    return dst;
}
