/* The ONNX engine: runs ONNX models through ONNX Runtime, which is loaded when it is first needed.
 * Without the library everything else works, and a load fails with a line that says how to get it.
 */
#ifndef TERN_ENGINE_ONNX_ONNX_H
#define TERN_ENGINE_ONNX_ONNX_H

#include "core/engine.h"

extern const struct tern_engine_ops tern_onnx_engine;

struct tern_onnx_config {
    /* The library's path or name; NULL or empty: TERN_ONNXRUNTIME, then the usual places. */
    const char *library;
    /* (optional) Receives the library's warnings and errors (level 2 to 4), from any thread. */
    void (*log)(void *arg, int level, const char *text);
    void *log_arg; /* borrowed: until the program ends */
};

/* Once, from the composition root, before any model is loaded and any thread reads the environment;
 * the strings are copied. Without it the library is found in the usual places and its messages are
 * dropped. Sets ORT_DISABLE_TELEMETRY=1 unless the variable is set: no reports to the library's
 * maker. */
enum tern_code tern_onnx_configure(const struct tern_onnx_config *config, struct tern_err *err);

#endif
