#include "engine/native/sklearn/skops.h"

#include "engine/native/sklearn/sklearn.h"

#define SCRATCH_CHUNK ((size_t)64 << 10)
#define SCRATCH_MAX   ((size_t)16 << 30)

static enum tern_code load(const struct tern_native_source *source, struct tern_program *program,
                           struct tern_err *err)
{
    struct tern_sklearn s = {.program = program};
    struct tern_arena scratch;

    tern_arena_init(&scratch, SCRATCH_CHUNK, SCRATCH_MAX);
    enum tern_code code = tern_skops_open(&s.skops, source->bytes, &scratch, err);
    if (code == TERN_OK)
        code = tern_sklearn_make(&s, err);
    tern_arena_fini(&scratch);
    return code;
}

#define NAME_AT 30 /* of the first member, in a local header */

/* Archives are of many kinds (.keras, .npz, .pt). Here arrays come first, each called by the number
 * that Python had for it, or the schema of an estimator that has none. */
static bool is_first(struct tern_str head)
{
    struct tern_str name = tern_str_from(head, NAME_AT);
    size_t digits = 0;

    while (digits < name.n && name.p[digits] >= '0' && name.p[digits] <= '9')
        digits++;
    return tern_str_starts(tern_str_from(name, digits), TERN_STR(".npy"))
               ? digits > 0
               : tern_str_starts(name, TERN_STR("schema.json"));
}

static int probe(struct tern_str file_name, struct tern_str head)
{
    bool is_named = tern_str_ends(file_name, TERN_STR(".skops"));

    if (head.n == 0)
        return is_named ? 100 : 0;
    return is_named || (tern_zip_is(head) && is_first(head)) ? 100 : 0;
}

const struct tern_native_format tern_skops_format = {
    .name = "skops",
    .help = "scikit-learn, saved by skops",
    .probe = probe,
    .load = load,
};
