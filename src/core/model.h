/* What is known about one loaded model version: immutable once published, shared by all threads,
 * read by every dialect's metadata answer. Owned by the model version (registry), in its arena. */
#ifndef TERN_CORE_MODEL_H
#define TERN_CORE_MODEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/tensor.h"

#define TERN_MODEL_NAME_MAX 128

enum tern_model_state {
    TERN_MODEL_UNKNOWN,
    TERN_MODEL_LOADING,
    TERN_MODEL_READY,
    TERN_MODEL_UNLOADING,
    TERN_MODEL_UNAVAILABLE, /* failed or unloaded; the reason says which */
};

/* A label that the model's metrics carry. */
struct tern_model_tag {
    struct tern_str key;
    struct tern_str value;
};

/* Triton's ModelConfig of a model. */
struct tern_model_config_text {
    struct tern_str json;
    struct tern_str pb; /* serialized (api/model_config.proto) */
    /* Of an ensemble, which is decoupled as long as one of its steps is: what it is then; else
     * NULL.
     */
    const struct tern_model_config_text *decoupled;
};

struct tern_model_info {
    struct tern_str name;
    struct tern_str platform; /* "onnxruntime_onnx" */
    struct tern_str backend;  /* "onnxruntime" */
    int64_t version;
    int64_t max_batch_size; /* 0: the first dimension is not a batch */
    bool decoupled;         /* a request has any number of answers */
    bool documents;         /* it is a graph of documents: no tensors, its own operations */
    const struct tern_tensor_spec *inputs;
    uint32_t n_inputs;
    const struct tern_tensor_spec *outputs;
    uint32_t n_outputs;
    const struct tern_labels *labels; /* one an output; NULL: none has any */
    /* What the features of a row are called, which are the elements of all inputs in their order;
     * NULL: the model's file does not say it. */
    const struct tern_str *feature_names;
    uint32_t n_feature_names;
    const struct tern_model_tag *metric_tags;
    uint32_t n_metric_tags;
    /* Another one once the number of instances changed; what was read of the old one stays. */
    const struct tern_model_config_text *_Atomic config;
};

/* The configuration of a model that is decoupled now, or is not. Any thread. */
const struct tern_model_config_text *tern_model_config_now(const struct tern_model_info *info,
                                                           bool decoupled);

/* "READY" and so on, as the repository index spells them. */
const char *tern_model_state_name(enum tern_model_state state);
/* [A-Za-z0-9._-]{1,128} without a leading dot: safe in a path, a label and a log line. */
bool tern_model_name_is_valid(struct tern_str name);
/* The one of that name, or NULL; so do the two for a model's. */
const struct tern_tensor_spec *tern_model_find_spec(const struct tern_tensor_spec *specs,
                                                    uint32_t n, struct tern_str name);
const struct tern_tensor_spec *tern_model_input(const struct tern_model_info *info,
                                                struct tern_str name);
const struct tern_tensor_spec *tern_model_output(const struct tern_model_info *info,
                                                 struct tern_str name);

#endif
