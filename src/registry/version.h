/* One version of a model: from files to something that can run, and back. Runs on load threads. */
#ifndef TERN_REGISTRY_VERSION_H
#define TERN_REGISTRY_VERSION_H

#include "base/err.h"
#include "base/log.h"
#include "registry/registry.h"
#include "registry/snapshot.h"

/* Rows of its input that a model brings for explanations to compare with, in its own folder or in
 * that of a version. */
#define TERN_VERSION_BACKGROUND "background.npy"

struct tern_version_load {
    struct tern_str name;
    int64_t number;
    const char *path;       /* version folder or model file */
    const char *folder;     /* model folder; NULL: no configuration */
    struct tern_str config; /* p != NULL: JSON that stands in for the folder's configuration */
    uint64_t fingerprint;
    const struct tern_registry_settings *settings;
};

/* Reads the configuration, picks file and engine, loads, makes instances, warms up and measures.
 * INVALID_ARGUMENT and the like name what is wrong; ABORTED when the files changed while loading.
 */
enum tern_code tern_version_load(const struct tern_version_load *load,
                                 struct tern_model_version **ret_version, struct tern_err *err);
/* The opposite; no loop may hold it. NULL is fine. */
void tern_version_free(struct tern_model_version *version);

/* What the model's configuration (`config` as above) says before the model is loaded. */
struct tern_version_outline {
    /* Which of the versions found are to be served; the settings' default where it is silent. */
    struct tern_version_policy policy;
    const struct tern_str *steps; /* the models that an ensemble is made of; in the arena */
    uint32_t n_steps;
};
enum tern_code tern_version_outline_of(const struct tern_found_model *found, struct tern_str config,
                                       const struct tern_registry_settings *settings,
                                       struct tern_arena *arena,
                                       struct tern_version_outline *ret_outline,
                                       struct tern_err *err);

#endif
