/* A model with fewer nodes: what was asked for, and what it does to the answers. */
#include <math.h>
#include <string.h>
#include "cli/build_edge.h"
#include "cli/rows.h"
#include "core/inputs.h"
#include "core/value.h"
#include "engine/native/prune.h"
#include "registry/seen.h"
#include "registry/version.h"
#include "simd/numbers.h"

#define RUN_MAX ((size_t)4 << 30)

static enum tern_code read_options(const struct tern_build_edge_options *options,
                                   struct tern_forest_pruning *ret, struct tern_err *err)
{
    size_t used = 0;

    *ret = (struct tern_forest_pruning){.n_trees = (uint32_t)options->trees};
    if (options->prune.n == 0)
        return TERN_OK;
    if (tern_numbers_read_double(options->prune, &ret->within, &used, NULL) != TERN_OK ||
        used != options->prune.n || !(ret->within >= 0))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "--prune: expected by how much the answer may change, such as 0.01, got "
                         "'%.*s'",
                         TERN_STR_ARG(options->prune));
    return TERN_OK;
}

enum tern_code tern_build_edge_prune(struct tern_build_edge *build, struct tern_err *err)
{
    struct tern_program *program = tern_arena_zalloc(build->arena, 1, sizeof(*program));
    struct tern_edge_pruning *pruning = &build->pruning;
    struct tern_forest_pruning wanted;

    if (program == NULL)
        return tern_arena_fail(build->arena, err, "a program");
    TERN_TRY(read_options(build->options, &wanted, err));
    TERN_TRY(tern_native_prune(build->emit.program, &wanted, build->arena, program,
                               &pruning->forest, err));
    pruning->is_asked = wanted.n_trees > 0 || build->options->prune.n > 0;
    pruning->original = build->emit.program;
    build->emit.program = program;
    return TERN_OK;
}

/* ---- what it does to answers ---- */

/* Texts and labels differ, or not. */
static void compare(struct tern_edge_pruning *pruning, const struct tern_tensor *was,
                    const struct tern_tensor *is)
{
    size_t n = 0;
    bool is_same = was->n_bytes == is->n_bytes && memcmp(was->data, is->data, was->n_bytes) == 0;

    if (was->dtype == TERN_DTYPE_BYTES || !tern_shape_count(&was->shape, &n)) {
        pruning->n_numbers++;
        pruning->sum += !is_same;
        pruning->largest = fmax(pruning->largest, !is_same);
        return;
    }
    pruning->n_numbers += n;
    for (size_t i = 0; !is_same && i < n; i++) {
        double a = tern_value_get(was, i), b = tern_value_get(is, i);
        double off = isnan(a) || isnan(b) ? (isnan(a) == isnan(b) ? 0 : HUGE_VAL) : fabs(a - b);
        pruning->sum += off;
        pruning->largest = fmax(pruning->largest, off);
    }
}

/* The random rows; their answers become those of the smaller model, which what is built has to
 * give. */
enum tern_code tern_build_edge_answer_again(struct tern_build_edge *build, struct tern_err *err)
{
    struct tern_edge_rows *rows = &build->rows;
    struct tern_tensor answer;

    for (uint32_t i = 0; i < rows->n; i++) {
        TERN_TRY(tern_edge_rows_answer(&build->emit, &rows->inputs[(size_t)i * rows->n_inputs],
                                       build->arena, &answer, err));
        compare(&build->pruning, &rows->answers[i], &answer);
        rows->answers[i] = answer;
    }
    build->pruning.n_rows = rows->n;
    if (!build->pruning.is_asked && build->pruning.largest != 0)
        return tern_fail(err, TERN_INTERNAL, "with fewer nodes the model answers differently");
    return TERN_OK;
}

/* The rows of the file, as the program's inputs are numbered. */
static enum tern_code read_data(const struct tern_build_edge *build,
                                const struct tern_model_version *version, struct tern_rows *rows,
                                struct tern_tensor **ret_inputs, struct tern_err *err)
{
    uint32_t n_inputs = build->emit.program->n_inputs, *spec = NULL;
    struct tern_tensor *inputs = tern_arena_zalloc(build->arena, n_inputs + 1u, sizeof(*inputs));

    if (inputs == NULL)
        return tern_arena_fail(build->arena, err, "rows");
    TERN_TRY(tern_rows_read(build->options->data.p, &version->info, build->arena, rows, err));
    TERN_TRY(tern_inputs_match(&version->info, rows->inputs.rows, rows->inputs.n, build->arena,
                               &spec, err));
    tern_seen_to_engine(version->input_at, spec, rows->inputs.n);
    if (rows->n == 0 || rows->inputs.n != n_inputs)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%s has no rows of all inputs",
                         build->options->data.p);
    for (uint32_t i = 0; i < n_inputs; i++)
        inputs[spec[i]] = rows->inputs.rows[i];
    *ret_inputs = inputs;
    return TERN_OK;
}

enum tern_code tern_build_edge_compare_data(struct tern_build_edge *build,
                                            const struct tern_model_version *version,
                                            struct tern_err *err)
{
    struct tern_edge_pruning *pruning = &build->pruning;
    struct tern_native_emit original = build->emit;
    struct tern_tensor was, is, *inputs = NULL;
    struct tern_arena arena;
    struct tern_rows rows;

    TERN_TRY(read_data(build, version, &rows, &inputs, err));
    original.program = pruning->original;
    pruning->n_numbers = 0;
    pruning->sum = pruning->largest = 0;
    tern_arena_init(&arena, 1u << 16, RUN_MAX);
    enum tern_code code = tern_edge_rows_answer(&original, inputs, &arena, &was, err);
    if (code == TERN_OK)
        code = tern_edge_rows_answer(&build->emit, inputs, &arena, &is, err);
    if (code == TERN_OK) {
        compare(pruning, &was, &is);
        pruning->n_rows = (uint32_t)rows.n;
        pruning->data = build->options->data.p;
    } else {
        tern_err_prefix(err, "%s", build->options->data.p);
    }
    tern_arena_fini(&arena);
    return code;
}
