/* A model's configuration: what Triton calls ModelConfig, read from config.pbtxt, config.yaml or
 * config.json in the model's folder, or from nothing at all. What it leaves out is completed from
 * what the engine found in the model; where both speak they must agree.
 *
 * Everything lies in the arena given to load; texts end with a zero. Blocking; one thread. */
#ifndef TERN_REGISTRY_MODEL_CONFIG_H
#define TERN_REGISTRY_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "conf/problem.h"
#include "conf/tree.h"
#include "conf/version_policy.h"
#include "core/engine.h"
#include "core/model.h"
#include "core/tensor.h"
#include "registry/batching_parameters.h"
#include "registry/ensembling.h"
#include "registry/scheduling.h"
#include "registry/seen.h"
#include "registry/sequencing.h"

#define TERN_MODEL_CONFIG_FILE_MAX (1u << 20) /* bytes */

/* An input or output as the file describes it. */
struct tern_config_tensor {
    struct tern_str name;
    enum tern_dtype dtype; /* INVALID: the file does not say */
    bool has_dims;
    struct tern_shape dims; /* without the batch dimension when max_batch_size > 0 */
    bool has_reshape;
    struct tern_shape reshape; /* what the model itself has instead of dims; in the same way */
    bool optional;
    bool ragged;                    /* allow_ragged_batch */
    struct tern_str label_filename; /* an output's; relative to the model's folder */
    struct tern_str place;          /* "config.pbtxt:12:5" */
};

enum tern_warmup_source {
    TERN_WARMUP_ZERO,
    TERN_WARMUP_RANDOM,
    TERN_WARMUP_FILE, /* raw little-endian bytes in <model folder>/warmup/<file> */
};

struct tern_config_warmup_input {
    struct tern_str name;
    enum tern_dtype dtype;
    struct tern_shape dims; /* without the batch dimension */
    enum tern_warmup_source source;
    struct tern_str file;
};

struct tern_config_warmup {
    struct tern_str name;
    uint64_t batch_size; /* 0: a model without a batch dimension */
    uint64_t count;      /* at least 1 */
    struct tern_config_warmup_input *inputs;
    uint32_t n_inputs;
};

struct tern_model_config {
    struct tern_str file; /* "config.pbtxt"; empty: there was none */
    struct tern_str name; /* empty: the folder's */
    struct tern_str platform;
    struct tern_str backend; /* empty: decided by the model's file */
    struct tern_str default_model_filename;

    bool has_version_policy;
    struct tern_version_policy version_policy;

    bool has_max_batch_size;
    int64_t max_batch_size;
    struct tern_config_tensor *inputs;
    uint32_t n_inputs;
    struct tern_config_tensor *outputs;
    uint32_t n_outputs;

    bool decoupled;     /* model_transaction_policy: a request has any number of answers */
    uint32_t instances; /* of all groups that are not passive; 0: the file does not say */
    /* MLServer's, or those in the version's folder; NULL: none of its own. */
    const struct tern_batching_parameters *batching;
    struct tern_scheduling *scheduling;       /* whole once completed; NULL without memory */
    struct tern_sequencing *sequencing;       /* sequence_batching; NULL: requests stand alone */
    const struct tern_ensembling *ensembling; /* ensemble_scheduling; NULL: it is a model */
    struct tern_config_warmup *warmup;
    uint32_t n_warmup;
    struct tern_model_tag *metric_tags;
    uint32_t n_metric_tags;

    /* For the engine: `parameters`, then optimization.graph.level as "graph_optimization_level" and
     * accelerators as "execution_providers" = "name" followed by "name.key" = "value". */
    struct tern_engine_option *options;
    uint32_t n_options;

    struct tern_tree *tree; /* everything the file says, bound to registry/model_schema.h */
};

/* How models are batched whose configuration says nothing of it. */
enum tern_batching_rule {
    TERN_BATCHING_RULE_ADAPTIVE,
    TERN_BATCHING_RULE_CONFIGURED, /* they are not: Triton's rule */
    TERN_BATCHING_RULE_OFF,        /* nor is any other, whatever it says */
};

/* What the server says for all models. All zero: nothing special. */
struct tern_model_config_settings {
    struct tern_str
        name;    /* configs/<name>.pbtxt wins over config.pbtxt; empty: it is not looked for */
    bool strict; /* nothing is completed: a configuration with inputs and outputs is demanded */
    /* Of a model whose configuration does not say, when the first dimension of all its inputs and
     * outputs is free; 0: it stays without a batch dimension. */
    int64_t default_max_batch_size;
    enum tern_batching_rule batching;
    uint64_t slo_ns; /* how long an answer usually may take; 0: nobody said */
    /* Rows of a batch of a model that declares none but turns out to have them
     * (registry/batchable.h); 0 or 1: it is not tried. */
    uint32_t batch_max;
    bool batch_exact; /* only when every bit of the answers stays the same */
    const struct tern_batching_parameters *batching_parameters; /* for all models; NULL: none */
};

/* Where a configuration comes from. */
struct tern_model_config_source {
    const char *folder;   /* of the model; NULL: none, the empty configuration */
    struct tern_str name; /* of the settings */
    struct tern_str text; /* p != NULL: this JSON, and no file */
    bool only_read;       /* as tern_model_config_parse reads: to be printed, not to be served */
};

/* Reads the text; or configs/<name>.pbtxt; or whichever of config.pbtxt, config.yaml and
 * config.json the folder has: two of these are a mistake. Mistakes go into the list: the
 * configuration is usable when none was added. */
void tern_model_config_load(const struct tern_model_config_source *source, struct tern_arena *arena,
                            struct tern_model_config *ret_config, struct tern_problems *problems);

/* Reads TF Serving's batching_params.pbtxt where the version's folder has one. Mistakes as above.
 */
void tern_model_config_load_batching(const char *version_path, struct tern_arena *arena,
                                     struct tern_model_config *config,
                                     struct tern_problems *problems);

/* The same from a text; the form follows from the end of the file's name. A config.pbtxt that
 * starts with '{' is read as JSON: what the config route prints can be pasted back. */
void tern_model_config_read(struct tern_str text, struct tern_str file, struct tern_arena *arena,
                            struct tern_model_config *ret_config, struct tern_problems *problems);

/* Only the tree: every name and type is checked, but what Tern would not serve is no mistake, and
 * nothing is taken out of the tree. */
void tern_model_config_parse(struct tern_str text, struct tern_str file, struct tern_arena *arena,
                             struct tern_model_config *ret_config, struct tern_problems *problems);

/* The model's tensors as specifications in the order of the engine's own: dims of both sides merged
 * (a known one wins over -1), the batch dimension first as -1, labels attached as paths in folder
 * (NULL: none). */
struct tern_model_config_specs {
    struct tern_tensor_spec *inputs;
    struct tern_tensor_spec *outputs; /* as many as the engine's model has */
    struct tern_seen seen;            /* those of them that clients see */
    /* The model's own shapes where reshape makes them differ, rank -1 where it does not; NULL,
     * both: there is no reshape. */
    struct tern_shape *input_shapes;
    struct tern_shape *output_shapes;
    int64_t max_batch_size;
};

/* What a configuration is about. */
struct tern_model_config_subject {
    struct tern_str name; /* of the model */
    const char *folder;   /* NULL: none */
    const struct tern_engine_model *model;
    struct tern_str file_name;                /* of the model's file or folder; empty: not told */
    uint32_t instances;                       /* made of it; 0: one */
    const struct tern_version_policy *policy; /* the server's, where the file gives none; NULL: the
                                                 latest version */
};

/* Completes the configuration from the engine's model and checks that both agree. Without a word
 * on max_batch_size it is the settings' default for a model that can batch; else the shapes stay as
 * the model has them (no batch dimension: 0). */
void tern_model_config_complete(struct tern_model_config *config,
                                const struct tern_model_config_settings *settings,
                                const struct tern_model_config_subject *subject,
                                struct tern_arena *arena, struct tern_model_config_specs *ret_specs,
                                struct tern_problems *problems);

/* For a model without max_batch_size, once its rows are known not to know of each other: how they
 * are batched. False without memory. */
bool tern_model_config_take_batches(struct tern_model_config *config,
                                    const struct tern_model_config_settings *settings,
                                    struct tern_arena *arena);

/* The dims of a configured tensor, or its reshape, with the batch dimension in front as -1. */
struct tern_shape tern_model_config_whole(const struct tern_model_config *config,
                                          const struct tern_shape *dims);
/* The one of the described inputs or outputs that has the name, or NULL. */
const struct tern_config_tensor *tern_model_config_find(const struct tern_config_tensor *rows,
                                                        uint32_t n, struct tern_str name);

/* The configuration as text without its instance groups: two that are the same need the same model,
 * and perhaps another number of instances. In the arena. */
enum tern_code tern_model_config_print_rest(const struct tern_model_config *config,
                                            struct tern_arena *arena, struct tern_str *ret_json,
                                            struct tern_err *err);
/* ModelConfig as JSON, as Triton's config route answers it; in the arena. */
enum tern_code tern_model_config_print(const struct tern_model_config *config,
                                       struct tern_arena *arena, struct tern_str *ret_json,
                                       struct tern_err *err);
/* Both forms that clients ask for; in the arena. */
enum tern_code tern_model_config_text(const struct tern_model_config *config,
                                      struct tern_arena *arena,
                                      const struct tern_model_config_text **ret_text,
                                      struct tern_err *err);
/* ModelConfig as a serialized message of protocol buffers; in the arena. */
enum tern_code tern_model_config_encode(const struct tern_model_config *config,
                                        struct tern_arena *arena, struct tern_str *ret_pb,
                                        struct tern_err *err);

#endif
