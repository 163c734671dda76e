#include "cli/convert.h"

#include <stdio.h>
#include "base/mem.h"
#include "cli/commands.h"
#include "engine/engines.h"
#include "os/file.h"
#include "registry/model_config.h"
#include "registry/model_schema.h"
#include "registry/repository.h"

#define ARENA_MAX  ((size_t)1 << 28)
#define OUTPUT_MAX (16u << 20)

static enum tern_code read_file(const char *path, struct tern_arena *arena,
                                struct tern_model_config *ret, struct tern_problems *problems,
                                struct tern_err *err)
{
    char *bytes;
    size_t n;

    TERN_TRY(tern_file_read(path, TERN_MODEL_CONFIG_FILE_MAX, 0, &bytes, &n, err));
    struct tern_str text = tern_arena_copy(arena, tern_str_make(bytes, n));
    tern_mem_free(bytes);
    if (text.p == NULL)
        return tern_arena_fail(arena, err, path);
    tern_model_config_parse(text, tern_str_of(path), arena, ret, problems);
    return TERN_OK;
}

static enum tern_code read_model(const struct tern_check_options *options, const char *path,
                                 struct tern_arena *arena, struct tern_model_config *ret,
                                 struct tern_problems *problems, struct tern_err *err)
{
    const struct tern_engine_set engines = {tern_engines, tern_engines_count};
    struct tern_found found;

    TERN_TRY(tern_repository_scan(&path, 1, &engines, arena, &found, err));
    if (found.n_models != 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "%s: expected the folder of one model or a configuration file; it holds "
                         "%u models",
                         path, found.n_models);
    const struct tern_model_config_source source = {.folder = found.models[0].folder,
                                                    .name = options->server.model.config_name,
                                                    .only_read = true};
    tern_model_config_load(&source, arena, ret, problems);
    if (ret->file.n == 0 && !tern_problem_any(problems))
        return tern_fail(err, TERN_NOT_FOUND,
                         "%s: the model has no configuration file. It needs none: `tern models "
                         "--show-config` prints what a server makes of it",
                         path);
    return TERN_OK;
}

static bool is_config_name(struct tern_str name)
{
    return tern_str_ends(name, TERN_STR(".pbtxt")) || tern_str_ends(name, TERN_STR(".yaml")) ||
           tern_str_ends(name, TERN_STR(".json"));
}

/* Into `out`: the configuration, or the mistakes. */
static enum tern_code convert(const struct tern_check_options *options, const char *path,
                              struct tern_arena *arena, struct tern_buf *out, struct tern_err *err)
{
    static const enum tern_schema_form forms[] = {
        [TERN_CONVERT_NONE] = TERN_SCHEMA_FORM_PBTXT,
        [TERN_CONVERT_PBTXT] = TERN_SCHEMA_FORM_PBTXT,
        [TERN_CONVERT_YAML] = TERN_SCHEMA_FORM_YAML,
        [TERN_CONVERT_JSON] = TERN_SCHEMA_FORM_JSON,
    };
    struct tern_model_config config;
    struct tern_problems problems;

    tern_problem_init(&problems, arena);
    if (is_config_name(tern_file_base_name(path)))
        TERN_TRY(read_file(path, arena, &config, &problems, err));
    else
        TERN_TRY(read_model(options, path, arena, &config, &problems, err));
    if (tern_problem_any(&problems)) {
        tern_problem_print(&problems, out);
        return tern_problem_fail(&problems, err);
    }
    tern_model_schema_write(forms[options->convert], config.tree, out);
    return tern_buf_check(out, "the configuration", err);
}

int tern_convert_run(const struct tern_check_options *options, const char *path)
{
    struct tern_arena arena;
    struct tern_buf out;
    struct tern_err err;

    tern_arena_init(&arena, 1u << 16, ARENA_MAX);
    tern_buf_init(&out, OUTPUT_MAX);
    enum tern_code code = convert(options, path, &arena, &out, &err);
    if (out.n > 0)
        fwrite(out.p, 1, out.n, code == TERN_OK ? stdout : stderr);
    else if (code != TERN_OK)
        fprintf(stderr, "tern check: %s\n", err.text);
    tern_buf_fini(&out);
    tern_arena_fini(&arena);
    return code == TERN_OK ? TERN_EXIT_OK : TERN_EXIT_FAILED;
}
