#include "engine/native/onnx/onnx_node.h"

#include <string.h>
#include "engine/native/onnx/onnx_tensor.h"

/* Fields of an AttributeProto, and its types. */
enum {
    NAME = 1,
    F = 2,
    I = 3,
    S = 4,
    T = 5,
    GRAPH = 6,
    FLOATS = 7,
    INTS = 8,
    STRINGS = 9,
    GRAPHS = 11,
    TYPE = 20,
    REFERENCE = 21,
};
enum type {
    ANY,
    FLOAT = 1,
    INT = 2,
    STRING = 3,
    TENSOR = 4,
    FLOAT_LIST = 6,
    INT_LIST = 7,
    STRING_LIST = 8
};

#define NODE_OUTPUTS_MAX 64

/* ---- attributes ---- */

/* All that stands around its value, in one walk: lists have millions of numbers. */
enum tern_code tern_onnx_node_add(struct tern_onnx_node *node, struct tern_str body,
                                  struct tern_err *err)
{
    struct tern_onnx_attr *attr = &node->attrs[node->n_attrs++];
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;

    attr->body = body;
    tern_pb_init(&pb, body);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            return TERN_OK;
        if (field.number == NAME) {
            TERN_TRY(tern_pb_text(&field, "an attribute's name", &attr->name, err));
        } else if (field.number == TYPE) {
            TERN_TRY(tern_pb_want(&field, TERN_PB_VARINT, "an attribute's type", err));
            attr->type = field.value;
        } else if (field.number == REFERENCE) {
            attr->is_reference = true;
        } else if (field.number == GRAPH || field.number == GRAPHS) {
            return tern_onnx_node_refuse(node, "it has a graph of its own", err);
        } else {
            (void)tern_pb_run(&pb, &field, NULL);
        }
    }
}

static struct tern_onnx_attr *find(const struct tern_onnx_node *node, const char *name)
{
    for (uint32_t i = 0; i < node->n_attrs; i++) {
        if (tern_str_eq(node->attrs[i].name, tern_str_of(name))) {
            node->attrs[i].asked = true;
            return &node->attrs[i];
        }
    }
    return NULL;
}

bool tern_onnx_node_has(const struct tern_onnx_node *node, const char *name)
{
    return find(node, name) != NULL;
}

void tern_onnx_node_ignore(struct tern_onnx_node *node, const char *name)
{
    (void)find(node, name);
}

static enum tern_code place(const struct tern_onnx_node *node, const char *name,
                            enum tern_code code, struct tern_err *err)
{
    if (code != TERN_OK)
        tern_err_prefix(err, "operator %.*s, attribute '%s'", TERN_STR_ARG(node->op_type), name);
    return code;
}

/* The last field with that number; wire says what it has to be. ret->number is 0 without it. */
static enum tern_code find_field(struct tern_str body, uint32_t number, enum tern_pb_wire wire,
                                 struct tern_pb_field *ret, struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field, found = {0};
    bool more;

    tern_pb_init(&pb, body);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        if (field.number == number) {
            TERN_TRY(tern_pb_want(&field, wire, "its value", err));
            found = field;
        } else {
            (void)tern_pb_run(&pb, &field, NULL);
        }
    }
    *ret = found;
    return TERN_OK;
}

static enum tern_code check_type(const struct tern_onnx_attr *attr, enum type type,
                                 struct tern_err *err)
{
    if (attr->type != 0 && attr->type != (uint64_t)type)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "type %d is expected, it has type %llu",
                         (int)type, (unsigned long long)attr->type);
    return attr->is_reference
               ? tern_fail(err, TERN_UNIMPLEMENTED, "it refers to a function's attribute")
               : TERN_OK;
}

/* A single value; ret->number is 0 without the attribute. */
static enum tern_code read_one(struct tern_onnx_node *node, const char *name, enum type type,
                               uint32_t number, enum tern_pb_wire wire, struct tern_pb_field *ret,
                               struct tern_err *err)
{
    const struct tern_onnx_attr *attr = find(node, name);
    struct tern_pb_field field = {0};

    if (attr != NULL) {
        TERN_TRY(place(node, name, check_type(attr, type, err), err));
        TERN_TRY(place(node, name, find_field(attr->body, number, wire, &field, err), err));
        field.number = number; /* protobuf may leave out a value that is zero */
    }
    *ret = field;
    return TERN_OK;
}

enum tern_code tern_onnx_node_int(struct tern_onnx_node *node, const char *name, int64_t otherwise,
                                  int64_t *ret, struct tern_err *err)
{
    struct tern_pb_field field;

    TERN_TRY(read_one(node, name, INT, I, TERN_PB_VARINT, &field, err));
    *ret = field.number == 0 ? otherwise : (int64_t)field.value;
    return TERN_OK;
}

enum tern_code tern_onnx_node_float(struct tern_onnx_node *node, const char *name, float otherwise,
                                    float *ret, struct tern_err *err)
{
    struct tern_pb_field field;

    TERN_TRY(read_one(node, name, FLOAT, F, TERN_PB_FIXED32, &field, err));
    uint32_t bits = (uint32_t)field.value;
    if (field.number == 0)
        *ret = otherwise;
    else
        memcpy(ret, &bits, sizeof(bits));
    return TERN_OK;
}

enum tern_code tern_onnx_node_text(struct tern_onnx_node *node, const char *name,
                                   const char *otherwise, struct tern_str *ret,
                                   struct tern_err *err)
{
    struct tern_pb_field field;

    TERN_TRY(read_one(node, name, STRING, S, TERN_PB_BYTES, &field, err));
    *ret = field.number == 0 ? tern_str_of(otherwise) : field.bytes;
    return TERN_OK;
}

enum tern_code tern_onnx_node_choice(struct tern_onnx_node *node, const char *name,
                                     const char *otherwise, const char *const *names, uint32_t *ret,
                                     struct tern_err *err)
{
    struct tern_str text;

    TERN_TRY(tern_onnx_node_text(node, name, otherwise, &text, err));
    for (uint32_t i = 0; names[i] != NULL; i++) {
        if (tern_str_eq(text, tern_str_of(names[i]))) {
            *ret = i;
            return TERN_OK;
        }
    }
    return place(node, name,
                 tern_fail(err, TERN_INVALID_ARGUMENT, "\"%.*s\" is not known", TERN_STR_ARG(text)),
                 err);
}

static enum tern_code read_list(struct tern_onnx_node *node, const char *name, enum type type,
                                uint32_t number, enum tern_pb_wire wire, void **ret, size_t *ret_n,
                                struct tern_err *err)
{
    const struct tern_onnx_attr *attr = find(node, name);

    *ret = NULL;
    *ret_n = 0;
    if (attr == NULL)
        return TERN_OK;
    TERN_TRY(place(node, name, check_type(attr, type, err), err));
    return place(node, name,
                 tern_onnx_tensor_numbers(attr->body, number, wire, node->scratch, ret, ret_n, err),
                 err);
}

enum tern_code tern_onnx_node_ints(struct tern_onnx_node *node, const char *name,
                                   struct tern_onnx_ints *ret, struct tern_err *err)
{
    void *p;

    TERN_TRY(read_list(node, name, INT_LIST, INTS, TERN_PB_VARINT, &p, &ret->n, err));
    ret->p = p;
    return TERN_OK;
}

enum tern_code tern_onnx_node_floats(struct tern_onnx_node *node, const char *name,
                                     struct tern_onnx_floats *ret, struct tern_err *err)
{
    void *p;

    TERN_TRY(read_list(node, name, FLOAT_LIST, FLOATS, TERN_PB_FIXED32, &p, &ret->n, err));
    ret->p = p;
    return TERN_OK;
}

enum tern_code tern_onnx_node_texts(struct tern_onnx_node *node, const char *name,
                                    struct tern_onnx_texts *ret, struct tern_err *err)
{
    const struct tern_onnx_attr *attr = find(node, name);
    struct tern_str *texts;

    *ret = (struct tern_onnx_texts){0};
    if (attr == NULL)
        return TERN_OK;
    TERN_TRY(place(node, name, check_type(attr, STRING_LIST, err), err));
    TERN_TRY(place(node, name,
                   tern_onnx_tensor_texts(attr->body, STRINGS, node->scratch, &texts, &ret->n, err),
                   err));
    ret->p = texts;
    return TERN_OK;
}

enum tern_code tern_onnx_node_tensor(struct tern_onnx_node *node, const char *name,
                                     struct tern_tensor *ret, struct tern_err *err)
{
    struct tern_pb_field field;

    *ret = (struct tern_tensor){0};
    TERN_TRY(read_one(node, name, TENSOR, T, TERN_PB_BYTES, &field, err));
    if (field.number == 0)
        return TERN_OK;
    return place(node, name, tern_onnx_tensor_read(field.bytes, node->scratch, ret, err), err);
}

/* ---- inputs ---- */

bool tern_onnx_node_has_input(const struct tern_onnx_node *node, uint32_t i)
{
    return i < node->n_in && node->in[i] != NULL;
}

enum tern_dtype tern_onnx_node_dtype(const struct tern_onnx_node *node, uint32_t i)
{
    return tern_onnx_node_has_input(node, i) ? node->in[i]->dtype : TERN_DTYPE_INVALID;
}

enum tern_code tern_onnx_node_want(const struct tern_onnx_node *node, uint32_t i, uint32_t dtypes,
                                   struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, i);

    if (dtype == TERN_DTYPE_INVALID)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "operator %.*s has no input %u",
                         TERN_STR_ARG(node->op_type), i);
    if ((dtypes >> dtype & 1) == 0)
        return tern_fail(err, TERN_UNIMPLEMENTED, "operator %.*s of %s is not run natively",
                         TERN_STR_ARG(node->op_type), tern_dtype_name(dtype));
    return TERN_OK;
}

const struct tern_tensor *tern_onnx_node_constant(const struct tern_onnx_node *node, uint32_t i)
{
    return tern_onnx_node_has_input(node, i) ? node->in[i]->constant : NULL;
}

/* A constant becomes the program's when the first step reads it: weights that an operator repacks
 * are not kept twice. */
static enum tern_code keep_constant(struct tern_onnx_node *node, struct tern_onnx_value *value,
                                    struct tern_err *err)
{
    struct tern_tensor tensor = *value->constant;

    tensor.data = tern_arena_alloc(node->program->arena, 64, tensor.n_bytes);
    if (tensor.data == NULL)
        return tern_arena_fail(node->program->arena, err, "a constant");
    if (tensor.n_bytes > 0)
        memcpy(tensor.data, value->constant->data, tensor.n_bytes);
    tensor.name = tern_arena_copy(node->program->arena, value->name);
    if (tensor.name.p == NULL)
        return tern_arena_fail(node->program->arena, err, "a name");
    return tern_program_constant(node->program, &tensor, &value->value, err);
}

enum tern_code tern_onnx_node_read(struct tern_onnx_node *node, uint32_t i, uint32_t *ret_value,
                                   struct tern_err *err)
{
    *ret_value = TERN_VALUE_NONE;
    if (!tern_onnx_node_has_input(node, i))
        return TERN_OK;
    if (node->in[i]->value == TERN_VALUE_NONE)
        TERN_TRY(keep_constant(node, node->in[i], err));
    *ret_value = node->in[i]->value;
    return TERN_OK;
}

/* ---- what becomes of the node ---- */

enum tern_code tern_onnx_node_state(struct tern_onnx_node *node, size_t size, void **ret_state,
                                    struct tern_err *err)
{
    *ret_state = tern_arena_zalloc(node->program->arena, 1, size);
    if (*ret_state == NULL)
        return tern_arena_fail(node->program->arena, err, "an operator");
    return TERN_OK;
}

void tern_onnx_node_bind(struct tern_onnx_node *node, uint32_t i, uint32_t value)
{
    if (i >= node->n_out || node->out[i] == NULL)
        return;
    node->out[i]->value = value;
    node->out[i]->dtype = node->program->values[value].tensor.dtype;
}

enum tern_code tern_onnx_node_steps(struct tern_onnx_node *node, const struct tern_operator *op,
                                    const void *state, uint32_t n_in, const enum tern_dtype *dtypes,
                                    uint32_t n_out, struct tern_err *err)
{
    uint32_t out[NODE_OUTPUTS_MAX];
    uint32_t *in = tern_arena_zalloc(node->scratch, (size_t)n_in + 1, sizeof(*in));

    if (in == NULL)
        return tern_arena_fail(node->scratch, err, "a node");
    if (n_out > NODE_OUTPUTS_MAX)
        return tern_onnx_node_refuse(node, "it has too many outputs", err);
    for (uint32_t i = 0; i < n_in; i++)
        TERN_TRY(tern_onnx_node_read(node, i, &in[i], err));
    for (uint32_t i = 0; i < n_out; i++) {
        bool is_named = i < node->n_out && node->out[i] != NULL;
        struct tern_str name = is_named ? node->out[i]->name : TERN_STR("");
        TERN_TRY(tern_program_made(node->program, name, dtypes[i], &out[i], err));
    }
    TERN_TRY(tern_program_step(node->program, op, state, in, n_in, out, n_out, err));
    for (uint32_t i = 0; i < n_out; i++)
        tern_onnx_node_bind(node, i, out[i]);
    return TERN_OK;
}

enum tern_code tern_onnx_node_step(struct tern_onnx_node *node, const struct tern_operator *op,
                                   const void *state, enum tern_dtype dtype, struct tern_err *err)
{
    return tern_onnx_node_steps(node, op, state, node->n_in, &dtype, 1, err);
}

enum tern_code(tern_onnx_node_refuse)(const struct tern_onnx_node *node, const char *why,
                                      struct tern_err *err)
{
    return tern_fail(err, TERN_UNIMPLEMENTED, "operator %.*s is not run natively: %s",
                     TERN_STR_ARG(node->op_type), why);
}
