/* Tree ensembles: the native engine beside the libraries that trained them and those that compile
 * them, in one process, one thread each.
 *
 *     trees_bench --rows FILE --features N KIND=PATH...     ns a row, for batches of 1, 100 and
 * 10,000 trees_bench --load --features N --rows FILE KIND=PATH ms and MiB of loading one
 *
 * FILE holds rows of float32. Subjects take turns in rounds of some milliseconds, the figures are
 * medians over rounds. Rows are many and different: a processor learns the ways of a few by heart.
 * Answers are compared with those of the first subject. Output is lines of JSON; bench/trees.py
 * trains the models and makes tables. */
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/mem.h"
#include "engine/native/native.h"
#include "engine/onnx/onnx.h"
#include "os/file.h"
#include "simd/simd.h"

#define ROUNDS       9
#define ROUND_NS     (12 * (uint64_t)TERN_NS_PER_MS)
#define SUBJECTS_MAX 8
#define BATCHES      3

static const size_t batches[BATCHES] = {1, 100, 10000};

struct subject {
    const struct kind *kind;
    const char *path;
    const char *label;
    size_t n_features;
    /* engines */
    const struct tern_engine_ops *ops;
    struct tern_arena model_arena, arena;
    struct tern_engine_model model;
    void *instance;
    /* libraries */
    void *library;
    void *handle;
    void *fast;
    double *wide; /* rows as double */
    double *out;
    double row_ns[BATCHES];
    double samples[BATCHES][ROUNDS];
    double difference;
};

struct kind {
    const char *name;
    void (*open)(struct subject *s);
    /* rows: n x features; all: the array they lie in begins here */
    void (*run)(struct subject *s, const float *rows, size_t first, size_t n);
};

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "trees_bench: %s: %s\n", what, why);
    exit(1);
}

static void *symbol(struct subject *s, const char *name)
{
    void *found = dlsym(s->library, name);

    if (found == NULL)
        stop(name, "the library lacks it");
    return found;
}

/* A function out of an object pointer, as POSIX has it. */
#define BIND(s, pointer, name)                       \
    do {                                             \
        void *found_ = symbol((s), (name));          \
        memcpy(&(pointer), &found_, sizeof(found_)); \
    } while (0)

/* ---- engines ---- */

static void open_engine(struct subject *s, const struct tern_engine_ops *ops)
{
    const struct tern_engine_load spec = {.name = TERN_STR("bench"), .path = s->path, .threads = 1};
    struct tern_err err;

    s->ops = ops;
    tern_arena_init(&s->model_arena, 4096, (size_t)1 << 30);
    tern_arena_init(&s->arena, 1 << 16, (size_t)1 << 30);
    if (ops->load(&spec, &s->model_arena, &s->model, &err) != TERN_OK ||
        ops->instance_new(&s->model, &s->instance, &err) != TERN_OK)
        stop(s->path, err.text);
}

static void open_tern(struct subject *s)
{
    open_engine(s, &tern_native_engine);
}

static void open_ort(struct subject *s)
{
    open_engine(s, &tern_onnx_engine);
}

static void run_engine(struct subject *s, const float *rows, size_t first, size_t n)
{
    static const uint32_t zero = 0;
    bool wide = s->model.inputs[0].dtype == TERN_DTYPE_FP64;
    size_t size = wide ? sizeof(double) : sizeof(float), at = first * s->n_features;
    struct tern_tensor input = {
        .name = s->model.inputs[0].name,
        .dtype = s->model.inputs[0].dtype,
        .shape = {2, {(int64_t)n, (int64_t)s->n_features}},
        .data = wide ? (void *)(s->wide + at) : (void *)(uintptr_t)(rows + at),
        .n_bytes = n * s->n_features * size,
    };
    struct tern_tensor output = {.data = NULL};
    const struct tern_engine_run run = {.inputs = &input,
                                        .input_spec = &zero,
                                        .n_inputs = 1,
                                        .outputs = &output,
                                        .output_spec = &zero,
                                        .n_outputs = 1,
                                        .arena = &s->arena};
    struct tern_err err;

    if (s->ops->infer(&s->model, s->instance, &run, &err) != TERN_OK)
        stop(s->label, err.text);
    for (size_t i = 0; i < n; i++)
        s->out[first + i] = output.dtype == TERN_DTYPE_FP64 ? ((double *)output.data)[i]
                                                            : (double)((float *)output.data)[i];
    tern_arena_reset(&s->arena);
}

/* ---- XGBoost: PATH is library:model ---- */

static char *open_library(struct subject *s)
{
    char *text = strdup(s->path), *colon = strchr(text, ':');

    if (colon == NULL)
        stop(s->path, "expected LIBRARY:MODEL");
    *colon = 0;
    s->library = dlopen(text, RTLD_NOW | RTLD_LOCAL);
    if (s->library == NULL)
        stop(text, dlerror());
    return colon + 1;
}

static void open_xgboost(struct subject *s)
{
    int (*create)(const void *, uint64_t, void **);
    int (*load)(void *, const char *);
    int (*set)(void *, const char *, const char *);
    const char *model = open_library(s);

    BIND(s, create, "XGBoosterCreate");
    BIND(s, load, "XGBoosterLoadModel");
    BIND(s, set, "XGBoosterSetParam");
    if (create(NULL, 0, &s->handle) != 0 || load(s->handle, model) != 0 ||
        set(s->handle, "nthread", "1") != 0)
        stop(model, "cannot be loaded");
    BIND(s, s->fast, "XGBoosterPredictFromDense");
}

static void run_xgboost(struct subject *s, const float *rows, size_t first, size_t n)
{
    static const char config[] =
        "{\"type\":0,\"training\":false,\"iteration_begin\":0,\"iteration_end\":0,"
        "\"strict_shape\":false,\"missing\":NaN,\"cache_id\":0}";
    int (*predict)(void *, const char *, const char *, void *, const uint64_t **, uint64_t *,
                   const float **);
    const uint64_t *shape;
    uint64_t rank;
    const float *result;
    char array[256];

    snprintf(array, sizeof(array),
             "{\"data\":[%zu,true],\"shape\":[%zu,%zu],\"typestr\":\"<f4\",\"version\":3}",
             (size_t)(uintptr_t)(rows + first * s->n_features), n, s->n_features);
    memcpy(&predict, &s->fast, sizeof(s->fast));
    if (predict(s->handle, array, config, NULL, &shape, &rank, &result) != 0)
        stop(s->label, "cannot predict");
    for (size_t i = 0; i < n; i++)
        s->out[first + i] = (double)result[i];
}

/* ---- LightGBM: PATH is library:model ---- */

static void open_lightgbm(struct subject *s)
{
    int (*load)(const char *, int *, void **);
    int (*fast)(void *, int, int, int, int, int32_t, const char *, void **);
    const char *model = open_library(s);
    int iterations;

    BIND(s, load, "LGBM_BoosterCreateFromModelfile");
    BIND(s, fast, "LGBM_BoosterPredictForMatSingleRowFastInit");
    if (load(model, &iterations, &s->handle) != 0 ||
        fast(s->handle, 0, 0, -1, 1, (int32_t)s->n_features, "num_threads=1", &s->fast) != 0)
        stop(model, "cannot be loaded");
}

static void run_lightgbm(struct subject *s, const float *rows, size_t first, size_t n)
{
    int (*one)(void *, const void *, int64_t *, double *);
    int (*many)(void *, const void *, int, int32_t, int32_t, int, int, int, int, const char *,
                int64_t *, double *);
    int64_t made;
    const double *wide = s->wide + first * s->n_features;

    (void)rows;
    if (n == 1) {
        BIND(s, one, "LGBM_BoosterPredictForMatSingleRowFast");
        one(s->fast, wide, &made, s->out + first);
        return;
    }
    BIND(s, many, "LGBM_BoosterPredictForMat");
    many(s->handle, wide, 1, (int32_t)n, (int32_t)s->n_features, 1, 0, 0, -1, "num_threads=1",
         &made, s->out + first);
}

/* ---- tl2cgen: a row at a time, each value a union in which -1 says missing; of float or of
 * double, as the model's library has it ---- */

union entry {
    int missing;
    float value;
};

union wide_entry {
    int missing;
    double value;
};

static void open_tl2cgen(struct subject *s)
{
    s->library = dlopen(s->path, RTLD_NOW | RTLD_LOCAL);
    if (s->library == NULL)
        stop(s->path, dlerror());
    BIND(s, s->fast, "predict");
    s->handle = calloc(s->n_features, sizeof(union wide_entry));
}

#define RUN_TL2CGEN(entry_type, type)                \
    void (*predict)(entry_type *, int, type *);      \
    entry_type *row = s->handle;                     \
    memcpy(&predict, &s->fast, sizeof(s->fast));     \
    for (size_t i = first; i < first + n; i++) {     \
        type result = 0;                             \
        for (size_t f = 0; f < s->n_features; f++) { \
            float x = rows[i * s->n_features + f];   \
            if (isnan(x))                            \
                row[f].missing = -1;                 \
            else                                     \
                row[f].value = (type)x;              \
        }                                            \
        predict(row, 0, &result);                    \
        s->out[i] = (double)result;                  \
    }

static void run_tl2cgen(struct subject *s, const float *rows, size_t first, size_t n)
{
    RUN_TL2CGEN(union entry, float)
}

static void run_tl2cgen64(struct subject *s, const float *rows, size_t first, size_t n)
{
    RUN_TL2CGEN(union wide_entry, double)
}

/* ---- lleaves ---- */

static void open_lleaves(struct subject *s)
{
    s->library = dlopen(s->path, RTLD_NOW | RTLD_LOCAL);
    if (s->library == NULL)
        stop(s->path, dlerror());
    BIND(s, s->fast, "forest_root");
}

static void run_lleaves(struct subject *s, const float *rows, size_t first, size_t n)
{
    void (*predict)(double *, double *, int, int);

    (void)rows;
    memcpy(&predict, &s->fast, sizeof(s->fast));
    predict(s->wide + first * s->n_features, s->out + first, 0, (int)n);
}

static const struct kind kinds[] = {
    {"tern", open_tern, run_engine},        {"ort", open_ort, run_engine},
    {"xgboost", open_xgboost, run_xgboost}, {"lightgbm", open_lightgbm, run_lightgbm},
    {"tl2cgen", open_tl2cgen, run_tl2cgen}, {"tl2cgen64", open_tl2cgen, run_tl2cgen64},
    {"lleaves", open_lleaves, run_lleaves},
};

/* ---- measuring ---- */

static double once(struct subject *s, const float *rows, size_t n_rows, size_t batch, size_t *at)
{
    uint64_t start = tern_clock_mono_ns(), now = start;
    size_t done = 0;

    do {
        for (int i = 0; i < (batch == 1 ? 64 : 1); i++) {
            if (*at + batch > n_rows)
                *at = 0;
            s->kind->run(s, rows, *at, batch);
            *at += batch;
            done += batch;
        }
        now = tern_clock_mono_ns();
    } while (now - start < ROUND_NS);
    return (double)(now - start) / (double)done;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct subject *subjects, size_t n, const float *rows, size_t n_rows)
{
    for (size_t b = 0; b < BATCHES; b++) {
        size_t at[SUBJECTS_MAX] = {0};
        size_t batch = batches[b] < n_rows ? batches[b] : n_rows;
        for (size_t round = 0; round < ROUNDS; round++)
            for (size_t i = 0; i < n; i++)
                subjects[i].samples[b][round] = once(&subjects[i], rows, n_rows, batch, &at[i]);
        for (size_t i = 0; i < n; i++) {
            qsort(subjects[i].samples[b], ROUNDS, sizeof(double), compare);
            subjects[i].row_ns[b] = subjects[i].samples[b][ROUNDS / 2];
        }
    }
}

/* Relative to the larger, from 1 on. */
static void differ(struct subject *subjects, size_t n, const float *rows, size_t n_rows)
{
    for (size_t i = 0; i < n; i++) {
        subjects[i].kind->run(&subjects[i], rows, 0, n_rows);
        for (size_t r = 0; i > 0 && r < n_rows; r++) {
            double a = subjects[0].out[r], b = subjects[i].out[r];
            double d = fabs(a - b) / fmax(1, fmax(fabs(a), fabs(b)));
            if (!(d <= subjects[i].difference))
                subjects[i].difference = d;
        }
    }
}

static size_t resident(void)
{
    char text[256];
    size_t n = 0, pages = 0, total = 0;

    if (tern_file_head("/proc/self/statm", text, sizeof(text) - 1, &n, NULL) != TERN_OK)
        return 0;
    text[n] = 0;
    char *end;
    total = strtoul(text, &end, 10);
    pages = strtoul(end, NULL, 10);
    (void)total;
    return pages * 4096;
}

/* Libraries are in memory before: what counts is the model. */
static void measure_load(struct subject *s, const float *rows)
{
    struct tern_err err;
    if (strcmp(s->kind->name, "ort") == 0 && tern_onnx_engine.available(&err) != TERN_OK)
        stop("ort", err.text);
    size_t before = resident();
    uint64_t start = tern_clock_mono_ns();
    s->kind->open(s);
    uint64_t took = tern_clock_mono_ns() - start;
    s->kind->run(s, rows, 0, 1);
    printf("{\"kind\": \"%s\", \"load_ms\": %.3f, \"load_mib\": %.3f}\n", s->label,
           (double)took / 1e6, ((double)resident() - (double)before) / 1048576);
}

int main(int argc, char **argv)
{
    static struct subject subjects[SUBJECTS_MAX];
    const char *file = NULL;
    size_t n = 0, n_features = 0, n_bytes = 0;
    bool loads = false;
    char *bytes;
    struct tern_err err;

    tern_simd_init();
    tern_mem_tune();
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (strcmp(argv[i], "--rows") == 0 && i + 1 < argc)
            file = argv[++i];
        else if (strcmp(argv[i], "--features") == 0 && i + 1 < argc)
            n_features = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--load") == 0)
            loads = true;
        else if (equals == NULL || n == SUBJECTS_MAX)
            stop(argv[i], "expected KIND=PATH");
        else {
            *equals = 0;
            subjects[n] = (struct subject){.path = equals + 1, .label = argv[i]};
            for (size_t k = 0; k < TERN_COUNT_OF(kinds); k++)
                if (strcmp(argv[i], kinds[k].name) == 0)
                    subjects[n].kind = &kinds[k];
            if (subjects[n++].kind == NULL)
                stop(argv[i], "no such kind");
        }
    }
    if (file == NULL || n == 0 || n_features == 0)
        stop("usage", "trees_bench --rows FILE --features N KIND=PATH...");
    if (tern_file_read(file, (size_t)1 << 32, 64, &bytes, &n_bytes, &err) != TERN_OK)
        stop(file, err.text);
    size_t n_rows = n_bytes / sizeof(float) / n_features;
    const float *rows = (const float *)(const void *)bytes;
    double *wide = calloc(n_rows * n_features, sizeof(*wide));
    for (size_t i = 0; i < n_rows * n_features; i++)
        wide[i] = (double)rows[i];
    for (size_t i = 0; i < n; i++) {
        subjects[i].n_features = n_features;
        subjects[i].wide = wide;
        subjects[i].out = calloc(n_rows, sizeof(double));
        if (!loads)
            subjects[i].kind->open(&subjects[i]);
    }
    if (loads) {
        measure_load(&subjects[0], rows);
        return 0;
    }
    differ(subjects, n, rows, n_rows);
    measure(subjects, n, rows, n_rows);
    for (size_t i = 0; i < n; i++)
        printf("{\"kind\": \"%s\", \"ns\": [%.2f, %.2f, %.2f], \"difference\": %.3g}\n",
               subjects[i].label, subjects[i].row_ns[0], subjects[i].row_ns[1],
               subjects[i].row_ns[2], subjects[i].difference);
    return 0;
}
