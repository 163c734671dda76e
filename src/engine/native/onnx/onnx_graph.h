/* An ONNX file as a program: small graphs, dense nets and pipelines of scikit-learn, run without
 * ONNX Runtime. Which operators there are says onnx_ops.c.
 *
 * The file is walked by tern_onnx_scan first, with its limits. A graph with subgraphs, functions,
 * weights in other files or an operator that is not here is UNIMPLEMENTED with the reason, found
 * before anything large is read: it is ONNX Runtime's. The outputs of ZipMap are the tensor that it
 * would make maps of, under ZipMap's name. */
#ifndef TERN_ENGINE_NATIVE_ONNX_GRAPH_H
#define TERN_ENGINE_NATIVE_ONNX_GRAPH_H

#include "engine/native/format.h"

extern const struct tern_native_format tern_onnx_graph_format;

enum tern_code tern_onnx_graph_load(const struct tern_native_source *source,
                                    struct tern_program *program, struct tern_err *err);

#endif
