#include "harness/fake_engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "os/file.h"

struct fake_state {
    uint64_t least_ns; /* a run takes */
    bool gated, failing, counting, decoupled, picky;
};

static atomic_int loaded, instances, loads;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool gate_armed;
static int entered, allowed;

int fake_engine_loaded(void)
{
    return atomic_load(&loaded);
}

int fake_engine_instances(void)
{
    return atomic_load(&instances);
}

int fake_engine_loads(void)
{
    return atomic_load(&loads);
}

void fake_engine_gate(bool armed)
{
    pthread_mutex_lock(&lock);
    gate_armed = armed;
    entered = 0;
    allowed = 0;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

void fake_engine_wait_entered(int n)
{
    pthread_mutex_lock(&lock);
    while (entered < n)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

void fake_engine_open(int n)
{
    pthread_mutex_lock(&lock);
    allowed += n;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void pass_gate(void)
{
    pthread_mutex_lock(&lock);
    if (gate_armed) {
        entered++;
        pthread_cond_broadcast(&changed);
        while (gate_armed && allowed == 0)
            pthread_cond_wait(&changed, &lock);
        allowed -= allowed > 0;
    }
    pthread_mutex_unlock(&lock);
}

static enum tern_code available(struct tern_err *err)
{
    (void)err;
    return TERN_OK;
}

static const char *const file_names[] = {"model.fake", NULL};

static int probe(const char *file_name, struct tern_str head)
{
    (void)head;
    return tern_str_ends(tern_str_of(file_name), TERN_STR(".fake")) ? 10 : 0;
}

static enum tern_code load(const struct tern_engine_load *spec, struct tern_arena *arena,
                           struct tern_engine_model *ret_model, struct tern_err *err)
{
    static const struct tern_shape any_by_4 = {2, {-1, 4}};
    char *text;
    size_t n;

    TERN_TRY(tern_file_read(spec->path, 4096, 1, &text, &n, err));
    bool fake = strncmp(text, "fake", 4) == 0, broken = strstr(text, "broken") != NULL;
    struct fake_state *state = tern_mem_zalloc(1, sizeof(*state));
    struct tern_tensor_spec *specs = tern_arena_zalloc(arena, 2, sizeof(*specs));
    if (state != NULL)
        *state = (struct fake_state){strstr(text, "slow") != NULL       ? TERN_NS_PER_MS
                                     : strstr(text, "crawling") != NULL ? 12u * TERN_NS_PER_MS
                                                                        : 0,
                                     strstr(text, "gated") != NULL,
                                     strstr(text, "failing") != NULL,
                                     strstr(text, "counting") != NULL,
                                     spec->decoupled,
                                     strstr(text, "picky") != NULL};
    tern_mem_free(text);
    if (state == NULL || specs == NULL || !fake || broken) {
        tern_mem_free(state);
        return tern_fail(err, TERN_INVALID_ARGUMENT, "not a model that can be loaded");
    }
    specs[0] = (struct tern_tensor_spec){
        .name = TERN_STR("x"), .dtype = TERN_DTYPE_FP32, .shape = any_by_4};
    specs[1] = specs[0];
    specs[1].name = TERN_STR("y");
    *ret_model = (struct tern_engine_model){
        .ops = &fake_engine,
        .inputs = &specs[0],
        .n_inputs = 1,
        .outputs = &specs[1],
        .n_outputs = 1,
        .platform = "fake_fake",
        .backend = "fake",
        .state = state,
    };
    atomic_fetch_add(&loaded, 1);
    atomic_fetch_add(&loads, 1);
    return TERN_OK;
}

static void unload(struct tern_engine_model *model)
{
    tern_mem_free(model->state);
    atomic_fetch_sub(&loaded, 1);
}

static enum tern_code instance_new(const struct tern_engine_model *model, void **ret_instance,
                                   struct tern_err *err)
{
    (void)err;
    *ret_instance = model->state;
    atomic_fetch_add(&instances, 1);
    return TERN_OK;
}

static void instance_free(const struct tern_engine_model *model, void *instance)
{
    (void)model, (void)instance;
    atomic_fetch_sub(&instances, 1);
}

/* A decoupled model: as many answers as the first number says, 0, 1, 2, ..., of as many MiB as the
 * second one says. */
static enum tern_code answer_often(const struct tern_engine_run *run, struct tern_err *err)
{
    const float *x = run->inputs[0].data;
    int64_t wide = (int64_t)x[1] * (1 << 18) + 1;
    bool fits = x[2] != 0;
    if (fits)
        wide = 4;
    float most = x[0];
    float *values = tern_arena_zalloc(run->arena, (size_t)wide, sizeof(*values));

    if (values == NULL)
        return tern_arena_fail(run->arena, err, "the answers");
    for (float v = 0; v < most; v++) {
        for (int64_t i = 0; i < (fits ? wide : 1); i++)
            values[i] = v;
        for (uint32_t i = 0; i < run->n_outputs; i++) {
            run->outputs[i].dtype = TERN_DTYPE_FP32;
            run->outputs[i].shape = (struct tern_shape){2, {1, wide}};
            run->outputs[i].data = values;
            run->outputs[i].n_bytes = (size_t)wide * sizeof(*values);
        }
        TERN_TRY(run->sink->emit(run->sink, run->outputs, run->n_outputs, err));
    }
    return TERN_OK;
}

static enum tern_code infer(const struct tern_engine_model *model, void *instance,
                            const struct tern_engine_run *run, struct tern_err *err)
{
    const struct fake_state *state = instance;
    const struct tern_tensor *x = &run->inputs[0];
    uint32_t more = state->counting && run->params != NULL ? run->params->n : 0;

    (void)model;
    if (state->failing)
        return tern_fail(err, TERN_INTERNAL, "this model fails on purpose");
    if (state->gated)
        pass_gate();
    if (state->decoupled)
        return answer_often(run, err);
    for (size_t i = 0; state->picky && i < x->n_bytes / sizeof(float); i++) {
        if (((const float *)x->data)[i] < 0)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "this model wants no negative numbers");
    }
    for (uint64_t start = tern_clock_mono_ns(); tern_clock_mono_ns() - start < state->least_ns;)
        ;
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        struct tern_tensor *y = &run->outputs[i];
        float *to = tern_arena_alloc(run->arena, 64, x->n_bytes);
        if (to == NULL)
            return tern_arena_fail(run->arena, err, "the output");
        for (size_t at = 0; at < x->n_bytes; at += sizeof(float)) {
            float v;
            memcpy(&v, (const char *)x->data + at, sizeof(v));
            to[at / sizeof(float)] = 2 * v + (float)more;
        }
        y->dtype = TERN_DTYPE_FP32;
        y->shape = x->shape;
        y->data = to;
        y->n_bytes = x->n_bytes;
    }
    return TERN_OK;
}

const struct tern_engine_ops fake_engine = {
    .name = "fake",
    .decouples = true,
    .reads_params = true,
    .available = available,
    .file_names = file_names,
    .probe = probe,
    .load = load,
    .unload = unload,
    .instance_new = instance_new,
    .instance_free = instance_free,
    .infer = infer,
};
