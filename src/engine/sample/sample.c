#include "engine/sample/sample.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"

#define DELAY_MS_MAX UINT32_MAX
#define DELAY_MAX_NS (DELAY_MS_MAX * (uint64_t)TERN_NS_PER_MS)
/* Of a run that is no request: a warm-up has only to show that the model is slow. */
#define WARM_DELAY_MAX_NS (20 * TERN_NS_PER_MS)

/* What a model was told by its configuration. */
struct sample_model {
    uint64_t delay_ns;     /* identity: of a run */
    uint64_t row_delay_ns; /* identity: and this for each row */
    bool spins;            /* identity: the delay takes CPU time */
    uint64_t slower;       /* identity: the k-th instance takes k times so long, k > 0; 0: no */
    atomic_uint instances; /* made so far */
    bool decoupled;
};

/* One run at a time; cancel comes from other threads. */
struct sample_instance {
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool cancelled; /* guarded by lock */
    uint32_t number;
};

/* ---- time that can be cut short ---- */

static void begin_run(struct sample_instance *instance)
{
    pthread_mutex_lock(&instance->lock);
    instance->cancelled = false; /* that was another run's */
    pthread_mutex_unlock(&instance->lock);
}

static bool is_cancelled(const struct sample_instance *instance, const struct tern_engine_run *run)
{
    return instance->cancelled || (run->cancelled != NULL && atomic_load(run->cancelled));
}

static enum tern_code wait_until(struct sample_instance *instance,
                                 const struct tern_engine_run *run, uint64_t due_ns,
                                 struct tern_err *err)
{
    const struct timespec until = {(time_t)(due_ns / TERN_NS_PER_S),
                                   (long)(due_ns % TERN_NS_PER_S)};

    pthread_mutex_lock(&instance->lock);
    while (!is_cancelled(instance, run) && tern_clock_mono_ns() < due_ns) {
        if (pthread_cond_timedwait(&instance->woken, &instance->lock, &until) == ETIMEDOUT)
            break;
    }
    bool cancelled = is_cancelled(instance, run);
    pthread_mutex_unlock(&instance->lock);
    return cancelled ? tern_fail(err, TERN_CANCELLED, "the run was cancelled") : TERN_OK;
}

/* The same, busily: a model that computes. */
static enum tern_code spin_until(struct sample_instance *instance,
                                 const struct tern_engine_run *run, uint64_t due_ns,
                                 struct tern_err *err)
{
    bool cancelled = false;

    while (!cancelled && tern_clock_mono_ns() < due_ns) {
        pthread_mutex_lock(&instance->lock);
        cancelled = is_cancelled(instance, run);
        pthread_mutex_unlock(&instance->lock);
    }
    return cancelled ? tern_fail(err, TERN_CANCELLED, "the run was cancelled") : TERN_OK;
}

static void cancel(const struct tern_engine_model *model, void *self)
{
    struct sample_instance *instance = self;

    (void)model;
    pthread_mutex_lock(&instance->lock);
    instance->cancelled = true;
    pthread_cond_signal(&instance->woken);
    pthread_mutex_unlock(&instance->lock);
}

/* ---- tensors ---- */

/* The input at that place of the specification; NULL: it was not given. */
static const struct tern_tensor *input_at(const struct tern_engine_run *run, uint32_t spec)
{
    for (uint32_t i = 0; i < run->n_inputs; i++) {
        if (run->input_spec[i] == spec)
            return &run->inputs[i];
    }
    return NULL;
}

/* One of four bytes, wherever it lies. */
static uint32_t word_at(const struct tern_tensor *tensor, size_t at)
{
    uint32_t v;

    memcpy(&v, (const char *)tensor->data + at * sizeof(v), sizeof(v));
    return v;
}

/* A single element; the dimensions that the specification leaves open are 1. */
static void set_word(struct tern_tensor *output, const struct tern_tensor_spec *spec,
                     uint32_t *value)
{
    output->dtype = spec->dtype;
    output->shape = spec->shape;
    for (int i = 0; i < output->shape.rank; i++)
        output->shape.dim[i] = 1;
    output->data = value;
    output->n_bytes = sizeof(*value);
}

/* Of the wanted outputs, the one that stands first gets `first`, the other one `second`. */
static enum tern_code emit(const struct tern_engine_model *model, const struct tern_engine_run *run,
                           uint32_t first, uint32_t second, struct tern_err *err)
{
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        uint32_t at = run->output_spec[i];
        set_word(&run->outputs[i], &model->outputs[at], at == 0 ? &first : &second);
    }
    return run->sink->emit(run->sink, run->outputs, run->n_outputs, err);
}

/* ---- runs ---- */

/* From the beginning of the run on: copying is part of it. */
static enum tern_code take_time(const struct sample_model *state, struct sample_instance *instance,
                                const struct tern_engine_run *run, uint64_t start,
                                struct tern_err *err)
{
    const struct tern_tensor *first = input_at(run, 0);
    uint64_t rows = first != NULL && first->shape.rank > 0 ? (uint64_t)first->shape.dim[0] : 1;
    uint64_t delay = state->delay_ns;

    if (state->slower > 0 && instance->number > 0 &&
        tern_num_mul(delay, state->slower * instance->number, &delay))
        delay = DELAY_MAX_NS;
    if (state->row_delay_ns > 0 && rows < DELAY_MAX_NS / state->row_delay_ns)
        delay += rows * state->row_delay_ns;
    if (delay > WARM_DELAY_MAX_NS && run->cancelled == NULL)
        delay = WARM_DELAY_MAX_NS;
    if (delay == 0)
        return TERN_OK;
    return state->spins ? spin_until(instance, run, start + delay, err)
                        : wait_until(instance, run, start + delay, err);
}

/* An output whose optional input was not given is zeros (texts: empty), as Triton's own is. */
static enum tern_code give_zeros(const struct tern_engine_run *run,
                                 const struct tern_tensor_spec *spec, struct tern_tensor *output,
                                 struct tern_err *err)
{
    size_t size = spec->dtype == TERN_DTYPE_BYTES ? 4 : tern_dtype_size(spec->dtype), n = 0;

    output->dtype = spec->dtype;
    output->shape = spec->shape;
    for (int i = 0; i < output->shape.rank; i++) {
        bool is_batch = i == 0 && run->n_inputs > 0 && run->inputs[0].shape.rank > 0;
        if (output->shape.dim[i] < 0)
            output->shape.dim[i] = is_batch ? run->inputs[0].shape.dim[0] : 1;
    }
    if (!tern_shape_count(&output->shape, &n))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "output '%.*s' is too large",
                         TERN_STR_ARG(output->name));
    output->n_bytes = n * size;
    output->data = tern_arena_zalloc(run->arena, n, size);
    return output->data == NULL ? tern_arena_fail(run->arena, err, "an output") : TERN_OK;
}

static enum tern_code run_identity(const struct tern_engine_model *model, void *self,
                                   const struct tern_engine_run *run, struct tern_err *err)
{
    const struct sample_model *state = model->state;
    uint64_t start = tern_clock_mono_ns();

    begin_run(self);
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        struct tern_tensor *output = &run->outputs[i];
        const struct tern_tensor *input = input_at(run, run->output_spec[i]);
        if (input == NULL) {
            TERN_TRY(give_zeros(run, &model->outputs[run->output_spec[i]], output, err));
            continue;
        }
        output->dtype = input->dtype;
        output->shape = input->shape;
        output->n_bytes = input->n_bytes;
        output->data = tern_arena_alloc(run->arena, 64, input->n_bytes);
        if (output->data == NULL)
            return tern_arena_fail(run->arena, err, "an output");
        if (input->n_bytes > 0)
            memcpy(output->data, input->data, input->n_bytes);
    }
    return take_time(state, self, run, start, err);
}

/* The one answer of a model that is not decoupled. */
static enum tern_code answer(const struct tern_engine_model *model,
                             const struct tern_engine_run *run, uint32_t first, uint32_t second,
                             struct tern_err *err)
{
    uint32_t *values = tern_arena_alloc(run->arena, 64, 2 * sizeof(*values));

    if (values == NULL)
        return tern_arena_fail(run->arena, err, "an output");
    values[0] = first;
    values[1] = second;
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        uint32_t at = run->output_spec[i];
        set_word(&run->outputs[i], &model->outputs[at], &values[at == 0 ? 0 : 1]);
    }
    return TERN_OK;
}

static enum tern_code need_sink(const struct tern_engine_run *run, struct tern_err *err)
{
    if (run->sink != NULL)
        return TERN_OK;
    return tern_fail(err, TERN_UNIMPLEMENTED,
                     "the model answers any number of times: ask a server for a stream");
}

static enum tern_code run_square(const struct tern_engine_model *model, void *self,
                                 const struct tern_engine_run *run, struct tern_err *err)
{
    const struct tern_tensor *input = &run->inputs[0];

    TERN_TRY(need_sink(run, err));
    begin_run(self);
    if (input->n_bytes != sizeof(int32_t))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected one element in '%.*s', got %zu",
                         TERN_STR_ARG(input->name), input->n_bytes / sizeof(int32_t));
    int32_t n = (int32_t)word_at(input, 0);
    for (int32_t i = 0; i < n; i++)
        TERN_TRY(emit(model, run, (uint32_t)n, 0, err));
    return TERN_OK;
}

static enum tern_code run_repeat(const struct tern_engine_model *model, void *self,
                                 const struct tern_engine_run *run, struct tern_err *err)
{
    const struct tern_tensor *in = input_at(run, 0), *delay = input_at(run, 1),
                             *wait = input_at(run, 2);
    uint64_t start = tern_clock_mono_ns(), due = start;
    const struct sample_model *state = model->state;

    if (state->decoupled)
        TERN_TRY(need_sink(run, err));
    begin_run(self);
    if (in->n_bytes != delay->n_bytes)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "expected IN and DELAY shape to match, got [%zu] and [%zu]",
                         in->n_bytes / sizeof(uint32_t), delay->n_bytes / sizeof(uint32_t));
    if (wait->n_bytes != sizeof(uint32_t))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected one element in '%.*s', got %zu",
                         TERN_STR_ARG(wait->name), wait->n_bytes / sizeof(uint32_t));
    for (uint32_t i = 0; i < in->n_bytes / sizeof(uint32_t); i++) {
        due += (uint64_t)word_at(delay, i) * TERN_NS_PER_MS;
        TERN_TRY(wait_until(self, run, due, err));
        if (!state->decoupled && run->cancelled == NULL) /* a warm-up, see WARM_DELAY_MAX_NS */
            TERN_TRY(wait_until(self, run, start + WARM_DELAY_MAX_NS, err));
        if (!state->decoupled)
            return answer(model, run, word_at(in, i), i, err);
        TERN_TRY(emit(model, run, word_at(in, i), i, err));
    }
    if (!state->decoupled)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected a value in '%.*s', got none",
                         TERN_STR_ARG(in->name));
    return wait_until(self, run, start + (uint64_t)word_at(wait, 0) * TERN_NS_PER_MS, err);
}

/* Each row by itself: how much is left is what came, less the runs so far. */
static enum tern_code run_countdown(const struct tern_engine_model *model, void *self,
                                    const struct tern_engine_run *run, struct tern_err *err)
{
    const struct sample_model *state = model->state;
    const struct tern_tensor *in = &run->inputs[0];
    size_t rows = in->n_bytes / sizeof(int32_t);
    bool is_warm_up = run->again == NULL && run->cancelled == NULL;
    uint64_t start = tern_clock_mono_ns();
    int32_t *left = tern_arena_alloc(run->arena, 64, in->n_bytes + 1);

    if (left == NULL)
        return tern_arena_fail(run->arena, err, "an output");
    begin_run(self);
    if (rows != (in->shape.rank > 1 ? (size_t)in->shape.dim[0] : 1))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected one element a row in '%.*s'",
                         TERN_STR_ARG(in->name));
    for (size_t i = 0; i < rows; i++) {
        int64_t n = run->again == NULL ? 0 : run->again[i].n;
        int64_t rest = (int32_t)word_at(in, i) - n - 1;
        left[i] = rest > 0 ? (int32_t)rest : 0;
        if (rest > 0 && run->again == NULL && !is_warm_up)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "Request is released with TRITONSERVER_REQUEST_RELEASE_RESCHEDULE: it "
                             "has to run again, which needs sequence_batching { "
                             "iterative_sequence: true }");
        if (run->again != NULL)
            run->again[i].wanted = rest > 0;
    }
    TERN_TRY(take_time(state, self, run, start, err));
    if (state->decoupled && run->sink != NULL)
        return emit(model, run, (uint32_t)left[0], 0, err);
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        run->outputs[i].dtype = TERN_DTYPE_INT32;
        run->outputs[i].shape = in->shape;
        run->outputs[i].data = left;
        run->outputs[i].n_bytes = in->n_bytes;
    }
    return TERN_OK;
}

/* ---- what a configuration must say ---- */

struct row {
    const char *what;
    enum tern_dtype dtype;
};

static enum tern_code check_rows(const char *kind, const struct tern_tensor_spec *specs, uint32_t n,
                                 const struct row *rows, uint32_t n_least, uint32_t n_most,
                                 struct tern_err *err)
{
    if (n < n_least || n > n_most)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected %u %ss in the configuration, got %u",
                         n_most, kind, n);
    for (uint32_t i = 0; i < n; i++) {
        if (specs[i].dtype != rows[i].dtype ||
            (n_most > 1 && !tern_str_eq(specs[i].name, tern_str_of(rows[i].what))))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "%s %u of the configuration: expected %s of %s, got '%.*s' of %s",
                             kind, i, rows[i].what, tern_dtype_name(rows[i].dtype),
                             TERN_STR_ARG(specs[i].name), tern_dtype_name(specs[i].dtype));
    }
    return TERN_OK;
}

static enum tern_code need_decoupled(const struct tern_engine_load *spec, struct tern_err *err)
{
    if (spec->decoupled)
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "the model only works with model_transaction_policy { decoupled: true }");
}

static enum tern_code check_identity(const struct tern_engine_load *spec, struct tern_err *err)
{
    if (spec->n_inputs == 0 || spec->n_inputs != spec->n_outputs)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "expected as many outputs as inputs in the configuration, got %u inputs "
                         "and %u outputs",
                         spec->n_inputs, spec->n_outputs);
    for (uint32_t i = 0; i < spec->n_inputs; i++) {
        const struct tern_tensor_spec *in = &spec->inputs[i], *out = &spec->outputs[i];
        if (in->dtype == TERN_DTYPE_INVALID || in->dtype != out->dtype)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "input '%.*s' and output '%.*s' must have one datatype, got %s and %s",
                             TERN_STR_ARG(in->name), TERN_STR_ARG(out->name),
                             tern_dtype_name(in->dtype), tern_dtype_name(out->dtype));
    }
    return TERN_OK;
}

static enum tern_code check_square(const struct tern_engine_load *spec, struct tern_err *err)
{
    static const struct row in[] = {{"IN", TERN_DTYPE_INT32}}, out[] = {{"OUT", TERN_DTYPE_INT32}};

    TERN_TRY(need_decoupled(spec, err));
    TERN_TRY(check_rows("input", spec->inputs, spec->n_inputs, in, 1, 1, err));
    return check_rows("output", spec->outputs, spec->n_outputs, out, 1, 1, err);
}

static enum tern_code check_countdown(const struct tern_engine_load *spec, struct tern_err *err)
{
    static const struct row in[] = {{"INPUT", TERN_DTYPE_INT32}};
    static const struct row out[] = {{"OUTPUT", TERN_DTYPE_INT32}};

    TERN_TRY(check_rows("input", spec->inputs, spec->n_inputs, in, 1, 1, err));
    return check_rows("output", spec->outputs, spec->n_outputs, out, 1, 1, err);
}

static enum tern_code check_repeat(const struct tern_engine_load *spec, struct tern_err *err)
{
    static const struct row in[] = {
        {"IN", TERN_DTYPE_INT32}, {"DELAY", TERN_DTYPE_UINT32}, {"WAIT", TERN_DTYPE_UINT32}};
    static const struct row out[] = {{"OUT", TERN_DTYPE_INT32}, {"IDX", TERN_DTYPE_UINT32}};

    TERN_TRY(check_rows("input", spec->inputs, spec->n_inputs, in, 3, 3, err));
    return check_rows("output", spec->outputs, spec->n_outputs, out, 1, 2, err);
}

static enum tern_code read_time(const struct tern_engine_option *option, const char *unit,
                                uint64_t unit_ns, uint64_t *ret_ns, struct tern_err *err)
{
    uint64_t n;

    if (!tern_num_parse_u64(option->value, DELAY_MAX_NS / unit_ns, &n))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%.*s: expected %s, got '%.*s'",
                         TERN_STR_ARG(option->key), unit, TERN_STR_ARG(option->value));
    *ret_ns = n * unit_ns;
    return TERN_OK;
}

static enum tern_code read_option(const struct tern_engine_option *option,
                                  struct sample_model *state, struct tern_err *err)
{
    if (tern_str_eq(option->key, TERN_STR("execute_delay_ms")))
        return read_time(option, "milliseconds", TERN_NS_PER_MS, &state->delay_ns, err);
    if (tern_str_eq(option->key, TERN_STR("execute_delay_us")))
        return read_time(option, "microseconds", TERN_NS_PER_US, &state->delay_ns, err);
    if (tern_str_eq(option->key, TERN_STR("execute_row_delay_us")))
        return read_time(option, "microseconds", TERN_NS_PER_US, &state->row_delay_ns, err);
    if (tern_str_eq(option->key, TERN_STR("instance_wise_delay_multiplier"))) {
        if (!tern_num_parse_u64(option->value, 1000, &state->slower))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "instance_wise_delay_multiplier: expected 0 to 1000, got '%.*s'",
                             TERN_STR_ARG(option->value));
        return TERN_OK;
    }
    if (!tern_str_eq(option->key, TERN_STR("execute_delay_kind")))
        return TERN_OK; /* other engines' defaults come too */
    state->spins = tern_str_eq(option->value, TERN_STR("spin"));
    if (state->spins || tern_str_eq(option->value, TERN_STR("sleep")))
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "execute_delay_kind: expected sleep or spin, got '%.*s'",
                     TERN_STR_ARG(option->value));
}

static enum tern_code read_options(const struct tern_engine_load *spec, struct sample_model *state,
                                   struct tern_err *err)
{
    for (uint32_t i = 0; i < spec->n_options; i++)
        TERN_TRY(read_option(&spec->options[i], state, err));
    return TERN_OK;
}

/* ---- life ---- */

static enum tern_code copy_specs(struct tern_arena *arena, const struct tern_tensor_spec *specs,
                                 uint32_t n, struct tern_tensor_spec **ret_specs,
                                 struct tern_err *err)
{
    struct tern_tensor_spec *copy = tern_arena_zalloc(arena, n + 1, sizeof(*copy));

    if (copy == NULL)
        return tern_arena_fail(arena, err, "the inputs and outputs");
    if (n > 0)
        memcpy(copy, specs, n * sizeof(*copy)); /* the names live as long as the configuration */
    *ret_specs = copy;
    return TERN_OK;
}

static enum tern_code load(const struct tern_engine_load *spec, struct tern_arena *arena,
                           const char *backend, struct tern_engine_model *ret_model,
                           struct tern_err *err)
{
    struct tern_engine_model model = {.platform = "", .backend = backend};
    struct sample_model state = {.decoupled = spec->decoupled};

    TERN_TRY(read_options(spec, &state, err));
    TERN_TRY(copy_specs(arena, spec->inputs, spec->n_inputs, &model.inputs, err));
    TERN_TRY(copy_specs(arena, spec->outputs, spec->n_outputs, &model.outputs, err));
    model.n_inputs = spec->n_inputs;
    model.n_outputs = spec->n_outputs;
    struct sample_model *own = tern_mem_zalloc(1, sizeof(*own));
    if (own == NULL)
        return tern_mem_fail(err, "the model", sizeof(*own));
    own->delay_ns = state.delay_ns;
    own->row_delay_ns = state.row_delay_ns;
    own->spins = state.spins;
    own->slower = state.slower;
    own->decoupled = state.decoupled;
    atomic_init(&own->instances, 0);
    model.state = own;
    *ret_model = model;
    return TERN_OK;
}

static enum tern_code load_identity(const struct tern_engine_load *spec, struct tern_arena *arena,
                                    struct tern_engine_model *ret_model, struct tern_err *err)
{
    TERN_TRY(check_identity(spec, err));
    return load(spec, arena, tern_sample_identity.name, ret_model, err);
}

static enum tern_code load_square(const struct tern_engine_load *spec, struct tern_arena *arena,
                                  struct tern_engine_model *ret_model, struct tern_err *err)
{
    TERN_TRY(check_square(spec, err));
    return load(spec, arena, tern_sample_square.name, ret_model, err);
}

static enum tern_code load_repeat(const struct tern_engine_load *spec, struct tern_arena *arena,
                                  struct tern_engine_model *ret_model, struct tern_err *err)
{
    TERN_TRY(check_repeat(spec, err));
    return load(spec, arena, tern_sample_repeat.name, ret_model, err);
}

static enum tern_code load_countdown(const struct tern_engine_load *spec, struct tern_arena *arena,
                                     struct tern_engine_model *ret_model, struct tern_err *err)
{
    TERN_TRY(check_countdown(spec, err));
    return load(spec, arena, tern_sample_countdown.name, ret_model, err);
}

static void unload(struct tern_engine_model *model)
{
    tern_mem_free(model->state);
}

static enum tern_code instance_new(const struct tern_engine_model *model, void **ret_instance,
                                   struct tern_err *err)
{
    struct sample_instance *instance = tern_mem_zalloc(1, sizeof(*instance));
    struct sample_model *state = model->state;
    pthread_condattr_t attr;

    if (instance == NULL)
        return tern_mem_fail(err, "an instance", sizeof(*instance));
    instance->number = atomic_fetch_add(&state->instances, 1);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&instance->woken, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&instance->lock, NULL);
    *ret_instance = instance;
    return TERN_OK;
}

static void instance_free(const struct tern_engine_model *model, void *self)
{
    struct sample_instance *instance = self;

    (void)model;
    pthread_cond_destroy(&instance->woken);
    pthread_mutex_destroy(&instance->lock);
    tern_mem_free(instance);
}

static enum tern_code available(struct tern_err *err)
{
    (void)err;
    return TERN_OK;
}

static const char *const no_files[] = {NULL};

static int probe(const char *file_name, struct tern_str head)
{
    (void)file_name, (void)head;
    return 0;
}

/* clang-format off */
#define SAMPLE(name_, decouples_, load_, run_)                                              \
    {.name = (name_), .fileless = true, .decouples = (decouples_), .available = available,  \
     .file_names = no_files, .probe = probe, .load = (load_), .unload = unload,             \
     .instance_new = instance_new, .instance_free = instance_free, .infer = (run_),         \
     .cancel = cancel}
/* clang-format on */

const struct tern_engine_ops tern_sample_identity =
    SAMPLE("identity", false, load_identity, run_identity);
const struct tern_engine_ops tern_sample_square = SAMPLE("square", true, load_square, run_square);
const struct tern_engine_ops tern_sample_repeat = SAMPLE("repeat", true, load_repeat, run_repeat);
const struct tern_engine_ops tern_sample_countdown =
    SAMPLE("iterative_sequence", true, load_countdown, run_countdown);
