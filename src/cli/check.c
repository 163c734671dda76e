#include "cli/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/check_ensembles.h"
#include "cli/convert.h"
#include "cli/offline.h"
#include "cli/serve_int.h"
#include "cli/table.h"
#include "conf/server_options.h"
#include "engine/engines.h"
#include "engine/native/native.h"
#include "os/file.h"
#include "registry/engine_choice.h"
#include "registry/model_config.h"
#include "registry/version.h"

#define ARENA_MAX   ((size_t)1 << 30)
#define OUTPUT_MAX  (64u << 20)
#define NAMES_SHOWN 12

struct check {
    const struct tern_server_options *options;
    bool loads; /* the models too, not only their configurations */
    struct tern_arena arena;
    struct tern_offline offline;
    struct tern_found found;
    struct tern_check_ensembles ensembles;
    struct tern_table table;
    struct tern_buf notes;     /* lines: what is good to know */
    struct tern_buf mistakes;  /* lines */
    struct tern_err no_engine; /* said once, with how many models it keeps from us */
    uint32_t n_no_engine;
    uint32_t n_models, n_versions, n_bad; /* checked; models with a mistake */
    bool colour;
};

/* ---- mistakes ---- */

static void add_mistake(struct check *check, const char *place, const char *text)
{
    tern_buf_printf(&check->mistakes, "%s: %s\n", place, text);
}

/* The list's places start with the name of the model's folder: what stands before it is added. */
static void add_problems(struct check *check, const char *folder,
                         const struct tern_problems *problems)
{
    struct tern_str name = tern_file_base_name(folder);
    struct tern_str parent = tern_str_make(folder, (size_t)(name.p - folder));

    for (uint32_t i = 0; i < problems->n; i++) {
        const struct tern_problem *row = &problems->rows[i];
        tern_buf_printf(&check->mistakes, "%.*s%.*s: %.*s\n", TERN_STR_ARG(parent),
                        TERN_STR_ARG(row->place), TERN_STR_ARG(row->text));
    }
    if (problems->n_dropped > 0)
        tern_buf_printf(&check->mistakes, "%s: and %u more\n", folder, problems->n_dropped);
}

/* ---- the table ---- */

static void add_specs(struct check *check, const struct tern_tensor_spec *specs, uint32_t n)
{
    struct tern_buf text;
    char shape[160];

    tern_buf_init(&text, 1u << 16);
    for (uint32_t i = 0; i < n; i++)
        tern_buf_printf(&text, "%s%.*s %s %s", i > 0 ? ", " : "", TERN_STR_ARG(specs[i].name),
                        tern_dtype_name(specs[i].dtype),
                        tern_shape_print(&specs[i].shape, shape, sizeof(shape)));
    tern_table_cell(&check->table, TERN_TONE_PLAIN, "%.*s", TERN_STR_ARG(tern_buf_str(&text)));
    tern_buf_fini(&text);
}

/* "iris: features sepal length, sepal width, ...": what the model's files call things. */
static void note_names(struct check *check, struct tern_str model, const char *what,
                       const struct tern_str *names, uint32_t n)
{
    if (n == 0)
        return;
    tern_buf_printf(&check->notes, "%.*s: %s", TERN_STR_ARG(model), what);
    for (uint32_t i = 0; i < n && i < NAMES_SHOWN; i++)
        tern_buf_printf(&check->notes, "%s%.*s", i == 0 ? " " : ", ", TERN_STR_ARG(names[i]));
    if (n > NAMES_SHOWN)
        tern_buf_printf(&check->notes, " and %u more", n - NAMES_SHOWN);
    tern_buf_add_char(&check->notes, '\n');
}

static void note_all_names(struct check *check, const struct tern_model_info *info)
{
    char what[160];

    note_names(check, info->name, "features", info->feature_names, info->n_feature_names);
    for (uint32_t i = 0; info->labels != NULL && i < info->n_outputs; i++) {
        snprintf(what, sizeof(what), "classes of %.*s", TERN_STR_ARG(info->outputs[i].name));
        note_names(check, info->name, what, info->labels[i].rows, info->labels[i].n);
    }
}

static void add_row(struct check *check, const struct tern_found_model *model,
                    const struct tern_found_version *number, bool good,
                    const struct tern_model_version *version)
{
    tern_table_row(&check->table);
    tern_table_cell(&check->table, TERN_TONE_STRONG, "%.*s", TERN_STR_ARG(model->name));
    if (number != NULL)
        tern_table_cell(&check->table, TERN_TONE_PLAIN, "%" PRId64, number->number);
    else
        tern_table_cell(&check->table, TERN_TONE_PLAIN, "-");
    tern_table_cell(&check->table, good ? TERN_TONE_GOOD : TERN_TONE_BAD, "%s",
                    good ? "ok" : "wrong");
    if (version == NULL)
        return;
    tern_table_cell(
        &check->table, TERN_TONE_PLAIN, "%.*s",
        TERN_STR_ARG(version->ensembling != NULL ? version->info.platform : version->info.backend));
    if (version->declined.n > 0)
        tern_buf_printf(&check->notes, "%.*s runs in %.*s: %.*s\n", TERN_STR_ARG(model->name),
                        TERN_STR_ARG(version->info.backend), TERN_STR_ARG(version->declined));
    note_all_names(check, &version->info);
    add_specs(check, version->info.inputs, version->info.n_inputs);
    add_specs(check, version->info.outputs, version->info.n_outputs);
    tern_table_cell(&check->table, TERN_TONE_PLAIN, "%.*s", TERN_STR_ARG(version->batches));
}

/* ---- ensembles ---- */

/* What a row is about, until it is known. */
struct subject {
    const struct tern_found_model *model;
    const struct tern_found_version *number;
};

/* It is loaded; whether it can be served depends on its steps, which may come after it. */
static void postpone(struct check *check, const struct tern_found_model *model,
                     const struct tern_found_version *number, struct tern_model_version *version)
{
    struct subject *subject = tern_arena_zalloc(&check->arena, 1, sizeof(*subject));

    if (subject != NULL)
        *subject = (struct subject){model, number};
    tern_check_ensembles_add(&check->ensembles, version, subject);
}

static void check_ensembles(struct check *check)
{
    const struct tern_model_version *version;
    const void *about;
    struct tern_err err;

    while ((version = tern_check_ensembles_next(&check->ensembles, &about, &err)) != NULL) {
        const struct subject *subject = about;
        bool good = err.code == TERN_OK;
        if (subject == NULL)
            continue;
        add_row(check, subject->model, subject->number, good, version);
        if (good)
            continue;
        add_mistake(check, subject->model->folder, err.text);
        check->n_bad++;
    }
    tern_check_ensembles_fini(&check->ensembles);
}

/* ---- one model ---- */

/* What the configuration and the model's file disagree on, all of it: the loader stops at the
 * first. Nothing is added when the trouble is elsewhere. */
static void list_disagreements(struct check *check, const struct tern_found_model *model,
                               const struct tern_found_version *number,
                               struct tern_model_config *config, struct tern_problems *problems)
{
    const struct tern_engine_ops *engine;
    struct tern_engine_choice choice;
    struct tern_engine_model loaded = {.ops = NULL};
    struct tern_model_config_specs specs;
    const char *file;

    if (tern_repository_model_file(number->path, config->default_model_filename,
                                   &check->offline.settings.engines, &check->arena, &file, &engine,
                                   NULL) != TERN_OK)
        return;
    if (engine->check != NULL) {
        engine->check(file, &check->arena, problems);
        return;
    }
    tern_engine_choice_make(file, config->backend.n > 0 ? config->backend : config->platform,
                            &check->offline.settings.engines, &choice);
    const struct tern_engine_load load = {.name = model->name,
                                          .path = file,
                                          .options = config->options,
                                          .n_options = config->n_options,
                                          .threads = 1};
    uint32_t i = 0;
    while (i < choice.n && choice.rows[i]->load(&load, &check->arena, &loaded, NULL) != TERN_OK)
        i++;
    if (i == choice.n)
        return;
    const struct tern_model_config_subject subject = {
        .name = model->name, .folder = model->folder, .model = &loaded};
    tern_model_config_complete(config, &check->offline.settings.config, &subject, &check->arena,
                               &specs, problems);
    choice.rows[i]->unload(&loaded);
}

/* Whether it is the engine that is not there: the same for all of its models. */
static bool lacks_engine(struct check *check, const struct tern_err *err)
{
    struct tern_err why;

    for (uint32_t i = 0; i < tern_engines_count; i++) {
        if (tern_engines[i]->available(&why) != TERN_OK && strcmp(why.text, err->text) == 0) {
            check->no_engine = why;
            check->n_no_engine++;
            return true;
        }
    }
    return false;
}

static bool check_version(struct check *check, const struct tern_found_model *model,
                          const struct tern_found_version *number, struct tern_model_config *config)
{
    const struct tern_version_load load = {
        .name = model->name,
        .number = number->number,
        .path = number->path,
        .folder = model->folder,
        .fingerprint = number->fingerprint,
        .settings = &check->offline.settings,
    };
    struct tern_model_version *version = NULL;
    struct tern_problems problems;
    struct tern_err err;

    check->n_versions++;
    if (!check->loads) {
        add_row(check, model, number, true, NULL);
        return true;
    }
    if (tern_version_load(&load, &version, &err) == TERN_OK) {
        if (version->ensembling != NULL) {
            postpone(check, model, number, version);
            return true;
        }
        add_row(check, model, number, true, version);
        tern_check_ensembles_add(&check->ensembles, version, NULL);
        return true;
    }
    add_row(check, model, number, false, NULL);
    if (lacks_engine(check, &err))
        return false;
    tern_problem_init(&problems, &check->arena);
    if (model->folder != NULL)
        list_disagreements(check, model, number, config, &problems);
    if (tern_problem_any(&problems))
        add_problems(check, model->folder, &problems);
    else
        add_mistake(check, number->path, err.text);
    return false;
}

/* Whether nothing is wrong with it. */
static bool check_model(struct check *check, const struct tern_found_model *model)
{
    struct tern_model_config config;
    struct tern_problems problems;
    struct tern_err err;
    bool *served = NULL;
    uint32_t n = 0;
    bool good = true;

    const char *where =
        model->folder != NULL ? model->folder : tern_arena_copy(&check->arena, model->name).p;
    if (model->problem.code != TERN_OK) {
        add_row(check, model, NULL, false, NULL);
        add_mistake(check, where, model->problem.text);
        return false;
    }
    tern_problem_init(&problems, &check->arena);
    const struct tern_model_config_source source = {.folder = model->folder,
                                                    .name = check->offline.settings.config.name};
    tern_model_config_load(&source, &check->arena, &config, &problems);
    if (tern_problem_any(&problems)) {
        add_row(check, model, NULL, false, NULL);
        add_problems(check, where, &problems);
        return false;
    }
    if (tern_offline_choose(&check->offline, model, &check->arena, &served, &n, &err) != TERN_OK ||
        n == 0) {
        add_row(check, model, NULL, false, NULL);
        add_mistake(check, where,
                    n == 0 ? "the version_policy chooses no version that is there" : err.text);
        return false;
    }
    for (uint32_t i = 0; i < model->n_versions; i++) {
        if (served[i] && !check_version(check, model, &model->versions[i], &config))
            good = false;
    }
    return good;
}

/* ---- all of them ---- */

/* All paths together: a model that stands in two of them is a mistake. */
static enum tern_code check_paths(struct check *check, const struct tern_command_call *call,
                                  struct tern_err *err)
{
    const char **paths = tern_arena_zalloc(&check->arena, call->n_args, sizeof(char *));

    if (paths == NULL)
        return tern_arena_fail(&check->arena, err, "the paths");
    for (uint32_t i = 0; i < call->n_args; i++)
        paths[i] = call->args[i].p;
    TERN_TRY(tern_offline_init(&check->offline, paths[0], check->options->onnxruntime.library,
                               &check->options->model.policy, err));
    tern_native_configure(&(struct tern_native_config){.runs_onnx = check->options->native.onnx ==
                                                                    TERN_NATIVE_ONNX_AUTO});
    check->offline.settings.config = serve_config_settings(check->options);
    TERN_TRY(tern_repository_scan(paths, call->n_args, &check->offline.settings.engines,
                                  &check->arena, &check->found, err));
    if (check->found.n_models == 0)
        return tern_fail(err, TERN_NOT_FOUND,
                         "%s: no model in it; expected <model>/<version>/model.onnx", paths[0]);
    tern_check_ensembles_init(&check->ensembles, &check->found, &check->offline.settings,
                              &check->arena);
    for (uint32_t i = 0; i < check->found.n_models; i++) {
        check->n_models++;
        check->n_bad += !check_model(check, &check->found.models[i]);
    }
    check_ensembles(check);
    return TERN_OK;
}

static void print(struct check *check)
{
    enum tern_table_tone tone = check->n_bad > 0 ? TERN_TONE_BAD : TERN_TONE_GOOD;
    struct tern_buf out;

    tern_buf_init(&out, OUTPUT_MAX);
    tern_table_print(&check->table, 0, check->colour, &out);
    tern_buf_add_char(&out, '\n');
    tern_buf_add_str(&out, tern_buf_str(&check->notes));
    tern_buf_add_str(&out, tern_buf_str(&check->mistakes));
    if (check->n_no_engine > 0)
        tern_buf_printf(&out, "%u not loaded: %s\n", check->n_no_engine, check->no_engine.text);
    tern_buf_add_str(&out, tern_str_of(tern_table_begin(tone, check->colour)));
    if (check->n_bad > 0)
        tern_buf_printf(&out, "%u of %u models cannot be served as they are", check->n_bad,
                        check->n_models);
    else
        tern_buf_printf(&out, "%u models, %u versions: nothing is wrong", check->n_models,
                        check->n_versions);
    tern_buf_add_str(&out, tern_str_of(tern_table_end(tone, check->colour)));
    tern_buf_add_char(&out, '\n');
    fwrite(out.p, 1, out.n, stdout);
    tern_buf_fini(&out);
}

static void init_table(struct check *check)
{
    tern_table_init(&check->table, &check->arena);
    tern_table_column(&check->table, "model", false);
    tern_table_column(&check->table, "version", true);
    tern_table_column(&check->table, "", false);
    tern_table_column(&check->table, "engine", false);
    tern_table_column(&check->table, "inputs", false);
    tern_table_column(&check->table, "outputs", false);
    tern_table_column(&check->table, "batches", false);
}

static int check_all(const struct tern_command_call *call, const struct tern_check_options *options)
{
    struct tern_err err;
    int exit_code = TERN_EXIT_FAILED;

    if (call->n_args == 0) {
        puts("The options: nothing is wrong. Give a PATH to check models too.");
        return TERN_EXIT_OK;
    }
    struct check *check = tern_mem_zalloc(1, sizeof(*check));
    if (check == NULL) {
        fprintf(stderr, "tern check: no memory\n");
        return TERN_EXIT_FAILED;
    }
    check->options = &options->server;
    check->loads = options->load;
    check->colour = tern_table_colour(STDOUT_FILENO);
    tern_arena_init(&check->arena, 1u << 16, ARENA_MAX);
    tern_buf_init(&check->notes, OUTPUT_MAX / 4);
    tern_buf_init(&check->mistakes, OUTPUT_MAX / 4);
    init_table(check);
    if (check_paths(check, call, &err) != TERN_OK) {
        fprintf(stderr, "tern check: %s\n", err.text);
    } else {
        print(check);
        exit_code = check->n_bad > 0 ? TERN_EXIT_FAILED : TERN_EXIT_OK;
    }
    tern_engines_close();
    tern_buf_fini(&check->notes);
    tern_buf_fini(&check->mistakes);
    tern_arena_fini(&check->arena);
    tern_mem_free(check);
    return exit_code;
}

int tern_check_run(const struct tern_command_call *call)
{
    const struct tern_check_options *options = call->options;

    if (call->n_args > 1 && options->convert != TERN_CONVERT_NONE) {
        fprintf(stderr, "tern check: --convert takes one PATH\n");
        return TERN_EXIT_USAGE;
    }
    if (call->n_args > 0 && options->convert != TERN_CONVERT_NONE)
        return tern_convert_run(options, call->args[0].p);
    return check_all(call, options);
}
