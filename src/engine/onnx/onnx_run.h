/* One instance of an ONNX model: a session, and what it needs to run one batch after another.
 *
 * Two ways to run. Small requests of a shape that came before go through a prepared call: tensors
 * of the library made once over buffers of the instance, into and out of which a few bytes are
 * copied; that costs less than making them anew. All others wrap the request's own memory (no copy)
 * and, when the shape of an output follows from the inputs, let the library write into the
 * request's arena; an output whose shape only the run tells is the library's, lent to the arena. */
#ifndef TERN_ENGINE_ONNX_ONNX_RUN_H
#define TERN_ENGINE_ONNX_ONNX_RUN_H

#include "engine/onnx/onnx_model.h"

struct tern_onnx_instance;

enum tern_code tern_onnx_run_new(struct tern_onnx_model *model,
                                 struct tern_onnx_instance **ret_instance, struct tern_err *err);
void tern_onnx_run_free(struct tern_onnx_instance *instance);
/* As tern_engine_ops.infer. */
enum tern_code tern_onnx_run_infer(struct tern_onnx_instance *instance,
                                   const struct tern_engine_run *run, struct tern_err *err);
/* From any thread while a run is in progress, which then ends as CANCELLED soon. One that comes
 * before the run has begun is lost, and one that comes after it has ended is forgotten. */
void tern_onnx_run_cancel(struct tern_onnx_instance *instance);

#endif
