/* The native engine: boosters, forests, linear models and small graphs, run by Tern itself. See
 * doc/native.md. */
#ifndef TERN_ENGINE_NATIVE_NATIVE_H
#define TERN_ENGINE_NATIVE_NATIVE_H

#include "core/engine.h"

/* What holds for all models; before any is loaded, and once. */
struct tern_native_config {
    bool runs_onnx; /* graphs that it can run, instead of ONNX Runtime; else only where named */
};

void tern_native_configure(const struct tern_native_config *config);

extern const struct tern_engine_ops tern_native_engine;

#endif
