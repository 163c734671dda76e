/* The engines that this program has, in the order in which they are asked. */
#ifndef TERN_ENGINE_ENGINES_H
#define TERN_ENGINE_ENGINES_H

#include "core/engine.h"

extern const struct tern_engine_ops *const tern_engines[];
extern const uint32_t tern_engines_count;

/* By Triton's backend name or platform ("onnxruntime", "onnxruntime_onnx"); NULL when unknown. */
const struct tern_engine_ops *tern_engines_find(struct tern_str name);
/* The engine that is surest of the file; NULL when none knows it. */
const struct tern_engine_ops *tern_engines_probe(const char *file_name, struct tern_str head);
/* Frees what the engines hold for the process; no model is loaded any more. */
void tern_engines_close(void);

#endif
