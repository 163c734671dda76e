/* What a LOAD command brings: a configuration, and with it perhaps the model's files. They are
 * checked here, on the control thread, before anything that is served is touched. */
#include "base/mem.h"
#include "base/num.h"
#include "os/file.h"
#include "os/scratch.h"
#include "registry/registry_int.h"

#define CHECK_MEMORY_MAX (64u << 20)
#define FILES_MAX        256

/* ---- checks ---- */

static enum tern_code check_config(struct tern_str config, struct tern_err *err)
{
    const struct tern_model_config_source source = {.text = config};
    struct tern_model_config read;
    struct tern_problems problems;
    struct tern_arena arena;

    if (config.p == NULL)
        return tern_fail(
            err, TERN_INVALID_ARGUMENT,
            "files are taken together with a 'config' only, so that nobody forgets that "
            "the repository's folder is not used");
    if (config.n > TERN_MODEL_CONFIG_FILE_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Invalid config override: it has %zu bytes, at most %u are read", config.n,
                         TERN_MODEL_CONFIG_FILE_MAX);
    tern_arena_init(&arena, 4096, CHECK_MEMORY_MAX);
    tern_problem_init(&problems, &arena);
    tern_model_config_load(&source, &arena, &read, &problems);
    enum tern_code code = TERN_OK;
    if (tern_problem_fail(&problems, err) != TERN_OK) {
        tern_err_prefix(err, "Invalid config override");
        code = err->code = TERN_INVALID_ARGUMENT;
    }
    tern_arena_fini(&arena);
    return code;
}

/* "1/model.onnx", "12/data/weights.bin", or a file beside the versions: "labels.txt". */
static enum tern_code check_file(struct tern_str path, struct tern_err *err)
{
    struct tern_str rest = path, first;
    uint64_t version;

    if (!tern_scratch_is_inside(path))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "file '%.*s': expected <version>/<name>, a path below the model's folder",
                         (int)(path.n > 100 ? 100 : path.n), path.n == 0 ? "" : path.p);
    bool in_folder = tern_str_split(&rest, '/', &first) && first.n < path.n;
    if (in_folder && (first.p[0] == '0' || !tern_num_parse_u64(first, INT64_MAX, &version)))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "file '%.*s': the folder of a version is a decimal number, got '%.*s'",
                         TERN_STR_ARG(path), TERN_STR_ARG(first));
    if (!in_folder && tern_str_starts(path, TERN_STR("config.")))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "file '%.*s': the configuration is given by 'config'", TERN_STR_ARG(path));
    return TERN_OK;
}

/* ---- making ---- */

static enum tern_code write_files(struct registry_override *override,
                                  const struct tern_registry_command *command, struct tern_err *err)
{
    struct tern_arena arena;
    enum tern_code code = tern_scratch_new(&override->scratch, err);

    tern_arena_init(&arena, 4096, 1u << 20);
    for (uint32_t i = 0; i < command->n_files && code == TERN_OK; i++) {
        const struct tern_registry_file *file = &command->files[i];
        struct tern_str name =
            tern_arena_printf(&arena, "%s/%.*s", command->name, TERN_STR_ARG(file->path));
        code = name.p == NULL ? tern_arena_fail(&arena, err, "the name of a file")
                              : tern_scratch_write(override->scratch, name, file->bytes, err);
        if (code != TERN_OK)
            tern_err_prefix(err, "file '%.*s'", TERN_STR_ARG(file->path));
    }
    if (code == TERN_OK) {
        const char *folder = tern_file_join(&arena, override->scratch, tern_str_of(command->name));
        override->folder = folder == NULL ? NULL : tern_mem_strdup(tern_str_of(folder));
        if (override->folder == NULL)
            code = tern_mem_fail(err, "the files", 0);
    }
    tern_arena_fini(&arena);
    return code;
}

enum tern_code registry_override_new(struct tern_registry *registry,
                                     const struct tern_registry_command *command,
                                     struct registry_override **ret_override, struct tern_err *err)
{
    struct registry_override *override;
    enum tern_code code = TERN_OK;

    TERN_TRY(check_config(command->config, err));
    if (command->n_files > FILES_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%u files: at most %d are taken",
                         command->n_files, FILES_MAX);
    for (uint32_t i = 0; i < command->n_files; i++)
        TERN_TRY(check_file(command->files[i].path, err));
    override = tern_mem_zalloc(1, sizeof(*override));
    if (override == NULL)
        return tern_mem_fail(err, "a configuration", sizeof(*override));
    override->holders = 1;
    override->id = ++registry->last_override_id;
    override->config = tern_str_make(tern_mem_strdup(command->config), command->config.n);
    if (override->config.p == NULL)
        code = tern_mem_fail(err, "a configuration", command->config.n);
    if (code == TERN_OK && command->n_files > 0)
        code = write_files(override, command, err);
    if (code != TERN_OK) {
        registry_override_drop(override);
        return code;
    }
    *ret_override = override;
    return TERN_OK;
}

/* ---- holding ---- */

struct registry_override *registry_override_hold(struct registry_override *override)
{
    if (override != NULL)
        override->holders++;
    return override;
}

void registry_override_drop(struct registry_override *override)
{
    if (override == NULL || --override->holders > 0)
        return;
    tern_scratch_free(override->scratch);
    tern_mem_free(override->folder);
    tern_mem_free((char *)(uintptr_t) override->config.p);
    tern_mem_free(override);
}
