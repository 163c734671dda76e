#include "registry/repository.h"

#include <string.h>
#include "base/hash.h"
#include "base/num.h"
#include "core/model.h"
#include "os/file.h"
#include "registry/mlserver_settings.h"

#define HEAD_BYTES 64

static const char *const config_names[] = {"config.pbtxt", "config.yaml", "config.json",
                                           TERN_MLSERVER_SETTINGS_FILE};

/* ---- fingerprints ---- */

static uint64_t mix(uint64_t hash, struct tern_str name, const struct tern_file_info *info)
{
    uint64_t facts[3] = {info->size, info->mtime_ns, info->inode};
    hash = tern_hash_bytes(name, hash);
    return tern_hash_bytes(tern_str_make((const char *)facts, sizeof(facts)), hash);
}

static enum tern_code mix_folder(const char *folder, struct tern_arena *arena, uint64_t *hash,
                                 struct tern_err *err)
{
    struct tern_file_names names;

    TERN_TRY(tern_file_list(folder, TERN_REPOSITORY_VERSIONS_MAX, arena, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        struct tern_file_info info;
        const char *path = tern_file_join(arena, folder, names.rows[i]);
        if (path == NULL)
            return tern_arena_fail(arena, err, "a path");
        TERN_TRY(tern_file_stat(path, &info, err));
        *hash = mix(*hash, names.rows[i], &info);
    }
    return TERN_OK;
}

static enum tern_code mix_version(const char *version_path, const char *model_folder,
                                  struct tern_arena *arena, uint64_t *hash, struct tern_err *err)
{
    struct tern_file_info info;

    TERN_TRY(tern_file_stat(version_path, &info, err));
    if (info.is_folder)
        TERN_TRY(mix_folder(version_path, arena, hash, err));
    else
        *hash = mix(*hash, tern_file_base_name(version_path), &info);
    for (size_t i = 0; model_folder != NULL && i < TERN_COUNT_OF(config_names); i++) {
        struct tern_str name = tern_str_of(config_names[i]);
        const char *path = tern_file_join(arena, model_folder, name);
        if (path != NULL && tern_file_stat(path, &info, NULL) == TERN_OK)
            *hash = mix(*hash, name, &info);
    }
    const char *configs =
        model_folder == NULL ? NULL : tern_file_join(arena, model_folder, TERN_STR("configs"));
    if (configs != NULL && tern_file_stat(configs, &info, NULL) == TERN_OK && info.is_folder)
        return mix_folder(configs, arena, hash, err);
    return TERN_OK;
}

enum tern_code tern_repository_fingerprint(const char *version_path, const char *model_folder,
                                           uint64_t *ret_fingerprint, struct tern_err *err)
{
    struct tern_arena arena;
    uint64_t hash = 0;

    tern_arena_init(&arena, 4096, 1u << 24);
    enum tern_code code = mix_version(version_path, model_folder, &arena, &hash, err);
    tern_arena_fini(&arena);
    TERN_TRY(code);
    *ret_fingerprint = hash;
    return TERN_OK;
}

/* ---- which file is a model ---- */

static const struct tern_engine_ops *engine_for(const struct tern_engine_set *engines,
                                                const char *path)
{
    char head[HEAD_BYTES];
    size_t n = 0;
    const struct tern_engine_ops *best = NULL;
    int best_score = 0;

    if (tern_file_head(path, head, sizeof(head), &n, NULL) != TERN_OK)
        n = 0;
    struct tern_str base = tern_file_base_name(path);
    for (uint32_t i = 0; i < engines->n; i++) {
        int score = engines->rows[i]->probe(base.p, tern_str_make(head, n));
        if (score > best_score) {
            best = engines->rows[i];
            best_score = score;
        }
    }
    return best;
}

/* By name only: listing a repository opens no file. */
static bool has_model_name(const struct tern_engine_set *engines, struct tern_str name)
{
    for (uint32_t i = 0; i < engines->n; i++) {
        if (engines->rows[i]->probe(name.p, tern_str_make(NULL, 0)) > 0)
            return true;
    }
    return false;
}

/* The name an engine looks for ("model.onnx"), else the only file that any engine would take. */
static const char *pick_file(const struct tern_file_names *names,
                             const struct tern_engine_set *engines)
{
    const char *only = NULL;
    size_t candidates = 0;

    for (uint32_t e = 0; e < engines->n; e++) {
        for (const char *const *wanted = engines->rows[e]->file_names; *wanted != NULL; wanted++) {
            for (size_t i = 0; i < names->n; i++) {
                if (tern_str_eq(names->rows[i], tern_str_of(*wanted)))
                    return names->rows[i].p;
            }
        }
    }
    for (size_t i = 0; i < names->n; i++) {
        if (has_model_name(engines, names->rows[i])) {
            only = names->rows[i].p;
            candidates++;
        }
    }
    return candidates == 1 ? only : NULL;
}

/* Where no name says it: the only file whose first bytes an engine knows. Files are opened, so this
 * is for one version and not for listing a repository. */
static const char *pick_by_head(const char *folder, const struct tern_file_names *names,
                                const struct tern_engine_set *engines, struct tern_arena *arena)
{
    const char *only = NULL;
    size_t candidates = 0;

    for (size_t i = 0; i < names->n; i++) {
        const char *path = tern_file_join(arena, folder, names->rows[i]);
        if (path != NULL && names->rows[i].p[0] != '.' && engine_for(engines, path) != NULL) {
            only = names->rows[i].p;
            candidates++;
        }
    }
    return candidates == 1 ? only : NULL;
}

enum tern_code tern_repository_model_file(const char *version_path, struct tern_str wanted,
                                          const struct tern_engine_set *engines,
                                          struct tern_arena *arena, const char **ret_path,
                                          const struct tern_engine_ops **ret_engine,
                                          struct tern_err *err)
{
    struct tern_file_info info;
    const char *path = version_path;

    TERN_TRY(tern_file_stat(version_path, &info, err));
    if (info.is_folder) {
        struct tern_file_names names;
        TERN_TRY(tern_file_list(version_path, TERN_REPOSITORY_VERSIONS_MAX, arena, &names, err));
        const char *name = wanted.n > 0 ? wanted.p : pick_file(&names, engines);
        if (name == NULL)
            name = pick_by_head(version_path, &names, engines, arena);
        if (name == NULL)
            return tern_fail(err, TERN_NOT_FOUND,
                             "no model file is there, or several and no default_model_filename "
                             "says which (expected one such as model.onnx, xgboost.ubj or "
                             "model.txt)");
        path = tern_file_join(arena, version_path, tern_str_of(name));
        if (path == NULL)
            return tern_arena_fail(arena, err, "a path");
        TERN_TRY(tern_file_stat(path, &info, err));
    }
    const struct tern_engine_ops *engine = engine_for(engines, path);
    if (engine == NULL)
        return tern_fail(err, TERN_UNIMPLEMENTED, "no engine takes the file '%.*s'",
                         TERN_STR_ARG(tern_file_base_name(path)));
    *ret_path = path;
    *ret_engine = engine;
    return TERN_OK;
}

const struct tern_engine_ops *tern_repository_fileless(struct tern_str backend,
                                                       const struct tern_engine_set *engines)
{
    for (uint32_t i = 0; i < engines->n; i++) {
        if (engines->rows[i]->fileless && tern_str_eq(backend, tern_str_of(engines->rows[i]->name)))
            return engines->rows[i];
    }
    return NULL;
}

/* ---- scanning ---- */

struct scan {
    const struct tern_engine_set *engines;
    struct tern_arena *arena;
};

static bool is_version_name(struct tern_str name, int64_t *ret_number)
{
    uint64_t number;

    if (name.n == 0 || name.p[0] == '0' || !tern_num_parse_u64(name, INT64_MAX, &number))
        return false;
    *ret_number = (int64_t)number;
    return true;
}

static void sort_versions(struct tern_found_version *versions, uint32_t n)
{
    /* Names come sorted as text ("10" before "2"); few and nearly sorted. */
    for (uint32_t i = 1; i < n; i++) {
        struct tern_found_version v = versions[i];
        uint32_t j = i;
        for (; j > 0 && versions[j - 1].number > v.number; j--)
            versions[j] = versions[j - 1];
        versions[j] = v;
    }
}

static enum tern_code add_version(struct scan *scan, struct tern_found_version *versions,
                                  uint32_t *n, int64_t number, const char *path,
                                  const char *model_folder, struct tern_err *err)
{
    struct tern_found_version version = {.number = number, .path = path};

    if (path == NULL)
        return tern_arena_fail(scan->arena, err, "a path");
    TERN_TRY(tern_repository_fingerprint(path, model_folder, &version.fingerprint, err));
    versions[(*n)++] = version;
    return TERN_OK;
}

/* Numbered folders are versions; a folder with a model file and none of them is version 1. */
static enum tern_code scan_versions(struct scan *scan, const char *folder,
                                    struct tern_found_model *model, struct tern_err *err)
{
    struct tern_file_names names;
    uint32_t n = 0;

    TERN_TRY(tern_file_list(folder, TERN_REPOSITORY_VERSIONS_MAX, scan->arena, &names, err));
    struct tern_found_version *versions =
        tern_arena_zalloc(scan->arena, names.n + 1, sizeof(*versions));
    if (versions == NULL)
        return tern_arena_fail(scan->arena, err, "a list of versions");
    for (size_t i = 0; i < names.n; i++) {
        int64_t number;
        struct tern_file_info info;
        if (!is_version_name(names.rows[i], &number))
            continue;
        const char *path = tern_file_join(scan->arena, folder, names.rows[i]);
        if (path != NULL && tern_file_stat(path, &info, NULL) == TERN_OK && info.is_folder)
            TERN_TRY(add_version(scan, versions, &n, number, path, folder, err));
    }
    if (n == 0 && pick_file(&names, scan->engines) != NULL)
        TERN_TRY(add_version(scan, versions, &n, 1, folder, folder, err));
    if (n == 0)
        return tern_fail(err, TERN_NOT_FOUND,
                         "the folder has neither a version folder (1, 2, ...) nor a model file");
    sort_versions(versions, n);
    model->versions = versions;
    model->n_versions = n;
    return TERN_OK;
}

static void check_name(struct tern_found_model *model)
{
    if (model->problem.code == TERN_OK && !tern_model_name_is_valid(model->name))
        tern_fail(&model->problem, TERN_INVALID_ARGUMENT,
                  "'%.*s' is no model name: use 1 to %d of A-Z a-z 0-9 . _ - and no leading dot",
                  TERN_STR_ARG(model->name), TERN_MODEL_NAME_MAX);
}

static void scan_model_folder(struct scan *scan, const char *folder, struct tern_found_model *model)
{
    model->name = tern_arena_copy(scan->arena, tern_file_base_name(folder));
    model->folder = folder;
    scan_versions(scan, folder, model, &model->problem);
    check_name(model);
}

static enum tern_code scan_model_file(struct scan *scan, const char *path,
                                      struct tern_found_model *model, struct tern_err *err)
{
    struct tern_str base = tern_file_base_name(path);
    size_t dot = base.n;
    uint32_t n = 0;

    while (dot > 0 && base.p[dot - 1] != '.')
        dot--;
    model->name = tern_arena_copy(scan->arena, tern_str_make(base.p, dot > 1 ? dot - 1 : base.n));
    struct tern_found_version *version = tern_arena_zalloc(scan->arena, 1, sizeof(*version));
    if (version == NULL || model->name.p == NULL)
        return tern_arena_fail(scan->arena, err, "a model");
    TERN_TRY(add_version(scan, version, &n, 1, path, NULL, err));
    model->versions = version;
    model->n_versions = 1;
    check_name(model);
    return TERN_OK;
}

/* A model folder holds its configuration, a version folder with something in it, or a file by the
 * name that an engine looks for. Anything else is a repository. */
static bool is_model_folder(struct scan *scan, const char *folder,
                            const struct tern_file_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        int64_t number;
        for (size_t c = 0; c < TERN_COUNT_OF(config_names); c++) {
            if (tern_str_eq(names->rows[i], tern_str_of(config_names[c])))
                return true;
        }
        for (uint32_t e = 0; e < scan->engines->n; e++) {
            const char *const *wanted = scan->engines->rows[e]->file_names;
            for (; *wanted != NULL; wanted++) {
                if (tern_str_eq(names->rows[i], tern_str_of(*wanted)))
                    return true;
            }
        }
        if (is_version_name(names->rows[i], &number)) {
            const char *path = tern_file_join(scan->arena, folder, names->rows[i]);
            const struct tern_engine_ops *engine;
            const char *file;
            struct tern_str any = tern_str_make(NULL, 0);
            if (path != NULL && tern_repository_model_file(path, any, scan->engines, scan->arena,
                                                           &file, &engine, NULL) == TERN_OK)
                return true;
        }
    }
    return false;
}

static int compare_models(const struct tern_found_model *a, const struct tern_found_model *b)
{
    return tern_str_cmp(a->name, b->name);
}

/* "a.onnx" beside "a/", or one name in two repositories: none is served, since nobody could say
 * which is meant. */
static void refuse_twins(struct tern_found_model *models, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        if (compare_models(&models[i - 1], &models[i]) != 0)
            continue;
        for (uint32_t twin = i - 1; twin <= i; twin++)
            tern_fail(&models[twin].problem, TERN_ALREADY_EXISTS,
                      "two models are called '%.*s': remove or rename one",
                      TERN_STR_ARG(models[i].name));
    }
}

static void sort_models(struct tern_found_model *models, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        struct tern_found_model m = models[i];
        uint32_t j = i;
        for (; j > 0 && compare_models(&models[j - 1], &m) > 0; j--)
            models[j] = models[j - 1];
        models[j] = m;
    }
}

static enum tern_code scan_repository(struct scan *scan, const char *folder,
                                      const struct tern_file_names *names, struct tern_found *found,
                                      struct tern_err *err)
{
    struct tern_found_model *models = tern_arena_zalloc(scan->arena, names->n + 1, sizeof(*models));
    uint32_t n = 0;

    if (models == NULL)
        return tern_arena_fail(scan->arena, err, "a list of models");
    for (size_t i = 0; i < names->n; i++) {
        struct tern_file_info info;
        if (names->rows[i].p[0] == '.') /* .git, editors' files, half-written copies */
            continue;
        const char *path = tern_file_join(scan->arena, folder, names->rows[i]);
        if (path == NULL)
            return tern_arena_fail(scan->arena, err, "a path");
        if (tern_file_stat(path, &info, NULL) != TERN_OK)
            continue; /* gone since it was listed */
        if (info.is_folder)
            scan_model_folder(scan, path, &models[n++]);
        else if (has_model_name(scan->engines, names->rows[i]))
            TERN_TRY(scan_model_file(scan, path, &models[n++], err));
    }
    sort_models(models, n);
    refuse_twins(models, n);
    found->models = models;
    found->n_models = n;
    return TERN_OK;
}

static enum tern_code scan_path(const char *path, const struct tern_engine_set *engines,
                                struct tern_arena *arena, struct tern_found *ret_found,
                                struct tern_err *err)
{
    struct scan scan = {engines, arena};
    struct tern_found found = {0};
    struct tern_file_info info;
    struct tern_file_names names;

    TERN_TRY(tern_file_stat(path, &info, err));
    if (info.is_folder)
        TERN_TRY(tern_file_list(path, TERN_REPOSITORY_MODELS_MAX, arena, &names, err));
    if (info.is_folder && !is_model_folder(&scan, path, &names)) {
        TERN_TRY(scan_repository(&scan, path, &names, &found, err));
        *ret_found = found;
        return TERN_OK;
    }
    struct tern_found_model *model = tern_arena_zalloc(arena, 1, sizeof(*model));
    if (model == NULL)
        return tern_arena_fail(arena, err, "a model");
    if (info.is_folder)
        scan_model_folder(&scan, path, model);
    else
        TERN_TRY(scan_model_file(&scan, path, model, err));
    *ret_found = (struct tern_found){model, 1};
    return TERN_OK;
}

/* Both lists are sorted; so is what comes of them. A name in both is marked in either. */
static enum tern_code merge(const struct tern_found *a, const struct tern_found *b,
                            struct tern_arena *arena, struct tern_found *ret, struct tern_err *err)
{
    struct tern_found_model *models =
        tern_arena_zalloc(arena, (size_t)a->n_models + b->n_models + 1, sizeof(*models));
    uint32_t i = 0, j = 0, n = 0;

    if (models == NULL)
        return tern_arena_fail(arena, err, "a list of models");
    while (i < a->n_models || j < b->n_models) {
        int order = i == a->n_models   ? 1
                    : j == b->n_models ? -1
                                       : compare_models(&a->models[i], &b->models[j]);
        if (order == 0) {
            models[n] = a->models[i];
            tern_fail(&models[n].problem, TERN_ALREADY_EXISTS,
                      "model appears in two or more repositories");
            n++;
            while (i < a->n_models && compare_models(&a->models[i], &models[n - 1]) == 0)
                i++;
            while (j < b->n_models && compare_models(&b->models[j], &models[n - 1]) == 0)
                j++;
            continue;
        }
        models[n++] = order < 0 ? a->models[i++] : b->models[j++];
    }
    *ret = (struct tern_found){models, n};
    return TERN_OK;
}

enum tern_code tern_repository_scan(const char *const *paths, uint32_t n_paths,
                                    const struct tern_engine_set *engines, struct tern_arena *arena,
                                    struct tern_found *ret_found, struct tern_err *err)
{
    struct tern_found all = {0};

    for (uint32_t i = 0; i < n_paths; i++) {
        struct tern_found one = {0};
        TERN_TRY(scan_path(paths[i], engines, arena, &one, err));
        if (i == 0)
            all = one;
        else
            TERN_TRY(merge(&all, &one, arena, &all, err));
    }
    *ret_found = all;
    return TERN_OK;
}

void tern_repository_scan_model(const char *folder, const struct tern_engine_set *engines,
                                struct tern_arena *arena, struct tern_found_model *ret_model)
{
    struct scan scan = {engines, arena};

    *ret_model = (struct tern_found_model){.folder = folder};
    scan_model_folder(&scan, folder, ret_model);
}
