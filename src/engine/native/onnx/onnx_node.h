/* A node of an ONNX graph while it is read: what an operator's prepare function sees of it, and how
 * it answers.
 *
 * prepare asks for the attributes it knows and for what is known of the inputs, makes steps of the
 * program, and binds each output to what makes it. UNIMPLEMENTED: the graph is another engine's;
 * INVALID_ARGUMENT: it is damaged. An attribute that nobody asked for is one that prepare does not
 * know, and the graph is not run natively.
 *
 * Everything here lies in the scratch arena and is gone when the graph has been read; what a step
 * keeps is the program's (tern_onnx_node_state). */
#ifndef TERN_ENGINE_NATIVE_ONNX_NODE_H
#define TERN_ENGINE_NATIVE_ONNX_NODE_H

#include "base/arena.h"
#include "engine/native/program.h"

struct tern_op_layer;

/* What flows between nodes. */
struct tern_onnx_value {
    struct tern_str name;
    enum tern_dtype dtype;              /* INVALID: no node has made it yet */
    const struct tern_tensor *constant; /* known when the graph is read, else NULL */
    uint32_t value;                     /* of the program; NONE: a constant no step reads so far */
    uint32_t n_readers;                 /* nodes, and the graph when it is an output */
    size_t n_columns;                   /* made by ZipMap: how many classes it has; else 0 */
    struct tern_op_layer *layer; /* the dense layer that makes it for one reader; else NULL */
    bool is_defined;             /* else it is a name that was only read so far */
};

struct tern_onnx_attr {
    struct tern_str name;
    struct tern_str body; /* the AttributeProto */
    uint64_t type;        /* 0: it does not say */
    bool is_reference;    /* to an attribute of a function */
    bool asked;
};

struct tern_onnx_node {
    struct tern_str op_type;
    struct tern_str domain; /* empty: ai.onnx */
    struct tern_str name;
    uint64_t version; /* of the domain's opset */
    struct tern_onnx_attr *attrs;
    uint32_t n_attrs;
    struct tern_onnx_value **in; /* NULL: an optional input that is left out */
    uint32_t n_in;
    struct tern_onnx_value **out; /* NULL: an output that nobody wants */
    uint32_t n_out;
    struct tern_program *program;
    struct tern_arena *scratch;
};

/* ---- attributes; lists are the scratch arena's ---- */

struct tern_onnx_ints {
    const int64_t *p;
    size_t n;
};
struct tern_onnx_floats {
    const float *p;
    size_t n;
};
struct tern_onnx_texts {
    const struct tern_str *p;
    size_t n;
};

/* Appends an AttributeProto to node->attrs, which has room. UNIMPLEMENTED: it is a graph. */
enum tern_code tern_onnx_node_add(struct tern_onnx_node *node, struct tern_str body,
                                  struct tern_err *err);
bool tern_onnx_node_has(const struct tern_onnx_node *node, const char *name);
enum tern_code tern_onnx_node_int(struct tern_onnx_node *node, const char *name, int64_t otherwise,
                                  int64_t *ret, struct tern_err *err);
enum tern_code tern_onnx_node_float(struct tern_onnx_node *node, const char *name, float otherwise,
                                    float *ret, struct tern_err *err);
enum tern_code tern_onnx_node_text(struct tern_onnx_node *node, const char *name,
                                   const char *otherwise, struct tern_str *ret,
                                   struct tern_err *err);
/* Without the attribute: an empty list. */
enum tern_code tern_onnx_node_ints(struct tern_onnx_node *node, const char *name,
                                   struct tern_onnx_ints *ret, struct tern_err *err);
enum tern_code tern_onnx_node_floats(struct tern_onnx_node *node, const char *name,
                                     struct tern_onnx_floats *ret, struct tern_err *err);
enum tern_code tern_onnx_node_texts(struct tern_onnx_node *node, const char *name,
                                    struct tern_onnx_texts *ret, struct tern_err *err);
/* Without the attribute: a tensor of datatype INVALID. */
enum tern_code tern_onnx_node_tensor(struct tern_onnx_node *node, const char *name,
                                     struct tern_tensor *ret, struct tern_err *err);
/* Which of the names, NULL-terminated, a text attribute is. */
enum tern_code tern_onnx_node_choice(struct tern_onnx_node *node, const char *name,
                                     const char *otherwise, const char *const *names, uint32_t *ret,
                                     struct tern_err *err);
/* Asks for an attribute that makes no difference. */
void tern_onnx_node_ignore(struct tern_onnx_node *node, const char *name);

/* ---- inputs ---- */

#define TERN_ONNX_DTYPE(name) (1u << TERN_DTYPE_##name)
#define TERN_ONNX_FLOATS      (TERN_ONNX_DTYPE(FP32) | TERN_ONNX_DTYPE(FP64))
#define TERN_ONNX_INTS        (TERN_ONNX_DTYPE(INT32) | TERN_ONNX_DTYPE(INT64))
#define TERN_ONNX_NUMBERS     (TERN_ONNX_FLOATS | TERN_ONNX_INTS)
#define TERN_ONNX_ANY         (TERN_ONNX_NUMBERS | TERN_ONNX_DTYPE(BOOL) | TERN_ONNX_DTYPE(BYTES))

bool tern_onnx_node_has_input(const struct tern_onnx_node *node, uint32_t i);
/* INVALID: there is no such input. */
enum tern_dtype tern_onnx_node_dtype(const struct tern_onnx_node *node, uint32_t i);
/* INVALID_ARGUMENT without the input, UNIMPLEMENTED when its datatype is not in the set. */
enum tern_code tern_onnx_node_want(const struct tern_onnx_node *node, uint32_t i, uint32_t dtypes,
                                   struct tern_err *err);
/* NULL: there is no such input, or it is made by runs. */
const struct tern_tensor *tern_onnx_node_constant(const struct tern_onnx_node *node, uint32_t i);
/* The program's value of an input; NONE without the input. */
enum tern_code tern_onnx_node_read(struct tern_onnx_node *node, uint32_t i, uint32_t *ret_value,
                                   struct tern_err *err);

/* ---- what becomes of the node ---- */

/* Zeroed memory that lives as long as the program. */
enum tern_code tern_onnx_node_state(struct tern_onnx_node *node, size_t size, void **ret_state,
                                    struct tern_err *err);
/* Output i is what that value of the program is. */
void tern_onnx_node_bind(struct tern_onnx_node *node, uint32_t i, uint32_t value);
/* A step that reads all inputs and makes output 0. */
enum tern_code tern_onnx_node_step(struct tern_onnx_node *node, const struct tern_operator *op,
                                   const void *state, enum tern_dtype dtype, struct tern_err *err);
/* The same with the first n_in inputs, and n_out outputs of these datatypes. */
enum tern_code tern_onnx_node_steps(struct tern_onnx_node *node, const struct tern_operator *op,
                                    const void *state, uint32_t n_in, const enum tern_dtype *dtypes,
                                    uint32_t n_out, struct tern_err *err);
/* "operator Conv is not run natively: why" */
enum tern_code tern_onnx_node_refuse(const struct tern_onnx_node *node, const char *why,
                                     struct tern_err *err) TERN_COLD;
#ifdef __clang_analyzer__
#define tern_onnx_node_refuse(...) ((void)tern_onnx_node_refuse(__VA_ARGS__), TERN_UNIMPLEMENTED)
#endif

#endif
