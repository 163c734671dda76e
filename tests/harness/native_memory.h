/* A loader of which one call after another gets no memory, until it needs no more: each time the
 * error says so, and nothing is lost. The test wraps what mem_fails.h names. */
#ifndef TERN_TESTS_NATIVE_MEMORY_H
#define TERN_TESTS_NATIVE_MEMORY_H

#include "harness/mem_fails.h"
#include "harness/native_rig.h"

#define NATIVE_MEMORY_CALLS_MAX 1000

static void native_without_memory(const struct tern_native_format *format, struct tern_str file)
{
    enum tern_code code = TERN_RESOURCE_EXHAUSTED;

    for (long at = 0; code != TERN_OK; at++) {
        struct native_rig rig;
        mem_calls = 0;
        mem_fail_at = at;
        code = native_load(&rig, format, file);
        mem_fail_at = -1;
        if (code != TERN_OK && code != TERN_RESOURCE_EXHAUSTED)
            fail_msg("call %ld: %s", at, rig.err.text);
        native_free(&rig);
        assert_true(at < NATIVE_MEMORY_CALLS_MAX);
    }
}

#endif
