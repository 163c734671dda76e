/* The labels of classifiers: numbers or texts. */
#ifndef TERN_ENGINE_NATIVE_OP_CLASSES_H
#define TERN_ENGINE_NATIVE_OP_CLASSES_H

#include "engine/native/onnx/onnx_node.h"
#include "engine/native/state.h"

struct tern_op_classes {
    enum tern_dtype dtype; /* INT64 or BYTES */
    const int64_t *ints;
    const struct tern_str *texts;
    size_t n;
};

/* One of two attributes; the lists are copied into the program's arena. Without either: n is 0. */
enum tern_code tern_op_classes_read(struct tern_onnx_node *node, const char *ints,
                                    const char *texts, struct tern_op_classes *ret,
                                    struct tern_err *err);
/* 0 and 1, as numbers or texts. */
struct tern_op_classes tern_op_classes_binary(enum tern_dtype dtype);
/* Their names are those of a value's columns. */
enum tern_code tern_op_classes_label(struct tern_program *program, uint32_t value,
                                     const struct tern_op_classes *classes, struct tern_err *err);
/* Output i of a step: the labels of n rows, by number. */
enum tern_code tern_op_classes_give(const struct tern_op_classes *classes,
                                    const struct tern_step *step, struct tern_program_run *run,
                                    uint32_t i, const uint32_t *numbers, size_t n,
                                    struct tern_err *err);
/* For states that have classes. */
void tern_op_classes_points(const struct tern_op_classes *classes, struct tern_state *to);

#endif
