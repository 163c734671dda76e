/* What the tests of the ONNX engine share: finding the library (or skipping), loading a model,
 * running it. Included by each test file; everything is static. */
#ifndef TERN_TESTS_UNIT_ENGINE_ONNX_FIXTURE_H
#define TERN_TESTS_UNIT_ENGINE_ONNX_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/arena.h"
#include "base/compiler.h"
#include "engine/onnx/onnx.h"
#include "engine/onnx/ort.h"

/* The library forgets 14 bytes whenever its environment is created. Only that is kept from the leak
 * checker: a value or a status that Tern forgets is found. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TERN_TEST_LEAK_CHECKER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(TERN_TEST_LEAK_CHECKER)
#include <sanitizer/lsan_interface.h>
#else
static inline void __lsan_disable(void)
{
}
static inline void __lsan_enable(void)
{
}
#endif

static inline enum tern_code start_library(const struct tern_ort **ret_ort, struct tern_err *err)
{
    __lsan_disable();
    enum tern_code code = tern_ort_start(ret_ort, err);
    __lsan_enable();
    return code;
}

#define DATA            "tests/data/onnx/"
#define BUILT_LIBRARY   "build/onnxruntime/lib/libonnxruntime.so"
#define FIXTURE_OPTIONS 8

/* A loaded model with one instance and the arenas around it. */
struct fixture {
    struct tern_arena model_arena;
    struct tern_arena arena; /* of a request */
    struct tern_engine_model model;
    void *instance;
    struct tern_err err;
};

static inline bool library_is_missing(void)
{
    static bool configured;
    struct tern_err err = {0};
    struct tern_onnx_config config = {.library = BUILT_LIBRARY};

    setenv("ORT_DISABLE_TELEMETRY", "1", 0);
    const char *named = getenv("TERN_ONNXRUNTIME");
    if (!configured && (named == NULL || *named == '\0') && access(BUILT_LIBRARY, R_OK) == 0)
        assert_int_equal(tern_onnx_configure(&config, &err), TERN_OK);
    configured = true;
    const struct tern_ort *ort;
    if (tern_onnx_engine.available(&err) == TERN_OK) {
        assert_int_equal(start_library(&ort, &err), TERN_OK);
        return false;
    }
    printf("SKIPPED: %s\n", err.text);
    return true;
}

/* cmocka's skip() leaves the test. */
#define NEEDS_LIBRARY()           \
    do {                          \
        (void)state;              \
        if (library_is_missing()) \
            skip();               \
    } while (0)

/* options: "key=value" texts. */
static inline enum tern_code try_load(struct fixture *f, const char *path,
                                      const char *const *options, uint32_t threads)
{
    struct tern_engine_option parsed[FIXTURE_OPTIONS];
    struct tern_engine_load spec = {
        .name = TERN_STR("test"), .path = path, .options = parsed, .threads = threads};

    *f = (struct fixture){.instance = NULL};
    for (; options != NULL && options[spec.n_options] != NULL; spec.n_options++) {
        struct tern_str text = tern_str_of(options[spec.n_options]);
        size_t at = tern_str_find(text, '=');
        assert_true(spec.n_options < FIXTURE_OPTIONS);
        parsed[spec.n_options] = (struct tern_engine_option){.key = tern_str_make(text.p, at),
                                                             .value = tern_str_from(text, at + 1)};
    }
    tern_arena_init(&f->model_arena, 1024, 1u << 20);
    tern_arena_init(&f->arena, 1024, 64u << 20);
    enum tern_code code = tern_onnx_engine.load(&spec, &f->model_arena, &f->model, &f->err);
    if (code != TERN_OK)
        tern_arena_fini(&f->model_arena);
    return code;
}

static inline void open_with(struct fixture *f, const char *path, const char *const *options,
                             uint32_t threads)
{
    if (try_load(f, path, options, threads) != TERN_OK)
        fail_msg("%s: %s", path, f->err.text);
    if (tern_onnx_engine.instance_new(&f->model, &f->instance, &f->err) != TERN_OK)
        fail_msg("%s: %s", path, f->err.text);
}

static inline void open_model(struct fixture *f, const char *path)
{
    open_with(f, path, NULL, 1);
}

static inline void close_model(struct fixture *f)
{
    tern_arena_fini(&f->arena);
    tern_onnx_engine.instance_free(&f->model, f->instance);
    tern_onnx_engine.unload(&f->model);
    tern_arena_fini(&f->model_arena);
}

static inline struct tern_shape shape_of(int rank, const int64_t *dims)
{
    struct tern_shape shape = {.rank = rank};
    if (rank > 0)
        memcpy(shape.dim, dims, (size_t)rank * sizeof(*dims));
    return shape;
}

#define SHAPE(...) \
    shape_of((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

static inline struct tern_tensor tensor_of(const struct fixture *f, uint32_t input,
                                           struct tern_shape shape, const void *data,
                                           size_t n_bytes)
{
    return (struct tern_tensor){.name = f->model.inputs[input].name,
                                .dtype = f->model.inputs[input].dtype,
                                .shape = shape,
                                .data = (void *)(uintptr_t)data,
                                .n_bytes = n_bytes};
}

/* Runs with inputs in the order of the model and all outputs. */
static inline enum tern_code infer(struct fixture *f, const struct tern_tensor *inputs,
                                   uint32_t n_inputs, struct tern_tensor *outputs)
{
    static const uint32_t in_order[] = {0, 1, 2, 3, 4, 5, 6, 7};
    const struct tern_engine_run run = {.inputs = inputs,
                                        .input_spec = in_order,
                                        .n_inputs = n_inputs,
                                        .outputs = outputs,
                                        .output_spec = in_order,
                                        .n_outputs = f->model.n_outputs,
                                        .arena = &f->arena};
    return tern_onnx_engine.infer(&f->model, f->instance, &run, &f->err);
}

#endif
