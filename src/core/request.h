/* One inference request and its response, free of any protocol. Everything lies in the request's
 * arena unless said otherwise. */
#ifndef TERN_CORE_REQUEST_H
#define TERN_CORE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "core/tensor.h"

#define TERN_TENSORS_MAX 256 /* inputs, or outputs, of one request */

enum tern_param_kind {
    TERN_PARAM_BOOL,
    TERN_PARAM_INT64,
    TERN_PARAM_UINT64, /* only values above INT64_MAX */
    TERN_PARAM_DOUBLE,
    TERN_PARAM_STRING,
};

struct tern_param {
    struct tern_str key;
    enum tern_param_kind kind;
    union {
        bool boolean;
        int64_t int64;
        uint64_t uint64;
        double real;
        struct tern_str string;
    };
};

struct tern_params {
    struct tern_param *rows;
    uint32_t n;
};

/* An output the client asked for. No list means all of the model's, in the model's order. */
struct tern_requested_output {
    struct tern_str name;
    bool binary;                    /* the protocol's own business: how encode writes it */
    uint32_t classification;        /* 0, or the N best classes instead of the values */
    struct tern_region_ref *region; /* NULL: in the response; else written there. Arena */
};

#define TERN_SEQUENCE_TEXT_MAX 128

/* Which sequence of requests this one belongs to. */
struct tern_sequence {
    uint64_t id;          /* when text is empty; 0: none */
    struct tern_str text; /* the other form of an id */
    bool start, end;
};

struct tern_infer_request {
    struct tern_str id; /* empty: none */
    struct tern_params params;
    struct tern_tensor *inputs;
    uint32_t n_inputs;
    struct tern_requested_output *outputs;
    uint32_t n_outputs;
    bool binary_default;  /* outputs that say nothing are wanted binary */
    uint64_t deadline_ns; /* monotonic; 0: none */
    uint64_t
        timeout_ns;    /* how long it may wait, where the model's queue honours that; 0: not said */
    uint64_t priority; /* 0: the model's default; 1 is the most urgent */
    struct tern_sequence sequence;
    /* Raw binary request: the whole body is the one input, whose name, datatype and shape only the
     * model knows. inputs is then empty until the infer operation fills it. */
    bool raw;
    struct tern_str raw_body;
};

struct tern_infer_response {
    struct tern_tensor *outputs; /* in the order requested */
    uint32_t n_outputs;
    struct tern_params params;
};

#define TERN_PARAMS_MAX 256

/* Adds one; its texts are borrowed. `rows` is only ever grown by this function. INVALID_ARGUMENT
 * for a second one of that name, or too many. */
enum tern_code tern_params_add(struct tern_arena *arena, struct tern_params *params,
                               const struct tern_param *param, struct tern_err *err);

/* A parameter that has to be of one kind; INVALID_ARGUMENT names it otherwise. */
enum tern_code tern_param_bool(const struct tern_param *param, bool *ret, struct tern_err *err);
enum tern_code tern_param_u64(const struct tern_param *param, uint64_t *ret, struct tern_err *err);

/* The parameter called key, or NULL. */
const struct tern_param *tern_params_find(const struct tern_params *params, struct tern_str key);

#endif
