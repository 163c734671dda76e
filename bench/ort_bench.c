/* What the engine adds to ONNX Runtime, and how two instances scale.
 *
 * The anchor is the least that any server can pay: Run in a loop, in C, with tensors made once.
 * Both sides run in this process, in turn, in rounds of a few milliseconds, and each round's order
 * changes; the numbers are medians over rounds, so that another program on the machine hits both
 * alike. The anchor's session is as the library makes it, with one thread and without spinning. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/arena.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/mem.h"
#include "engine/onnx/onnx.h"
#include "engine/onnx/ort.h"
#include "os/file.h"

#define ROUNDS   41
#define ROUND_NS (6 * (uint64_t)TERN_NS_PER_MS)

struct subject {
    const char *label;
    const char *path;
    int64_t batch;
    size_t row; /* elements of one row; all inputs are FP32 [batch, ...] */
};

static void stop(const struct tern_err *err)
{
    fprintf(stderr, "ort_bench: %s\n", err->text);
    exit(1);
}

static void check(enum tern_code code, const struct tern_err *err)
{
    if (code != TERN_OK)
        stop(err);
}

/* ---- the engine's side ---- */

struct ours {
    struct tern_arena model_arena;
    struct tern_arena arena;
    struct tern_engine_model model;
    void *instance;
    struct tern_tensor input;
    struct tern_tensor outputs[4];
    struct tern_engine_run run;
};

static const uint32_t in_order[] = {0, 1, 2, 3};

static void open_ours(struct ours *o, const struct subject *subject, float *data)
{
    struct tern_err err;
    const struct tern_engine_load spec = {
        .name = TERN_STR("bench"), .path = subject->path, .threads = 1};

    memset(o, 0, sizeof(*o));
    tern_arena_init(&o->model_arena, 4096, 1u << 20);
    tern_arena_init(&o->arena, 4096, 1u << 26);
    check(tern_onnx_engine.load(&spec, &o->model_arena, &o->model, &err), &err);
    check(tern_onnx_engine.instance_new(&o->model, &o->instance, &err), &err);
    o->input =
        (struct tern_tensor){.name = o->model.inputs[0].name,
                             .dtype = o->model.inputs[0].dtype,
                             .shape = o->model.inputs[0].shape,
                             .data = data,
                             .n_bytes = (size_t)subject->batch * subject->row * sizeof(float)};
    o->input.shape.dim[0] = subject->batch;
    if (subject->row == 4)
        o->input.shape.dim[1] = 4; /* the identity model's columns have no size */
    o->run = (struct tern_engine_run){.inputs = &o->input,
                                      .input_spec = in_order,
                                      .n_inputs = 1,
                                      .outputs = o->outputs,
                                      .output_spec = in_order,
                                      .n_outputs = o->model.n_outputs,
                                      .arena = &o->arena};
}

static void close_ours(struct ours *o)
{
    tern_arena_fini(&o->arena);
    tern_onnx_engine.instance_free(&o->model, o->instance);
    tern_onnx_engine.unload(&o->model);
    tern_arena_fini(&o->model_arena);
}

static uint64_t time_ours(void *arg, uint64_t n)
{
    struct ours *o = arg;
    struct tern_err err;
    uint64_t start = tern_clock_mono_ns();
    for (uint64_t i = 0; i < n; i++) {
        check(tern_onnx_engine.infer(&o->model, o->instance, &o->run, &err), &err);
        tern_arena_reset(&o->arena);
    }
    return tern_clock_mono_ns() - start;
}

/* ---- the bare loop ---- */

struct bare {
    const struct tern_ort *ort;
    struct ort_session_options *options;
    struct ort_session *session;
    const char *input_name;
    const char *output_names[4];
    struct ort_value *input;
    struct ort_value *outputs[4];
    size_t n_outputs;
};

static void expect(const struct tern_ort *ort, struct ort_status *status)
{
    struct tern_err err;
    check(tern_ort_check(ort, status, "bare loop", &err), &err);
}

/* Its outputs' shapes are those that the engine found. */
static void open_bare(struct bare *b, const struct subject *subject, struct ours *o)
{
    struct tern_err err;
    char *bytes;
    size_t n;

    memset(b, 0, sizeof(*b));
    check(tern_ort_start(&b->ort, &err), &err);
    const struct ort_api *api = &b->ort->api;
    check(tern_file_read(subject->path, 1u << 26, 0, &bytes, &n, &err), &err);
    expect(b->ort, api->CreateSessionOptions(&b->options));
    expect(b->ort, api->SetIntraOpNumThreads(b->options, 1));
    expect(b->ort, api->AddSessionConfigEntry(b->options, "session.intra_op.allow_spinning", "0"));
    check(tern_ort_session_new(b->ort, tern_str_make(bytes, n), b->options, &b->session, &err),
          &err);
    tern_mem_free(bytes);
    check(tern_onnx_engine.infer(&o->model, o->instance, &o->run, &err), &err);
    b->input_name = o->input.name.p;
    expect(b->ort, api->CreateTensorWithDataAsOrtValue(
                       b->ort->cpu, o->input.data, o->input.n_bytes, o->input.shape.dim,
                       (size_t)o->input.shape.rank, ORT_ELEMENT_FLOAT, &b->input));
    for (b->n_outputs = 0; b->n_outputs < o->model.n_outputs; b->n_outputs++) {
        const struct tern_tensor *out = &o->outputs[b->n_outputs];
        b->output_names[b->n_outputs] = o->model.outputs[b->n_outputs].name.p;
        expect(b->ort, api->CreateTensorAsOrtValue(
                           b->ort->allocator, out->shape.dim, (size_t)out->shape.rank,
                           out->dtype == TERN_DTYPE_INT64 ? ORT_ELEMENT_INT64 : ORT_ELEMENT_FLOAT,
                           &b->outputs[b->n_outputs]));
    }
    tern_arena_reset(&o->arena);
}

static void close_bare(struct bare *b)
{
    b->ort->api.ReleaseValue(b->input);
    for (size_t i = 0; i < b->n_outputs; i++)
        b->ort->api.ReleaseValue(b->outputs[i]);
    b->ort->api.ReleaseSession(b->session);
    b->ort->api.ReleaseSessionOptions(b->options);
}

static uint64_t time_bare(void *arg, uint64_t n)
{
    struct bare *b = arg;
    const struct ort_value *const inputs[] = {b->input};
    uint64_t start = tern_clock_mono_ns();
    for (uint64_t i = 0; i < n; i++)
        expect(b->ort, b->ort->api.Run(b->session, NULL, &b->input_name, inputs, 1, b->output_names,
                                       b->n_outputs, b->outputs));
    return tern_clock_mono_ns() - start;
}

/* ---- measuring ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof(*values), compare);
    return values[n / 2];
}

static uint64_t runs_of_a_round(uint64_t (*time)(void *, uint64_t), void *arg)
{
    time(arg, 200); /* warm */
    uint64_t each = time(arg, 200) / 200 + 1;
    return ROUND_NS / each + 1;
}

static void measure_overhead(const struct subject *subject, float *data)
{
    struct ours ours;
    struct bare bare;
    double bare_us[ROUNDS];
    double ours_us[ROUNDS];
    double ratio[ROUNDS];
    double extra[ROUNDS];

    open_ours(&ours, subject, data);
    open_bare(&bare, subject, &ours);
    uint64_t n = runs_of_a_round(time_bare, &bare);
    runs_of_a_round(time_ours, &ours);
    for (int r = 0; r < ROUNDS; r++) {
        bool ours_first = r % 2 == 0;
        double first = (double)(ours_first ? time_ours(&ours, n) : time_bare(&bare, n));
        double second = (double)(ours_first ? time_bare(&bare, n) : time_ours(&ours, n));
        bare_us[r] = (ours_first ? second : first) / (double)n / 1000;
        ours_us[r] = (ours_first ? first : second) / (double)n / 1000;
        ratio[r] = ours_us[r] / bare_us[r];
        extra[r] = ours_us[r] - bare_us[r];
    }
    printf("%-22s %6lld %10.2f %10.2f %+10.2f %8.3f\n", subject->label, (long long)subject->batch,
           median(bare_us, ROUNDS), median(ours_us, ROUNDS), median(extra, ROUNDS),
           median(ratio, ROUNDS));
    close_bare(&bare);
    close_ours(&ours);
}

/* ---- scaling ---- */

/* A thread's part of a measurement: `time` runs n times over arg and answers how long it took. */
struct worker {
    uint64_t (*time)(void *arg, uint64_t n);
    void *arg;
    pthread_barrier_t *gate;
    uint64_t n;
    uint64_t ns;
    uint64_t cpu_ns;
};

static uint64_t thread_cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * TERN_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    pthread_barrier_wait(worker->gate);
    uint64_t cpu = thread_cpu_ns();
    worker->ns = worker->time(worker->arg, worker->n);
    worker->cpu_ns = thread_cpu_ns() - cpu;
    return NULL;
}

struct scaling {
    double by_time; /* runs a second of two threads together against one of them alone */
    double by_cpu;  /* the same from processor time: what others on the machine do not disturb, but
                       blind to waiting for a lock */
};

static struct scaling scale(uint64_t (*time)(void *, uint64_t), void *first, void *second,
                            uint64_t n)
{
    pthread_barrier_t gate;
    pthread_t thread[2];
    struct worker workers[2] = {{.time = time, .arg = first, .gate = &gate, .n = n},
                                {.time = time, .arg = second, .gate = &gate, .n = n}};
    double rate = 0;
    double cpu = 0;

    uint64_t cpu_start = thread_cpu_ns();
    double alone = (double)n / (double)time(first, n);
    double cpu_alone = (double)(thread_cpu_ns() - cpu_start);
    pthread_barrier_init(&gate, NULL, 2);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&thread[i], NULL, work, &workers[i]) != 0)
            abort();
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
        rate += (double)n / (double)workers[i].ns;
        cpu += (double)workers[i].cpu_ns;
    }
    pthread_barrier_destroy(&gate);
    return (struct scaling){.by_time = rate / alone, .by_cpu = 4 * cpu_alone / cpu};
}

/* The anchor: arithmetic in registers, which shares nothing. What it lacks to 2 is the machine's.
 */
static uint64_t time_arithmetic(void *arg, uint64_t n)
{
    volatile uint64_t *sink = arg;
    uint64_t x = 1;
    uint64_t start = tern_clock_mono_ns();
    for (uint64_t i = 0; i < n * 1000; i++)
        x = x * 6364136223846793005u + i;
    *sink = x;
    return tern_clock_mono_ns() - start;
}

static void measure_scaling(const struct subject *subject, float *data)
{
    struct ours first;
    double ratio[ROUNDS];
    double ideal[ROUNDS];
    double by_cpu[ROUNDS];
    uint64_t sinks[2][TERN_CACHE_LINE] = {{0}};
    struct tern_err err;

    open_ours(&first, subject, data);
    struct ours second = first; /* with the same model */
    tern_arena_init(&second.arena, 4096, 1u << 26);
    second.run.inputs = &second.input;
    second.run.outputs = second.outputs;
    second.run.arena = &second.arena;
    check(tern_onnx_engine.instance_new(&second.model, &second.instance, &err), &err);
    uint64_t n = runs_of_a_round(time_ours, &first);
    runs_of_a_round(time_ours, &second);
    uint64_t n_ideal = runs_of_a_round(time_arithmetic, sinks[0]);
    for (int r = 0; r < ROUNDS; r++) {
        struct scaling engine = scale(time_ours, &first, &second, n);
        ratio[r] = engine.by_time;
        by_cpu[r] = engine.by_cpu;
        ideal[r] = scale(time_arithmetic, sinks[0], sinks[1], n_ideal).by_time;
    }
    printf("%-22s %6lld %10.2f %10.2f %10.2f\n", subject->label, (long long)subject->batch,
           median(ratio, ROUNDS), median(ideal, ROUNDS), median(by_cpu, ROUNDS));
    tern_arena_fini(&second.arena);
    tern_onnx_engine.instance_free(&second.model, second.instance);
    close_ours(&first);
}

int main(void)
{
    static const struct subject subjects[] = {
        {"identity", "tests/data/onnx/identity_fp32.onnx", 1, 4},
        {"iris (linear)", "examples/models/iris/1/model.onnx", 1, 4},
        {"iris (linear)", "examples/models/iris/1/model.onnx", 16, 4},
        {"digits_mlp", "examples/models/digits_mlp/1/model.onnx", 1, 64},
        {"digits_mlp", "examples/models/digits_mlp/1/model.onnx", 16, 64},
        {"breast_cancer (trees)", "examples/models/breast_cancer/1/model.onnx", 1, 30},
        {"digits_cnn", "examples/models/digits_cnn/1/model.onnx", 1, 64},
        {"digits_cnn", "examples/models/digits_cnn/1/model.onnx", 64, 64},
    };
    static float data[64 * 64];
    const struct tern_ort *ort;
    struct tern_err err;

    check(tern_ort_start(&ort, &err), &err);
    for (size_t i = 0; i < TERN_COUNT_OF(data); i++)
        data[i] = (float)(i % 17);
    printf("ONNX Runtime %s, one thread; medians of %d rounds, us a run\n", ort->version, ROUNDS);
    printf("%-22s %6s %10s %10s %10s %8s\n", "model", "batch", "bare Run", "engine", "extra",
           "ratio");
    for (size_t i = 0; i < TERN_COUNT_OF(subjects); i++)
        measure_overhead(&subjects[i], data);
    printf("\ntwo threads, an instance each, against one thread; arithmetic is the ideal, and\n"
           "processor time shows what the wall clock of a busy machine hides\n");
    printf("%-22s %6s %10s %10s %10s\n", "model", "batch", "engine", "ideal", "by CPU");
    for (size_t i = 0; i < TERN_COUNT_OF(subjects); i++)
        measure_scaling(&subjects[i], data);
    return 0;
}
