#include "cli/explain.h"

#include <stdio.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/place.h"
#include "cli/table.h"
#include "simd/simd.h"

#define ARENA_MAX  ((size_t)4 << 30)
#define OUTPUT_MAX ((size_t)2 << 30)

struct explain {
    struct tern_explain_options options;
    struct tern_place place;
    struct tern_arena arena; /* of the model */
    struct tern_arena work;  /* rows and answers, which may be the engine's memory: goes first */
    struct tern_infer_model model;
    bool is_open;
};

static enum tern_code open_model(struct explain *explain, struct tern_err *err)
{
    const struct tern_explain_options *o = &explain->options;
    const struct tern_infer_options options = {.url = explain->place.url,
                                               .timeout_ns = o->timeout_ns,
                                               .model = o->model,
                                               .model_version = o->model_version,
                                               .library = o->library};

    if (explain->place.path != NULL)
        TERN_TRY(tern_infer_open_local(explain->place.path, &options, &explain->arena,
                                       &explain->model, err));
    else
        TERN_TRY(tern_infer_open_remote(explain->place.url, &options, &explain->arena,
                                        &explain->model, err));
    explain->is_open = true;
    return TERN_OK;
}

static enum tern_code ask(struct explain *explain, const struct tern_rows *rows,
                          struct tern_explain_answer *ret, struct tern_err *err)
{
    const struct tern_explain_options *options = &explain->options;
    struct tern_explain_question question = {
        .options = options, .model = &explain->model, .rows = rows, .arena = &explain->work};
    struct tern_rows background;

    if (options->background.n > 0 && !tern_str_eq(options->background, TERN_STR("zeros"))) {
        enum tern_code code = tern_rows_read(options->background.p, &explain->model.info,
                                             &explain->work, &background, err);
        if (code != TERN_OK) {
            tern_err_prefix(err, "the background");
            return code;
        }
        question.background = background.inputs;
    }
    return explain->model.version != NULL ? tern_explain_ask_local(&question, ret, err)
                                          : tern_explain_ask_remote(&question, ret, err);
}

static enum tern_code print(struct explain *explain, const struct tern_rows *rows,
                            const struct tern_explain_answer *answer, struct tern_err *err)
{
    const struct tern_explain_report report = {
        .options = &explain->options,
        .info = &explain->model.info,
        .rows = rows,
        .answer = answer,
        .arena = &explain->work,
        .colour = tern_table_colour(STDOUT_FILENO),
    };
    enum tern_code code = TERN_OK;
    struct tern_buf out;

    tern_buf_init(&out, OUTPUT_MAX);
    if (explain->options.form == TERN_OUTPUT_FORM_JSON || answer->interactions != NULL)
        tern_explain_print_json(&report, &out);
    else
        code = tern_explain_print(&report, &out, err);
    if (code == TERN_OK)
        code = tern_buf_check(&out, "the output", err);
    if (code == TERN_OK && (fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout) != 0))
        code = tern_fail(err, TERN_UNAVAILABLE, "the output cannot be written");
    tern_buf_fini(&out);
    return code;
}

static enum tern_code run(struct explain *explain, const struct tern_command_call *call,
                          int *ret_exit, struct tern_err *err)
{
    struct tern_explain_options *options = &explain->options;
    struct tern_explain_answer answer;
    struct tern_rows rows;

    explain->place = (struct tern_place){.url = options->url,
                                         .data = options->data.n > 0 ? options->data.p : NULL};
    TERN_TRY(tern_place_find(call, &options->model, &explain->place, err));
    *ret_exit = TERN_EXIT_FAILED;
    TERN_TRY(open_model(explain, err));
    TERN_TRY(tern_rows_read(explain->place.data == NULL ? "-" : explain->place.data,
                            &explain->model.info, &explain->work, &rows, err));
    TERN_TRY(ask(explain, &rows, &answer, err));
    TERN_TRY(print(explain, &rows, &answer, err));
    *ret_exit = TERN_EXIT_OK;
    return TERN_OK;
}

static void tell(const struct explain *explain, const struct tern_err *err)
{
    fprintf(stderr, "tern explain: %s\n", err->text);
    if (!explain->model.unreachable)
        return;
    fprintf(stderr,
            "Is the server running? `tern serve PATH` starts one; --url says where it is.\n");
    if (explain->place.named)
        fprintf(stderr, "There is no file or folder '%.*s' to run without a server.\n",
                TERN_STR_ARG(explain->options.model));
}

int tern_explain_run(const struct tern_command_call *call)
{
    struct tern_err err = {.code = TERN_OK};
    int exit_code = TERN_EXIT_USAGE;
    struct explain *explain = tern_mem_zalloc(1, sizeof(*explain));

    if (explain == NULL) {
        fprintf(stderr, "tern explain: no memory\n");
        return TERN_EXIT_FAILED;
    }
    tern_simd_init();
    explain->options = *(const struct tern_explain_options *)call->options;
    tern_arena_init(&explain->arena, 1u << 12, ARENA_MAX);
    tern_arena_init(&explain->work, 1u << 16, ARENA_MAX);
    if (run(explain, call, &exit_code, &err) != TERN_OK) {
        tell(explain, &err);
        if (explain->model.unreachable)
            exit_code = TERN_EXIT_UNREACHABLE;
    }
    tern_arena_fini(&explain->work);
    if (explain->is_open)
        explain->model.close(&explain->model);
    tern_arena_fini(&explain->arena);
    tern_mem_free(explain);
    return exit_code;
}
