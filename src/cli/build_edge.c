#include "cli/build_edge.h"

#include <math.h>
#include <stdio.h>
#include "base/mem.h"
#include "cli/infer.h"
#include "engine/native/explain.h"
#include "engine/native/native.h"
#include "os/scratch.h"
#include "registry/version.h"
#include "simd/simd.h"

#define ARENA_MAX      ((size_t)4 << 30)
#define SOURCE_MAX     ((size_t)2 << 30)
#define NAME_MAX_BYTES 64
#define REPORT_MAX     (1u << 20)
#define ROWS_MAX       1000

/* ---- what the model is called ---- */

/* As C has it: what is no letter and no digit becomes '_'. */
static enum tern_code choose_name(struct tern_build_edge *build, struct tern_str model,
                                  struct tern_err *err)
{
    struct tern_str given = build->options->name.n > 0 ? build->options->name : model;
    char *name = tern_arena_alloc(build->arena, 1, given.n + 2);
    size_t n = 0;

    if (name == NULL)
        return tern_arena_fail(build->arena, err, "a name");
    if (given.n > 0 && given.p[0] >= '0' && given.p[0] <= '9')
        name[n++] = 'm';
    for (size_t i = 0; i < given.n && n < NAME_MAX_BYTES; i++) {
        char c = given.p[i];
        bool is_plain =
            c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_plain && build->options->name.n > 0)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "--name: expected letters, digits and '_', as C has them, got '%.*s'",
                             TERN_STR_ARG(given));
        name[n++] = is_plain ? c : '_';
    }
    name[n] = '\0';
    build->emit.name = name;
    return TERN_OK;
}

/* ---- which output ---- */

static bool is_number(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_FP32 || dtype == TERN_DTYPE_FP64;
}

static enum tern_code choose_output(struct tern_build_edge *build,
                                    const struct tern_engine_model *engine, struct tern_err *err)
{
    struct tern_str wanted = build->options->answer;

    for (uint32_t i = engine->n_outputs; i-- > 0;) {
        if (wanted.n > 0 ? tern_str_eq(wanted, engine->outputs[i].name)
                         : is_number(engine->outputs[i].dtype) || engine->n_outputs == 1) {
            build->emit.output = i;
            return TERN_OK;
        }
    }
    if (wanted.n == 0)
        return tern_fail(err, TERN_UNIMPLEMENTED, "no output of the model is FP32 or FP64");
    return tern_fail(err, TERN_NOT_FOUND, "the model has no output '%.*s'", TERN_STR_ARG(wanted));
}

/* ---- in order ---- */

/* Compiles in a scratch folder, and runs what came of it. */
static enum tern_code make(struct tern_build_edge *build, struct tern_err *err)
{
    TERN_TRY(tern_native_emit(&build->emit, &build->emitted, &build->source, &build->header, err));
    TERN_TRY(tern_build_edge_compile(build, err));
    build->was_run = build->program != NULL && (!build->is_foreign || build->emulator != NULL);
    if (!build->was_run)
        return TERN_OK;
    const struct tern_edge_check check = {
        .emitted = &build->emitted,
        .rows = &build->rows,
        .program = build->program,
        .folder = build->folder,
        .emulator = build->emulator,
        .arena = build->arena,
    };
    TERN_TRY(tern_edge_check(&check, &build->found, err));
    if (!build->emit.halves && build->found.largest_part > 1e-6)
        return tern_fail(err, TERN_INTERNAL,
                         "what was built answers differently: by %g of a number's size",
                         build->found.largest_part);
    if (!isfinite(build->found.largest))
        return tern_fail(err, TERN_OUT_OF_RANGE,
                         "--values half: the model has values beyond 65504, the largest half");
    return TERN_OK;
}

static enum tern_code make_in_scratch(struct tern_build_edge *build, bool writes,
                                      struct tern_err *err)
{
    char *folder;

    TERN_TRY(tern_scratch_new(&folder, err));
    build->folder = folder;
    enum tern_code code = make(build, err);
    if (code == TERN_OK && writes)
        code = tern_build_edge_write(build, err);
    tern_scratch_free(folder);
    return code;
}

/* The model as it was, for comparison. */
static enum tern_code make_before(struct tern_build_edge *build, struct tern_err *err)
{
    struct tern_build_edge before = *build;

    before.emit.program = build->pruning.original;
    tern_buf_init(&before.source, SOURCE_MAX);
    tern_buf_init(&before.header, 1u << 16);
    enum tern_code code = make_in_scratch(&before, false, err);
    tern_buf_fini(&before.source);
    tern_buf_fini(&before.header);
    build->pruning.has_before = code == TERN_OK;
    build->pruning.emitted = before.emitted;
    build->pruning.found = before.found;
    return code;
}

static enum tern_code prune(struct tern_build_edge *build, const struct tern_model_version *version,
                            struct tern_err *err)
{
    TERN_TRY(tern_build_edge_prune(build, err));
    if (build->pruning.is_asked)
        TERN_TRY(make_before(build, err));
    TERN_TRY(tern_build_edge_answer_again(build, err));
    return build->options->data.n > 0 ? tern_build_edge_compare_data(build, version, err) : TERN_OK;
}

static enum tern_code build_model(struct tern_build_edge *build,
                                  const struct tern_model_version *version, struct tern_err *err)
{
    const struct tern_engine_model *engine = &version->engine;

    if (engine->ops != &tern_native_engine)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "the model is run by %s: only models of the native engine (doc/native.md) "
                         "can stand alone",
                         engine->platform);
    build->emit.program = &((const struct tern_native_model *)engine->state)->program;
    build->emit.title = version->info.name;
    build->emit.version = version->info.version;
    build->emit.rows = (uint32_t)build->options->rows;
    build->emit.halves = build->options->values == TERN_EDGE_VALUES_HALF;
    build->emit.arena = build->arena;
    TERN_TRY(choose_name(build, version->info.name, err));
    TERN_TRY(choose_output(build, engine, err));
    TERN_TRY(tern_build_edge_find_cc(build, err));
    TERN_TRY(tern_native_ports(&build->emit, &build->emitted, err));
    TERN_TRY(tern_edge_rows_make(&build->emit, &build->emitted, ROWS_MAX, &build->rows, err));
    build->emit.samples = build->rows.inputs;
    build->emit.n_samples = build->rows.n;
    TERN_TRY(prune(build, version, err));
    return make_in_scratch(build, true, err);
}

static enum tern_code run(struct tern_build_edge *build, const char *path, struct tern_err *err)
{
    const struct tern_infer_options options = {.model = build->options->model,
                                               .model_version = build->options->model_version};
    struct tern_infer_model model;
    struct tern_buf out;

    TERN_TRY(tern_infer_open_local(path, &options, build->arena, &model, err));
    tern_simd_round_portably();
    enum tern_code code = build_model(build, model.version, err);
    tern_buf_init(&out, REPORT_MAX);
    if (code == TERN_OK) {
        tern_build_edge_print(build, &out);
        fwrite(out.p, 1, out.n, stdout);
    }
    tern_buf_fini(&out);
    model.close(&model);
    return code;
}

int tern_build_edge_run(const struct tern_command_call *call)
{
    struct tern_err err = {.code = TERN_OK};
    struct tern_arena arena;
    struct tern_build_edge build = {.options = call->options, .arena = &arena};

    tern_arena_init(&arena, 1u << 16, ARENA_MAX);
    tern_buf_init(&build.source, SOURCE_MAX);
    tern_buf_init(&build.header, 1u << 16);
    enum tern_code code = run(&build, call->args[0].p, &err);
    if (code != TERN_OK)
        fprintf(stderr, "tern build-edge: %s\n", err.text);
    tern_buf_fini(&build.source);
    tern_buf_fini(&build.header);
    tern_arena_fini(&arena);
    return code == TERN_OK ? TERN_EXIT_OK : TERN_EXIT_FAILED;
}
