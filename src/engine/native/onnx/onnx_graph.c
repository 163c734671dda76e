#include "engine/native/onnx/onnx_graph.h"

#include "base/hash.h"
#include "engine/native/onnx/onnx_node.h"
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/onnx/onnx_tensor.h"
#include "engine/native/ops/op_form.h"
#include "engine/onnx/onnx_scan.h"
#include "wire/pb.h"

/* Fields of the messages that are read here. */
enum { MODEL_GRAPH = 7, MODEL_FUNCTION = 25 };
enum {
    GRAPH_NODE = 1,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    GRAPH_SPARSE = 15
};
enum {
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP = 4,
    NODE_ATTRIBUTE = 5,
    NODE_DOMAIN = 7
};
enum { INFO_NAME = 1, INFO_TYPE = 2, TYPE_TENSOR = 1, TENSOR_DTYPE = 1, TENSOR_SHAPE = 2 };
enum { SHAPE_DIM = 1, DIM_VALUE = 1 };

#define SCRATCH_CHUNK ((size_t)64 << 10)
#define SCRATCH_MAX   ((size_t)16 << 30)
/* Of a file: what is larger is worth ONNX Runtime's threads. */
#define SMALL_MAX ((size_t)256 << 20)

struct messages {
    struct tern_str *rows;
    size_t n;
};

struct reader {
    struct tern_program *program;
    struct tern_arena scratch;
    struct tern_onnx_scan scan;
    struct messages nodes, initializers, inputs, outputs;
    /* Every name of the graph, by open addressing; the size is a power of two. */
    struct tern_onnx_value **table;
    size_t table_size;
};

/* The messages or texts of a repeated field. */
static enum tern_code collect(struct reader *r, struct tern_str message, uint32_t field,
                              struct messages *ret, struct tern_err *err)
{
    return tern_onnx_tensor_texts(message, field, &r->scratch, &ret->rows, &ret->n, err);
}

/* ---- names ---- */

static enum tern_code begin_names(struct reader *r, size_t n, struct tern_err *err)
{
    size_t size = 16;

    while (size < 2 * n)
        size *= 2;
    r->table = tern_arena_zalloc(&r->scratch, size, sizeof(struct tern_onnx_value *));
    if (r->table == NULL)
        return tern_arena_fail(&r->scratch, err, "the graph's names");
    r->table_size = size;
    return TERN_OK;
}

/* Where the name stands or would stand. */
static struct tern_onnx_value **slot_of(struct reader *r, struct tern_str name)
{
    size_t at = (size_t)tern_hash_bytes(name, 0) & (r->table_size - 1);

    while (r->table[at] != NULL && !tern_str_eq(r->table[at]->name, name))
        at = (at + 1) & (r->table_size - 1);
    return &r->table[at];
}

static enum tern_code name_value(struct reader *r, struct tern_str name,
                                 struct tern_onnx_value **ret, struct tern_err *err)
{
    struct tern_onnx_value **slot = slot_of(r, name);

    if (*slot == NULL) {
        *slot = tern_arena_zalloc(&r->scratch, 1, sizeof(**slot));
        if (*slot == NULL)
            return tern_arena_fail(&r->scratch, err, "a value");
        (*slot)->name = name;
        (*slot)->value = TERN_VALUE_NONE;
    }
    *ret = *slot;
    return TERN_OK;
}

static enum tern_code add_value(struct reader *r, struct tern_str name,
                                struct tern_onnx_value **ret, struct tern_err *err)
{
    TERN_TRY(name_value(r, name, ret, err));
    if ((*ret)->is_defined)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "two values of the graph are called '%.*s'",
                         TERN_STR_ARG(name));
    (*ret)->is_defined = true;
    return TERN_OK;
}

/* Who reads what, before any node is prepared: what only the next node reads may be joined with it.
 */
static enum tern_code count_readers(struct reader *r, struct tern_err *err)
{
    struct tern_onnx_value *value;
    struct messages names;
    struct tern_str name;

    for (size_t i = 0; i < r->nodes.n; i++) {
        TERN_TRY(collect(r, r->nodes.rows[i], NODE_INPUT, &names, err));
        for (size_t k = 0; k < names.n; k++) {
            TERN_TRY(name_value(r, names.rows[k], &value, err));
            value->n_readers++;
        }
    }
    for (size_t i = 0; i < r->outputs.n; i++) {
        name = TERN_STR("");
        TERN_TRY(tern_pb_find_text(r->outputs.rows[i], INFO_NAME, "an output's name", &name, err));
        TERN_TRY(name_value(r, name, &value, err));
        value->n_readers++;
    }
    return TERN_OK;
}

/* ---- the graph's parts ---- */

static enum tern_code find_graph(struct reader *r, struct tern_str file, struct tern_str *ret,
                                 struct tern_err *err)
{
    struct messages graphs, functions;

    TERN_TRY(collect(r, file, MODEL_FUNCTION, &functions, err));
    if (functions.n > 0)
        return tern_fail(err, TERN_UNIMPLEMENTED, "functions are not run natively");
    TERN_TRY(collect(r, file, MODEL_GRAPH, &graphs, err));
    if (graphs.n != 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the model has %zu graphs", graphs.n);
    *ret = graphs.rows[0];
    return TERN_OK;
}

static enum tern_code collect_graph(struct reader *r, struct tern_str graph, struct tern_err *err)
{
    struct messages sparse;

    TERN_TRY(collect(r, graph, GRAPH_SPARSE, &sparse, err));
    if (sparse.n > 0)
        return tern_fail(err, TERN_UNIMPLEMENTED, "sparse tensors are not run natively");
    TERN_TRY(collect(r, graph, GRAPH_NODE, &r->nodes, err));
    TERN_TRY(collect(r, graph, GRAPH_INITIALIZER, &r->initializers, err));
    TERN_TRY(collect(r, graph, GRAPH_INPUT, &r->inputs, err));
    return collect(r, graph, GRAPH_OUTPUT, &r->outputs, err);
}

/* ---- inputs and outputs ---- */

struct info {
    struct tern_str name;
    struct tern_shape shape;
    enum tern_dtype dtype; /* INVALID: no tensor, or none that Tern has */
    bool has_shape;
};

static enum tern_code find_message(struct tern_str message, uint32_t number, struct tern_str *ret,
                                   struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;

    *ret = tern_str_make(NULL, 0);
    tern_pb_init(&pb, message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            return TERN_OK;
        if (field.number != number) {
            (void)tern_pb_run(&pb, &field, NULL);
            continue;
        }
        TERN_TRY(tern_pb_want(&field, TERN_PB_BYTES, "a message", err));
        /* What is empty is there all the same: a scalar's shape. */
        *ret = field.bytes.p != NULL ? field.bytes : TERN_STR("");
    }
}

static enum tern_code find_number(struct tern_str message, uint32_t number, uint64_t otherwise,
                                  uint64_t *ret, struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;

    *ret = otherwise;
    tern_pb_init(&pb, message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            return TERN_OK;
        if (field.number == number) {
            TERN_TRY(tern_pb_want(&field, TERN_PB_VARINT, "a number", err));
            *ret = field.value;
        }
    }
}

static enum tern_code read_dims(struct reader *r, struct tern_str message, struct info *info,
                                struct tern_err *err)
{
    struct messages dims;
    uint64_t value;

    TERN_TRY(collect(r, message, SHAPE_DIM, &dims, err));
    if (dims.n > TERN_RANK_MAX)
        return tern_fail(err, TERN_UNIMPLEMENTED, "'%.*s' has %zu dimensions, at most %d are run",
                         TERN_STR_ARG(info->name), dims.n, TERN_RANK_MAX);
    info->shape.rank = (int)dims.n;
    for (size_t i = 0; i < dims.n; i++) {
        TERN_TRY(find_number(dims.rows[i], DIM_VALUE, UINT64_MAX, &value, err));
        info->shape.dim[i] = (int64_t)value > 0 ? (int64_t)value : -1;
    }
    return TERN_OK;
}

static enum tern_code read_info(struct reader *r, struct tern_str message, struct info *info,
                                struct tern_err *err)
{
    struct tern_str type, tensor, shape;
    uint64_t dtype;

    *info = (struct info){.name = {"", 0}};
    TERN_TRY(tern_pb_find_text(message, INFO_NAME, "a tensor's name", &info->name, err));
    TERN_TRY(find_message(message, INFO_TYPE, &type, err));
    TERN_TRY(find_message(type, TYPE_TENSOR, &tensor, err));
    TERN_TRY(find_number(tensor, TENSOR_DTYPE, 0, &dtype, err));
    TERN_TRY(find_message(tensor, TENSOR_SHAPE, &shape, err));
    info->dtype = tern_onnx_tensor_dtype(dtype);
    info->has_shape = shape.p != NULL;
    return read_dims(r, shape, info, err);
}

static enum tern_code read_initializers(struct reader *r, struct tern_err *err)
{
    struct tern_onnx_value *value;

    for (size_t i = 0; i < r->initializers.n; i++) {
        struct tern_tensor *tensor = tern_arena_zalloc(&r->scratch, 1, sizeof(*tensor));
        if (tensor == NULL)
            return tern_arena_fail(&r->scratch, err, "an initializer");
        TERN_TRY(tern_onnx_tensor_read(r->initializers.rows[i], &r->scratch, tensor, err));
        TERN_TRY(add_value(r, tensor->name, &value, err));
        value->constant = tensor;
        value->dtype = tensor->dtype;
    }
    return TERN_OK;
}

/* Whether a caller may give it, and in a form that operators have. */
static enum tern_code check_input(const struct info *info, struct tern_err *err)
{
    if ((TERN_ONNX_ANY >> info->dtype & 1) == 0)
        return tern_fail(err, TERN_UNIMPLEMENTED, "input '%.*s' of %s is not run natively",
                         TERN_STR_ARG(info->name),
                         info->dtype == TERN_DTYPE_INVALID ? "an unknown kind"
                                                           : tern_dtype_name(info->dtype));
    if (!info->has_shape)
        return tern_fail(err, TERN_UNIMPLEMENTED, "input '%.*s' has no shape",
                         TERN_STR_ARG(info->name));
    return TERN_OK;
}

/* Old files name their initializers among the inputs, too. */
static enum tern_code read_inputs(struct reader *r, struct tern_err *err)
{
    struct tern_onnx_value *value;
    struct info info;

    for (size_t i = 0; i < r->inputs.n; i++) {
        TERN_TRY(read_info(r, r->inputs.rows[i], &info, err));
        const struct tern_onnx_value *known = *slot_of(r, info.name);
        if (known != NULL && known->constant != NULL)
            continue;
        TERN_TRY(check_input(&info, err));
        TERN_TRY(add_value(r, info.name, &value, err));
        const struct tern_tensor_spec spec = {
            .name = info.name, .dtype = info.dtype, .shape = info.shape};
        TERN_TRY(tern_program_input(r->program, &spec, &value->value, err));
        value->dtype = info.dtype;
    }
    return TERN_OK;
}

/* A value that no step makes is copied: what a run gives is its own. */
static enum tern_code add_output(struct reader *r, struct tern_onnx_value *value,
                                 const struct tern_tensor_spec *spec, struct tern_err *err)
{
    struct tern_onnx_node reads = {
        .in = &value, .n_in = 1, .program = r->program, .scratch = &r->scratch};
    uint32_t at;

    TERN_TRY(tern_onnx_node_read(&reads, 0, &at, err));
    if (r->program->values[at].kind != TERN_VALUE_MADE)
        TERN_TRY(tern_op_form_copy(r->program, &at, err));
    return tern_program_output(r->program, spec, at, err);
}

static enum tern_code read_outputs(struct reader *r, struct tern_err *err)
{
    struct info info;

    for (size_t i = 0; i < r->outputs.n; i++) {
        TERN_TRY(read_info(r, r->outputs.rows[i], &info, err));
        struct tern_onnx_value *value = *slot_of(r, info.name);
        if (value == NULL || !value->is_defined)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "no node makes the output '%.*s'",
                             TERN_STR_ARG(info.name));
        if (value->n_columns > 0) {
            info.dtype = value->dtype;
            info.shape = (struct tern_shape){2, {-1, (int64_t)value->n_columns}};
            info.has_shape = true;
        }
        if (info.dtype != value->dtype)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "output '%.*s' is said to be %s, it is %s",
                             TERN_STR_ARG(info.name), tern_dtype_name(info.dtype),
                             tern_dtype_name(value->dtype));
        if (!info.has_shape)
            return tern_fail(err, TERN_UNIMPLEMENTED, "output '%.*s' has no shape",
                             TERN_STR_ARG(info.name));
        const struct tern_tensor_spec spec = {
            .name = info.name, .dtype = info.dtype, .shape = info.shape};
        TERN_TRY(add_output(r, value, &spec, err));
    }
    return TERN_OK;
}

/* ---- nodes ---- */

static enum tern_code read_attributes(struct reader *r, struct tern_str message,
                                      struct tern_onnx_node *node, struct tern_err *err)
{
    struct messages bodies;

    TERN_TRY(collect(r, message, NODE_ATTRIBUTE, &bodies, err));
    node->attrs = tern_arena_zalloc(&r->scratch, bodies.n + 1, sizeof(*node->attrs));
    if (node->attrs == NULL)
        return tern_arena_fail(&r->scratch, err, "a node");
    for (size_t i = 0; i < bodies.n; i++)
        TERN_TRY(tern_onnx_node_add(node, bodies.rows[i], err));
    return TERN_OK;
}

/* 0: the model imports no opset of the domain. */
static uint64_t version_of(const struct reader *r, struct tern_str wanted)
{
    uint64_t version = 0;

    for (uint32_t i = 0; i < r->scan.n_opsets; i++) {
        struct tern_str domain = r->scan.opsets[i].domain;
        if (tern_str_eq(domain, TERN_STR("ai.onnx")))
            domain.n = 0;
        if (tern_str_eq(domain, wanted))
            version = r->scan.opsets[i].version;
    }
    return version;
}

static enum tern_code read_head(struct reader *r, struct tern_str message,
                                struct tern_onnx_node *node, struct tern_err *err)
{
    *node = (struct tern_onnx_node){.program = r->program, .scratch = &r->scratch};
    TERN_TRY(tern_pb_find_text(message, NODE_OP, "an operator", &node->op_type, err));
    TERN_TRY(tern_pb_find_text(message, NODE_DOMAIN, "a domain", &node->domain, err));
    TERN_TRY(tern_pb_find_text(message, NODE_NAME, "a node's name", &node->name, err));
    if (tern_str_eq(node->domain, TERN_STR("ai.onnx")))
        node->domain.n = 0;
    node->version = version_of(r, node->domain);
    return TERN_OK;
}

/* The names in a field of a node, and a place for the value of each. */
static enum tern_code take_names(struct reader *r, struct tern_str message, uint32_t field,
                                 struct messages *ret_names, struct tern_onnx_value ***ret_values,
                                 struct tern_err *err)
{
    TERN_TRY(collect(r, message, field, ret_names, err));
    *ret_values =
        tern_arena_zalloc(&r->scratch, ret_names->n + 1, sizeof(struct tern_onnx_value *));
    return *ret_values != NULL ? TERN_OK : tern_arena_fail(&r->scratch, err, "a node");
}

static enum tern_code link_inputs(struct reader *r, struct tern_str message,
                                  struct tern_onnx_node *node, struct tern_err *err)
{
    struct messages names;

    TERN_TRY(take_names(r, message, NODE_INPUT, &names, &node->in, err));
    for (size_t i = 0; i < names.n; i++) {
        if (names.rows[i].n == 0)
            continue;
        node->in[i] = *slot_of(r, names.rows[i]);
        if (node->in[i] == NULL || node->in[i]->dtype == TERN_DTYPE_INVALID)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "operator %.*s reads '%.*s', which no node before it makes",
                             TERN_STR_ARG(node->op_type), TERN_STR_ARG(names.rows[i]));
        node->n_in = (uint32_t)i + 1;
    }
    return TERN_OK;
}

static enum tern_code link_outputs(struct reader *r, struct tern_str message,
                                   struct tern_onnx_node *node, struct tern_err *err)
{
    struct messages names;

    TERN_TRY(take_names(r, message, NODE_OUTPUT, &names, &node->out, err));
    for (size_t i = 0; i < names.n; i++) {
        if (names.rows[i].n == 0)
            continue;
        TERN_TRY(add_value(r, names.rows[i], &node->out[i], err));
        node->n_out = (uint32_t)i + 1;
    }
    return TERN_OK;
}

/* What prepare left undone. */
static enum tern_code check_prepared(const struct tern_onnx_node *node, struct tern_err *err)
{
    for (uint32_t i = 0; i < node->n_attrs; i++) {
        if (!node->attrs[i].asked)
            return tern_fail(err, TERN_UNIMPLEMENTED,
                             "operator %.*s is not run natively with the attribute '%.*s'",
                             TERN_STR_ARG(node->op_type), TERN_STR_ARG(node->attrs[i].name));
    }
    for (uint32_t i = 0; i < node->n_out; i++) {
        if (node->out[i] != NULL && node->out[i]->dtype == TERN_DTYPE_INVALID)
            return tern_onnx_node_refuse(node, "one of its outputs is not made", err);
    }
    return TERN_OK;
}

/* Before anything is read of weights: most graphs that are not for here end at this. */
static enum tern_code check_operators(struct reader *r, size_t *ret_names, struct tern_err *err)
{
    struct tern_onnx_node node;
    const struct tern_onnx_op *op;
    struct messages names;

    *ret_names = r->initializers.n + r->inputs.n + r->outputs.n;
    for (size_t i = 0; i < r->nodes.n; i++) {
        TERN_TRY(read_head(r, r->nodes.rows[i], &node, err));
        TERN_TRY(tern_onnx_ops_find(&node, &op, err));
        TERN_TRY(collect(r, r->nodes.rows[i], NODE_OUTPUT, &names, err));
        *ret_names += names.n;
        TERN_TRY(collect(r, r->nodes.rows[i], NODE_INPUT, &names, err));
        *ret_names += names.n;
    }
    return TERN_OK;
}

static enum tern_code read_nodes(struct reader *r, struct tern_err *err)
{
    struct tern_onnx_node node;
    const struct tern_onnx_op *op;

    for (size_t i = 0; i < r->nodes.n; i++) {
        struct tern_str message = r->nodes.rows[i];
        TERN_TRY(read_head(r, message, &node, err));
        TERN_TRY(tern_onnx_ops_find(&node, &op, err));
        TERN_TRY(read_attributes(r, message, &node, err));
        TERN_TRY(link_inputs(r, message, &node, err));
        TERN_TRY(link_outputs(r, message, &node, err));
        TERN_TRY(op->prepare(&node, err));
        TERN_TRY(check_prepared(&node, err));
    }
    return TERN_OK;
}

/* ---- the file ---- */

static enum tern_code on_external(void *arg, const struct tern_onnx_external *tensor,
                                  struct tern_err *err)
{
    (void)arg;
    return tern_fail(err, TERN_UNIMPLEMENTED,
                     "tensor '%.*s' has its data in another file: that is not run natively",
                     TERN_STR_ARG(tensor->tensor));
}

static enum tern_code read_file(struct reader *r, struct tern_str file, struct tern_err *err)
{
    struct tern_str graph = {NULL, 0};
    size_t n_names;

    TERN_TRY(tern_onnx_scan(file, on_external, NULL, &r->scan, err));
    TERN_TRY(find_graph(r, file, &graph, err));
    TERN_TRY(collect_graph(r, graph, err));
    TERN_TRY(check_operators(r, &n_names, err));
    TERN_TRY(begin_names(r, n_names, err));
    TERN_TRY(count_readers(r, err));
    TERN_TRY(read_initializers(r, err));
    TERN_TRY(read_inputs(r, err));
    TERN_TRY(read_nodes(r, err));
    return read_outputs(r, err);
}

enum tern_code tern_onnx_graph_load(const struct tern_native_source *source,
                                    struct tern_program *program, struct tern_err *err)
{
    struct reader r = {.program = program};

    tern_arena_init(&r.scratch, SCRATCH_CHUNK, SCRATCH_MAX);
    enum tern_code code = read_file(&r, source->bytes, err);
    tern_arena_fini(&r.scratch);
    return code;
}

static int probe(struct tern_str file_name, struct tern_str head)
{
    bool has_head = head.n >= 2 && head.p[0] == 0x08 && head.p[1] > 0 && head.p[1] < 32;

    return tern_str_ends(file_name, TERN_STR(".onnx")) && (has_head || head.n == 0) ? 100 : 0;
}

const struct tern_native_format tern_onnx_graph_format = {
    .name = "onnx",
    .help = "ONNX, graphs of operators that run natively",
    .has_names = true,
    .file_max = SMALL_MAX,
    .probe = probe,
    .load = tern_onnx_graph_load,
};
