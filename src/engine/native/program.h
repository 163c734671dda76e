/* A program: what a model file says, as steps over values. A value is an input of the model, a
 * constant, or what a step makes; a step is an operator with its settings, read once at load.
 *
 * A loader makes values and steps in the order in which they run (each value before the step that
 * reads it), then names the outputs. Everything lies in the arena given to begin, which outlives
 * the program; memory that is not the arena's is tied to it by tern_arena_on_reset. Immutable once
 * finished; runs share it. */
#ifndef TERN_ENGINE_NATIVE_PROGRAM_H
#define TERN_ENGINE_NATIVE_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "core/engine.h"
#include "core/tensor.h"

#define TERN_PROGRAM_VALUES_MAX 65536
#define TERN_PROGRAM_STEPS_MAX  65536
#define TERN_VALUE_NONE         UINT32_MAX /* an optional input that a step does without */

struct tern_step;
struct tern_program_run;
struct tern_state;

/* What element i of a row of an operator's first output has to do with its inputs. */
enum tern_reach {
    TERN_REACH_ANY,     /* nobody says */
    TERN_REACH_ROW,     /* it stands for element i of the first input, and is made of its row */
    TERN_REACH_ELEMENT, /* it stands for element i of the first input, and is made of that alone;
                           other inputs are broadcast */
    TERN_REACH_SPREAD,  /* it is made of element i / width of the first input alone */
    TERN_REACH_MOVED,   /* it is an element of the first input; other inputs say which. Elements of
                           any   datatype are moved, by all outputs */
    TERN_REACH_JOINED,  /* it is an element of one of the inputs, or nothing */
    TERN_REACH_ASIDE,   /* it says which rows have an answer, and no more */
};

/* What operators with the same `run` differ in; cast to what it is there. */
typedef void tern_operator_loop(void);

/* One operator, made by TERN_OPERATOR. Values are read and written through tern_step_in and
 * tern_step_out. */
struct tern_operator {
    const char *name; /* as messages have it: "Gemm" */
    enum tern_reach reach;
    size_t (*width)(const void *state); /* SPREAD: how many elements one becomes */
    /* Inputs are there and of the datatypes that load saw; shapes are the run's own and have to be
     * checked: a mismatch is INVALID_ARGUMENT, begun with the operator's name by who calls. */
    enum tern_code (*run)(const struct tern_step *step, struct tern_program_run *run,
                          struct tern_err *err);
    tern_operator_loop *loop; /* or NULL */
#ifndef TERN_EDGE
    /* For programs that are written as C (emit.h): what C calls the operator, NULL where it has no
     * such form, and the source that has it. */
    const char *symbol, *file;
    /* The state is so many bytes: numbers, and pointers that `points` names (state.h), or NULL.
     * What it decides by may not be a function: that is `loop`, and another operator. */
    size_t state_bytes;
    void (*points)(const void *state, struct tern_state *to);
#endif
};

/* Defines an operator: TERN_OPERATOR(tern_gemm_op, .name = "Gemm", .run = run_gemm,
 * TERN_STATE(struct gemm, NULL)). Outside of the server (src/edge) nobody asks what states are. */
#ifdef TERN_EDGE
#define TERN_OPERATOR(id, ...)            \
    extern const struct tern_operator id; \
    const struct tern_operator id = {__VA_ARGS__}
#define TERN_STATE(type, its_points)
#else
#define TERN_OPERATOR(id, ...)            \
    extern const struct tern_operator id; \
    const struct tern_operator id = {.symbol = #id, .file = __FILE__, __VA_ARGS__}
#define TERN_STATE(type, its_points) .state_bytes = sizeof(type), .points = its_points
#endif

struct tern_step {
    const struct tern_operator *op;
    const void *state; /* the operator's own, immutable; in the program's arena; NULL: none */
    const uint32_t *in;
    const uint32_t *out;
    uint32_t n_in, n_out;
};

enum tern_value_kind { TERN_VALUE_INPUT, TERN_VALUE_CONSTANT, TERN_VALUE_MADE };

struct tern_value {
    enum tern_value_kind kind;
    struct tern_tensor tensor; /* CONSTANT: whole; else name and dtype */
    struct tern_labels
        labels; /* what its columns, scores of classes, are called; n == 0: unknown */
};

struct tern_program {
    struct tern_arena *arena;
    struct tern_value *values;
    uint32_t n_values, values_cap;
    struct tern_step *steps;
    uint32_t n_steps, steps_cap;
    /* What the model takes and gives. The i-th input is the value inputs_at[i]. */
    struct tern_tensor_spec *inputs;
    uint32_t *inputs_at;
    uint32_t n_inputs, inputs_cap;
    struct tern_tensor_spec *outputs;
    uint32_t *outputs_at;
    uint32_t n_outputs, outputs_cap;
    /* What the columns of the first input are called, as the file says; NULL: it does not. */
    struct tern_str *feature_names;
    uint32_t n_feature_names;
    uint64_t *feeds; /* one a step: which of the first 64 outputs need it */
};

void tern_program_begin(struct tern_program *program, struct tern_arena *arena);
/* Names are copied. */
enum tern_code tern_program_input(struct tern_program *program, const struct tern_tensor_spec *spec,
                                  uint32_t *ret_value, struct tern_err *err);
/* The bytes are borrowed: arena or static, aligned to their element. */
enum tern_code tern_program_constant(struct tern_program *program, const struct tern_tensor *tensor,
                                     uint32_t *ret_value, struct tern_err *err);
enum tern_code tern_program_made(struct tern_program *program, struct tern_str name,
                                 enum tern_dtype dtype, uint32_t *ret_value, struct tern_err *err);
/* The lists are copied. */
enum tern_code tern_program_step(struct tern_program *program, const struct tern_operator *op,
                                 const void *state, const uint32_t *in, uint32_t n_in,
                                 const uint32_t *out, uint32_t n_out, struct tern_err *err);
/* The short form: one input, one new value of that datatype. */
enum tern_code tern_program_then(struct tern_program *program, const struct tern_operator *op,
                                 const void *state, enum tern_dtype dtype, uint32_t *value,
                                 struct tern_err *err);
/* Names of classes that the model's file has, which are copied: an output that this value, column
 * by column, becomes, bears them. Those that only count from 0 are passed over. */
enum tern_code tern_program_label(struct tern_program *program, uint32_t value,
                                  const struct tern_str *names, size_t n, struct tern_err *err);
/* shape: as metadata tells it, -1 where it is any. */
enum tern_code tern_program_output(struct tern_program *program,
                                   const struct tern_tensor_spec *spec, uint32_t value,
                                   struct tern_err *err);
enum tern_code tern_program_finish(struct tern_program *program, struct tern_err *err);

/* Runs the steps that the wanted outputs need. Working memory and outputs lie in run->arena. */
enum tern_code tern_program_run(const struct tern_program *program,
                                const struct tern_engine_run *run, struct tern_err *err);

/* Runs the marked steps, one a step, for the sake of one value; outputs of `run` are not made. */
enum tern_code tern_program_run_until(const struct tern_program *program,
                                      const struct tern_engine_run *run, const bool *steps,
                                      uint32_t value, struct tern_tensor *ret,
                                      struct tern_err *err);

/* ---- for operators ---- */

struct tern_program_run {
    const struct tern_program *program;
    struct tern_tensor *values; /* by value */
    struct tern_arena *arena;
};

/* NULL where the step has no such input. */
const struct tern_tensor *tern_step_in(const struct tern_step *step,
                                       const struct tern_program_run *run, uint32_t i);
/* Makes output i: of the value's datatype and this shape, its memory aligned to 64 bytes and not
 * cleared. */
enum tern_code tern_step_out(const struct tern_step *step, struct tern_program_run *run, uint32_t i,
                             const struct tern_shape *shape, struct tern_tensor **ret,
                             struct tern_err *err);
/* Makes output i the same bytes as a tensor, with another shape. */
void tern_step_pass(const struct tern_step *step, struct tern_program_run *run, uint32_t i,
                    const struct tern_tensor *from, const struct tern_shape *shape);

#endif
