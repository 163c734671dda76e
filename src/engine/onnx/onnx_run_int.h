/* Shared by onnx_run.c and onnx_call.c only. */
#ifndef TERN_ENGINE_ONNX_ONNX_RUN_INT_H
#define TERN_ENGINE_ONNX_ONNX_RUN_INT_H

#include "engine/onnx/onnx_run.h"

#define TERN_ONNX_ALIGN      64 /* of what the library reads and writes */
#define TERN_ONNX_CALL_SETS  16 /* prepared calls an instance keeps: two for each hash */
#define TERN_ONNX_CALL_PORTS 8  /* inputs, and outputs, of a prepared call */
#define TERN_ONNX_CALL_BYTES \
    4096 /* of its inputs, and of its outputs: above, wrapping is cheaper */

struct tern_onnx_call;

struct tern_onnx_instance {
    struct tern_onnx_model *model;       /* borrowed: until the instance is freed */
    struct ort_session *session;         /* own or shared */
    struct ort_run_options *run_options; /* owned */
    atomic_bool is_cancelled;
    struct tern_onnx_call *calls[TERN_ONNX_CALL_SETS][2]; /* owned; the one used last is first */
    /* Of the run in progress; as many as the model has, all in block. */
    void **block;                     /* owned */
    const struct tern_tensor **given; /* by input; NULL: left out */
    const char **input_names;
    struct ort_value **inputs;
    const char **output_names;
    struct ort_value **outputs;
};

/* The shape of an output as the declaration promises it; false when it cannot be known. */
bool tern_onnx_run_predict(const struct tern_onnx_instance *instance,
                           const struct tern_onnx_port *output, struct tern_shape *ret_shape);
/* BOOL is one byte of 0 or 1: the library's kernels rely on it. */
enum tern_code tern_onnx_run_check_bool(const struct tern_tensor *tensor, struct tern_err *err);

enum tern_onnx_called {
    TERN_ONNX_CALL_NONE, /* not for this request, or its promise was wrong: run it the long way */
    TERN_ONNX_CALL_DONE,
};
/* Runs the request through a prepared call if it can. instance->given is filled. */
enum tern_code tern_onnx_call_run(struct tern_onnx_instance *instance,
                                  const struct tern_engine_run *run,
                                  enum tern_onnx_called *ret_called, struct tern_err *err);
void tern_onnx_call_free(const struct tern_ort *ort, struct tern_onnx_call *call);

/* One run of the session. */
TERN_INLINE struct ort_status *
tern_onnx_run_session(const struct tern_onnx_instance *instance, const char *const *input_names,
                      struct ort_value *const *inputs, size_t n_inputs,
                      const char *const *output_names, struct ort_value **outputs, size_t n_outputs)
{
    return instance->model->ort->api.Run(instance->session, instance->run_options, input_names,
                                         (const struct ort_value *const *)inputs, n_inputs,
                                         output_names, n_outputs, outputs);
}

/* Whether a failed run may have failed because we promised a wrong output shape: the text speaks
 * of one. A wrong "yes" costs a second run, a wrong "no" the request. */
bool tern_onnx_run_blames_shape(const struct tern_ort *ort, const struct ort_status *status);
/* The error of a failed run; releases the status. */
enum tern_code tern_onnx_run_fail(struct tern_onnx_instance *instance, struct ort_status *status,
                                  struct tern_err *err) TERN_COLD;

#endif
