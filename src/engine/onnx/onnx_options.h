/* What can be set for an ONNX model, in Triton's words where Triton has one.
 *
 *   intra_op_thread_count            threads inside one operator; 0: as the server says
 *   inter_op_thread_count            threads across operators, with execution_mode parallel
 *   execution_mode                   0 or sequential, 1 or parallel
 *   optimization.graph.level         Triton's: -1 basic, 1 extended, 2 none
 *   graph_optimization_level         none, basic, extended, all (the default)
 *   enable_mem_arena                 keep freed memory for the next run
 *   enable_mem_pattern               plan the memory of fixed shapes once
 *   arena_extend_strategy            0 next power of two, 1 as requested; the arena is then shared
 *                                    by all models that set it
 *   memory.enable_memory_arena_shrinkage   "cpu:0": gives the arena back after each run
 *   share_session                    1: all instances run on one session
 *   execution_providers              names in order of preference: cuda,cpu
 *   <provider>.<key>                 that provider's option: cuda.device_id
 *   session.*, optimization.*, ep.*, mlas.*   ONNX Runtime's configuration entries, as they are */
#ifndef TERN_ENGINE_ONNX_ONNX_OPTIONS_H
#define TERN_ENGINE_ONNX_ONNX_OPTIONS_H

#include <stdbool.h>
#include "core/engine.h"
#include "engine/onnx/ort.h"

#define TERN_ONNX_PROVIDERS_MAX 8
#define TERN_ONNX_THREADS_MAX   1024

enum tern_onnx_choice { TERN_ONNX_AUTO = -1, TERN_ONNX_OFF = 0, TERN_ONNX_ON = 1 };

/* key and value with a terminating zero, in the arena. */
struct tern_onnx_entry {
    const char *key;
    const char *value;
};

struct tern_onnx_provider {
    struct tern_str name; /* as written */
    const char **keys;
    const char **values;
    uint32_t n;
};

struct tern_onnx_options {
    uint32_t intra_threads; /* at least 1 */
    uint32_t inter_threads; /* 0: ONNX Runtime decides */
    bool is_parallel;
    int graph_level; /* ONNX Runtime's number */
    enum tern_onnx_choice arena;
    enum tern_onnx_choice pattern;
    enum tern_onnx_choice share;
    int extend_strategy;   /* -1: not set */
    const char *shrinkage; /* NULL: not set */
    struct tern_onnx_entry *entries;
    uint32_t n_entries;
    struct tern_onnx_provider providers[TERN_ONNX_PROVIDERS_MAX];
    uint32_t n_providers;
};

/* Reads spec->options; what is kept is copied into the arena. INVALID_ARGUMENT naming the option,
 * what was expected and what came; an unknown one lists the known ones. */
enum tern_code tern_onnx_options_parse(const struct tern_engine_load *spec,
                                       struct tern_arena *arena,
                                       struct tern_onnx_options *ret_options, struct tern_err *err);
/* Session options to the same effect; released by the caller. log_id: the model's name. */
enum tern_code tern_onnx_options_apply(const struct tern_ort *ort,
                                       const struct tern_onnx_options *options, const char *log_id,
                                       struct ort_session_options **ret_session_options,
                                       struct tern_err *err);
/* Whether a provider other than the processor is asked for. */
bool tern_onnx_options_has_device(const struct tern_onnx_options *options);

#endif
