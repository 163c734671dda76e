/* A look at an ONNX file before ONNX Runtime sees it: a walk over the protobuf messages that may
 * hold something dangerous, in one pass, without recursion and without taking memory.
 *
 * It answers "what is this file" in words a person can act on (empty, cut off, a pickle, ...),
 * counts what the library would allocate for, and reports every tensor whose bytes lie elsewhere:
 * ONNX Runtime opens any path that such a tensor names, and some releases take a number in it for
 * an address. Format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and
 * https://protobuf.dev/programming-guides/encoding/ */
#ifndef TERN_ENGINE_ONNX_ONNX_SCAN_H
#define TERN_ENGINE_ONNX_ONNX_SCAN_H

#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

#define TERN_ONNX_DEPTH_MAX   64
#define TERN_ONNX_OPSETS_MAX  16
#define TERN_ONNX_NODES_MAX   (1u << 20) /* with those of nested graphs and functions */
#define TERN_ONNX_TENSORS_MAX (1u << 20)
#define TERN_ONNX_SIZE_MAX    INT32_MAX /* of any protobuf message */

struct tern_onnx_opset {
    struct tern_str domain; /* empty: "ai.onnx" */
    uint64_t version;
};

/* A tensor with its bytes in another file. Strings are slices of the scanned bytes. */
struct tern_onnx_external {
    struct tern_str tensor;
    struct tern_str location; /* relative, of plain names and slashes only */
    uint64_t offset;
    uint64_t length; /* 0: not given */
};

struct tern_onnx_scan {
    uint64_t ir_version;
    struct tern_onnx_opset opsets[TERN_ONNX_OPSETS_MAX];
    uint32_t n_opsets;
    uint32_t n_nodes;
    uint32_t n_tensors;
    uint32_t n_external;
};

/* Called for each external tensor; an error ends the scan with it. */
typedef enum tern_code (*tern_onnx_external_fn)(void *arg, const struct tern_onnx_external *tensor,
                                                struct tern_err *err);

/* INVALID_ARGUMENT with the reason, RESOURCE_EXHAUSTED over a limit, or what on_external said. */
enum tern_code tern_onnx_scan(struct tern_str bytes, tern_onnx_external_fn on_external, void *arg,
                              struct tern_onnx_scan *ret_scan, struct tern_err *err);

/* "IR version 8, opsets ai.onnx 17, ai.onnx.ml 1" with a terminating zero. Returns dst. */
const char *tern_onnx_scan_print(const struct tern_onnx_scan *scan, char *dst, size_t cap);

#endif
