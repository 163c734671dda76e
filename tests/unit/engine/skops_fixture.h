/* The small models of make_skops.py, changed in one place: what their tests share. */
#ifndef TERN_TESTS_UNIT_ENGINE_SKOPS_FIXTURE_H
#define TERN_TESTS_UNIT_ENGINE_SKOPS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include "base/compiler.h"
#include "engine/native/sklearn/skops.h"
#include "harness/native_memory.h"
#include "harness/zip_write.h"
#include "os/file.h"
#include "wire/zip.h"

#define FOLDER "tests/fuzz/corpus/skops/"

/* One change of a model: in the schema, a text for another; or in an array of its own, a byte. */
struct change {
    const char *from, *to; /* NULL: none */
    bool is_last;          /* of several places, else the first */
    const char *member;
    size_t at; /* from the end of the member */
    unsigned char value;
};

static inline char *read_whole(const char *name, struct tern_str *ret)
{
    char path[200], *bytes;
    size_t n;

    (void)snprintf(path, sizeof(path), FOLDER "%s.skops", name);
    if (tern_file_read(path, 1u << 20, 64, &bytes, &n, NULL) != TERN_OK)
        fail_msg("%s cannot be read", path);
    *ret = tern_str_make(bytes, n);
    return bytes;
}

/* Where the text stands, or n. */
static inline size_t find(struct tern_str s, struct tern_str text, bool is_last)
{
    size_t found = s.n;

    for (size_t at = 0; at < s.n && (is_last || found == s.n); at++)
        if (tern_str_starts(tern_str_from(s, at), text))
            found = at;
    return found;
}

static inline void add_member(struct zip_write *w, const char *name, struct tern_str bytes,
                              const struct change *change)
{
    struct tern_buf to;

    tern_buf_init(&to, 1u << 20);
    if (change->from != NULL && strcmp(name, "schema.json") == 0) {
        struct tern_str from = tern_str_of(change->from);
        size_t at = find(bytes, from, change->is_last);
        if (at == bytes.n)
            fail_msg("the schema has no %s", change->from);
        tern_buf_add(&to, bytes.p, at);
        tern_buf_add_str(&to, tern_str_of(change->to));
        tern_buf_add_str(&to, tern_str_from(bytes, at + from.n));
    } else {
        tern_buf_add_str(&to, bytes);
    }
    if (change->member != NULL && strcmp(name, change->member) == 0)
        to.p[to.n - change->at] = (char)change->value;
    zip_add(w, name, tern_buf_str(&to), false);
    tern_buf_fini(&to);
}

/* The model with that change, as a stored archive. */
static inline struct tern_str changed(struct zip_write *w, const char *model,
                                      const struct change *change)
{
    static const struct tern_zip_limits limits = {.members = 100, .ratio = 100, .bytes = 1u << 20};
    struct tern_arena arena;
    struct tern_str file, bytes;
    struct tern_zip zip;
    char *owned = read_whole(model, &file);

    tern_arena_init(&arena, 4096, 64u << 20);
    zip_begin(w);
    assert_int_equal(tern_zip_open(file, &limits, &arena, &zip, NULL), TERN_OK);
    for (uint32_t i = 0; i < zip.n_members; i++) {
        struct tern_str name = tern_arena_copy(&arena, zip.members[i].name);
        assert_int_equal(tern_zip_read(&zip.members[i], &arena, &bytes, NULL), TERN_OK);
        add_member(w, name.p, bytes, change);
    }
    tern_arena_fini(&arena);
    tern_mem_free(owned);
    return zip_end(w);
}

/* ---- what models predict ---- */

static inline void load(struct native_rig *rig, const char *model, const struct change *change)
{
    struct zip_write w;
    struct tern_str file = changed(&w, model, change);

    if (native_load(rig, &tern_skops_format, file) != TERN_OK)
        fail_msg("%s: %s", model, rig->err.text);
    zip_free(&w);
}

#define ROWS 4
static const double rows[ROWS][2] = {{0.1, 3.0}, {2.5, -1.0}, {5.0, 7.0}, {7.5, 0.0}};

static inline struct tern_tensor run(struct native_rig *rig, uint32_t output)
{
    struct tern_tensor out;
    float floats[ROWS][2];
    bool is_double = rig->program.inputs[0].dtype == TERN_DTYPE_FP64;

    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < 2; k++)
            floats[i][k] = (float)rows[i][k];
    if (native_run_output(rig, is_double ? (const void *)rows : floats, ROWS, 2, output, &out) !=
        TERN_OK)
        fail_msg("%s", rig->err.text);
    return out;
}

static inline void expect_close(struct native_rig *rig, uint32_t output, const char *name,
                                const double *expected, size_t k, double tolerance)
{
    struct tern_tensor out = run(rig, output);

    assert_true(tern_str_eq(rig->program.outputs[output].name, tern_str_of(name)));
    assert_int_equal(out.dtype, TERN_DTYPE_FP64);
    assert_true(out.shape.rank == 2 && (size_t)out.shape.dim[1] == k);
    for (size_t i = 0; i < ROWS * k; i++) {
        double got = ((const double *)out.data)[i];
        if (!(fabs(got - expected[i]) <= tolerance))
            fail_msg("element %zu: got %.17g, expected %.17g", i, got, expected[i]);
    }
}

static inline void expect_numbers(struct native_rig *rig, uint32_t output, const char *name,
                                  const double *expected, size_t k)
{
    expect_close(rig, output, name, expected, k, 1e-15);
}

static inline void expect_labels(struct native_rig *rig, const int64_t *expected)
{
    struct tern_tensor out = run(rig, 0);

    assert_true(tern_str_eq(rig->program.outputs[0].name, TERN_STR("label")));
    assert_int_equal(out.dtype, TERN_DTYPE_INT64);
    assert_true(out.shape.rank == 1 && out.shape.dim[0] == ROWS);
    assert_memory_equal(out.data, expected, ROWS * sizeof(*expected));
}

static const struct change none = {.from = NULL};

static inline void expect_refusal(const char *model, const struct change *change, const char *error)
{
    struct zip_write w;
    struct tern_str file = changed(&w, model, change);
    struct native_rig rig;
    enum tern_code code = native_load(&rig, &tern_skops_format, file);

    if (code == TERN_OK || strstr(rig.err.text, error) == NULL)
        fail_msg("%s, %s%s: %s, expected '%s'", model, change->from == NULL ? "" : change->from,
                 change->member == NULL ? "" : change->member,
                 code == TERN_OK ? "no error" : rig.err.text, error);
    native_free(&rig);
    zip_free(&w);
}

/* A value in the schema. */
#define VALUE(json)                                                                   \
    "{\"__class__\":\"str\",\"__module__\":\"builtins\",\"__loader__\":\"JsonNode\"," \
    "\"content\":\"" json "\",\"is_json\":true}"
#define KEY(name, json) "\"" name "\":" VALUE(json)

#endif
