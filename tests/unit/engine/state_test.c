/* States as blocks of bytes: every pointer that the state of an operator has, or what it leads to,
 * is one that the operator names. */
// covers: engine/native/state
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/mem.h"
#include "engine/native/format.h"
#include "engine/native/ops/ops.h"
#include "engine/native/state.h"
#include "harness/native_rig.h"
#include "os/file.h"

#define CORPUS   "tests/fuzz/corpus/"
#define FILE_MAX (1u << 20)

static bool is_named(const struct tern_state *state, uint32_t block, size_t at)
{
    for (uint32_t i = block + 1; i < state->n; i++)
        if (state->blocks[i].parent == block && state->blocks[i].at == at)
            return true;
    return false;
}

/* A word that is an address of the program's memory, and no pointer that was named. */
static void find_unnamed(const struct tern_state *state, const struct tern_arena *arena,
                         const char *begin, const char *name)
{
    for (uint32_t i = 0; i < state->n; i++) {
        const struct tern_state_block *block = &state->blocks[i];
        for (size_t at = 0; at + sizeof(uintptr_t) <= block->n_bytes; at += sizeof(uintptr_t)) {
            uintptr_t word;
            memcpy(&word, block->from + at, sizeof(word));
            if (word >= (uintptr_t)begin && word < (uintptr_t)arena->at && !is_named(state, i, at))
                fail_msg("%s: block %u has a pointer at byte %zu that nobody names", name, i, at);
        }
    }
}

static const struct tern_native_format *format_of(const char *path, struct tern_str bytes)
{
    const struct tern_native_format *best = tern_native_formats[0];

    for (uint32_t i = 1; i < tern_native_formats_count; i++)
        if (tern_native_formats[i]->probe(tern_file_base_name(path), bytes) >
            best->probe(tern_file_base_name(path), bytes))
            best = tern_native_formats[i];
    return best;
}

/* How many steps have a form. */
static uint32_t check_model(const struct tern_native_format *format, struct tern_str bytes)
{
    struct native_rig rig;
    uint32_t n = 0;

    /* One piece of memory, so that its addresses are known by their beginning and end. */
    if (native_load_in(&rig, format, bytes, FILE_MAX) != TERN_OK) {
        native_free(&rig);
        return 0;
    }
    const char *begin = rig.arena.end - FILE_MAX;
    for (uint32_t i = 0; i < rig.program.n_steps; i++) {
        const struct tern_step *step = &rig.program.steps[i];
        struct tern_arena arena;
        struct tern_state state;
        if (tern_op_forest_of(step) != NULL)
            continue;
        tern_arena_init(&arena, 4096, FILE_MAX);
        enum tern_code code = tern_state_read(step, &arena, &state, &rig.err);
        if (code == TERN_UNIMPLEMENTED) {
            assert_string_equal(step->op->name, "Cast"); /* of texts */
        } else {
            if (code != TERN_OK)
                fail_msg("%s: %s", step->op->name, rig.err.text);
            assert_non_null(strstr(step->op->file, ".c"));
            find_unnamed(&state, &rig.arena, begin, step->op->name);
            n++;
        }
        tern_arena_fini(&arena);
    }
    native_free(&rig);
    return n;
}

/* name: what all of its files are called; NULL: by their own. */
static uint32_t check_folder(const char *folder, const char *name)
{
    DIR *dir = opendir(folder);
    uint32_t n = 0;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[512], *bytes;
        size_t size;
        snprintf(path, sizeof(path), "%s%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' ||
            tern_file_read(path, FILE_MAX, TERN_NATIVE_PAD, &bytes, &size, NULL) != TERN_OK)
            continue;
        struct tern_str model = tern_str_make(bytes, size);
        n += check_model(format_of(name != NULL ? name : path, model), model);
        tern_mem_free(bytes);
    }
    closedir(dir);
    return n;
}

static void operators_name_all_pointers(void **state)
{
    (void)state;
    assert_true(check_folder(CORPUS "onnx_graph/", "model.onnx") > 60);
    assert_true(check_folder(CORPUS "xgboost/", NULL) > 3);
    assert_true(check_folder(CORPUS "catboost/", NULL) > 3);
    assert_true(check_folder(CORPUS "pmml/", "model.pmml") > 3);
    assert_true(check_folder(CORPUS "skops/", "model.skops") > 3);
}

/* ---- operators that are not right ---- */

struct thing {
    const char *text;
    struct tern_str *texts;
};

static void thing_points(const void *state, struct tern_state *to)
{
    const struct thing *thing = state;

    tern_state_points(to, &thing->text, 5);
    tern_state_cells(to, &thing->texts, TERN_DTYPE_BYTES, 2);
}

static void stray_points(const void *state, struct tern_state *to)
{
    static const char *stray = "stray";

    (void)state;
    tern_state_points(to, &stray, 6);
    tern_state_points(to, &stray, 6); /* changes nothing any more */
}

TERN_OPERATOR(thing_op, .name = "Thing", TERN_STATE(struct thing, thing_points));
TERN_OPERATOR(stray_op, .name = "Stray", TERN_STATE(struct thing, stray_points));
TERN_OPERATOR(mute_op, .name = "Mute");
static const struct tern_operator here_op = {.name = "Here"};

static struct tern_str texts[] = {{"one", 3}, {"three", 5}};
static const struct thing thing = {"text", texts};

static void blocks_come_after_what_points_to_them(void **state)
{
    const struct tern_step step = {.op = &thing_op, .state = &thing};
    struct tern_err err = {.code = TERN_OK};
    struct tern_state blocks;
    struct tern_arena arena;

    (void)state;
    tern_arena_init(&arena, 64, 1 << 16);
    assert_int_equal(tern_state_read(&step, &arena, &blocks, &err), TERN_OK);
    assert_int_equal(blocks.n, 5);
    assert_ptr_equal(blocks.blocks[1].from, thing.text);
    assert_int_equal(blocks.blocks[1].at, offsetof(struct thing, text));
    assert_int_equal(blocks.blocks[2].n_bytes, sizeof(texts));
    assert_int_equal(blocks.blocks[2].dtype, TERN_DTYPE_BYTES);
    assert_true(blocks.blocks[2].has_pointers);
    assert_int_equal(blocks.blocks[4].parent, 2);
    assert_int_equal(blocks.blocks[4].at, sizeof(texts[0]) + offsetof(struct tern_str, p));
    assert_int_equal(blocks.blocks[4].n_bytes, 5);
    tern_arena_fini(&arena);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const struct tern_operator *op;
        enum tern_code code;
        const char *says;
    } rows[] = {
        {&stray_op, TERN_INTERNAL, "Stray: a pointer that is in no state"},
        {&mute_op, TERN_INTERNAL, "the operator Mute does not say what its state is"},
        {&here_op, TERN_UNIMPLEMENTED, "the operator Here has no form outside of the server"},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        const struct tern_step step = {.op = rows[i].op, .state = &thing};
        struct tern_err err = {.code = TERN_OK};
        struct tern_state blocks;
        struct tern_arena arena;

        tern_arena_init(&arena, 4096, 1 << 16);
        assert_int_equal(tern_state_read(&step, &arena, &blocks, &err), rows[i].code);
        assert_string_equal(err.text, rows[i].says);
        tern_arena_fini(&arena);
    }
}

static void a_full_arena_is_an_error(void **state)
{
    const struct tern_step step = {.op = &thing_op, .state = &thing};
    struct tern_err err = {.code = TERN_OK};
    struct tern_state blocks;
    struct tern_arena arena;

    (void)state;
    tern_arena_init(&arena, 64, 64);
    assert_int_equal(tern_state_read(&step, &arena, &blocks, &err), TERN_RESOURCE_EXHAUSTED);
    tern_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_name_all_pointers),
        cmocka_unit_test(blocks_come_after_what_points_to_them),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_full_arena_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
