/* What lies on disk: reads a path that is a model file, a model folder, or a repository in Triton's
 * layout, and lists the models and versions found. It opens no model and decides no policy.
 *
 *   model file      iris.onnx                     -> model "iris", version 1
 *   model folder    iris/model.onnx               -> model "iris", version 1
 *                   iris/1/model.onnx iris/3/...  -> model "iris", versions 1 and 3
 *   repository      models/<model folder>/...     -> each model folder
 *                   models/a.onnx models/b.onnx   -> models "a" and "b"
 *
 * Version folders are decimal numbers without a leading zero; other names are not versions. A
 * folder whose name is no model name is reported, not skipped silently. Blocking; any one thread.
 */
#ifndef TERN_REGISTRY_REPOSITORY_H
#define TERN_REGISTRY_REPOSITORY_H

#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "core/engine.h"

#define TERN_REPOSITORY_MODELS_MAX   100000
#define TERN_REPOSITORY_VERSIONS_MAX 10000

struct tern_engine_set {
    const struct tern_engine_ops *const *rows;
    uint32_t n;
};

struct tern_found_version {
    int64_t number;
    const char *path;     /* a model file, or a folder that holds one */
    uint64_t fingerprint; /* of names, sizes, times and inodes of all its files and the config */
};

struct tern_found_model {
    struct tern_str name;
    const char *folder; /* where its configuration would be; NULL for a lone file */
    const struct tern_found_version *versions; /* ascending */
    uint32_t n_versions;
    struct tern_err problem; /* code != OK: the model cannot be served, and why */
};

struct tern_found {
    const struct tern_found_model *models; /* sorted by name */
    uint32_t n_models;
};

/* Everything found lies in the arena. Fails when a path itself cannot be read. A name that is found
 * twice, in one repository or in two, is listed with the problem. */
enum tern_code tern_repository_scan(const char *const *paths, uint32_t n_paths,
                                    const struct tern_engine_set *engines, struct tern_arena *arena,
                                    struct tern_found *ret_found, struct tern_err *err);
/* One model's folder; what is wrong with it is the model's problem. */
void tern_repository_scan_model(const char *folder, const struct tern_engine_set *engines,
                                struct tern_arena *arena, struct tern_found_model *ret_model);

/* The model file of a version path and the engine that takes it: found by its name, else by its
 * first bytes, if that leaves no choice. `wanted` names the file when the configuration does
 * (default_model_filename); p == NULL otherwise. */
enum tern_code tern_repository_model_file(const char *version_path, struct tern_str wanted,
                                          const struct tern_engine_set *engines,
                                          struct tern_arena *arena, const char **ret_path,
                                          const struct tern_engine_ops **ret_engine,
                                          struct tern_err *err);

/* The engine of that backend when its models are no files; NULL otherwise. */
const struct tern_engine_ops *tern_repository_fileless(struct tern_str backend,
                                                       const struct tern_engine_set *engines);

/* The fingerprint of a version's files as they are now. */
enum tern_code tern_repository_fingerprint(const char *version_path, const char *model_folder,
                                           uint64_t *ret_fingerprint, struct tern_err *err);

#endif
