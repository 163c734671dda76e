/* ONNX Runtime as a library loaded at run time: finding it, trusting it, its environment, and its
 * errors as ours.
 *
 * The library keeps one environment (its logger, its operator schemas) for the whole process and
 * its table of functions never changes. So ort.c holds the one mutable global of the engine, behind
 * a mutex: nothing above it can own what belongs to the process. */
#ifndef TERN_ENGINE_ONNX_ORT_H
#define TERN_ENGINE_ONNX_ORT_H

#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "engine/onnx/onnx.h"
#include "engine/onnx/ort_abi.h"

#define TERN_ORT_VERSION_MAX 32

struct tern_ort {
    struct ort_api api;
    uint32_t api_version;
    char version[TERN_ORT_VERSION_MAX]; /* "1.30.0" */
    struct ort_env *env;                /* NULL until tern_ort_start */
    struct ort_memory_info *cpu;        /* of tensors over our memory; NULL until tern_ort_start */
    struct ort_allocator *allocator;    /* the library's default one; not ours to release */
};

enum tern_code tern_ort_configure(const struct tern_onnx_config *config, struct tern_err *err);
/* Finds, loads and tests the library, once; 2-3 ms. UNAVAILABLE, with how to get it. The answer
 * lives as long as the process. Any thread. */
enum tern_code tern_ort_find(const struct tern_ort **ret_ort, struct tern_err *err);
/* The same, with the environment created: some 20 ms the first time. */
enum tern_code tern_ort_start(const struct tern_ort **ret_ort, struct tern_err *err);
/* Releases the environment; no session is alive. The library stays mapped: it leaves threads' local
 * data behind that unmapping would orphan. */
void tern_ort_stop(void);

/* One at a time in the process: the library does not promise that sessions can be created in
 * parallel. It copies what it needs of bytes. The error is the library's own text. */
enum tern_code tern_ort_session_new(const struct tern_ort *ort, struct tern_str bytes,
                                    const struct ort_session_options *options,
                                    struct ort_session **ret_session, struct tern_err *err);

/* Registers the environment's arena for processor memory, which sessions with
 * session.use_env_allocators share. FAILED_PRECONDITION when another model of this process asked
 * for another strategy: there is one such arena. */
enum tern_code tern_ort_share_arena(const struct tern_ort *ort, uint32_t extend_strategy,
                                    struct tern_err *err);

/* OK for NULL. Otherwise turns the status into our error, "<doing>: <its text without paths>" (just
 * the text when doing is empty), and releases it. */
enum tern_code tern_ort_fail(const struct tern_ort *ort, struct ort_status *status,
                             const char *doing, struct tern_err *err) TERN_COLD;

TERN_INLINE enum tern_code tern_ort_check(const struct tern_ort *ort, struct ort_status *status,
                                          const char *doing, struct tern_err *err)
{
    return TERN_LIKELY(status == NULL) ? TERN_OK : tern_ort_fail(ort, status, doing, err);
}

/* For tern_arena_on_reset: releases a struct ort_value. */
void tern_ort_release_value(void *value);

/* Cuts every absolute path in text down to its last part, in place. */
void tern_ort_strip_paths(char *text);

#endif
