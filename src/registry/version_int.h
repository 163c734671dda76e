/* Private to version.c and version_engine.c: one load while it goes on. */
#ifndef TERN_REGISTRY_VERSION_INT_H
#define TERN_REGISTRY_VERSION_INT_H

#include "base/clock.h"
#include "registry/engine_choice.h"
#include "registry/model_config.h"
#include "registry/version.h"

struct tern_version_loading {
    const struct tern_version_load *load;
    const struct tern_registry_settings *settings;
    struct tern_model_version *version;
    const struct tern_engine_ops *engine;
    struct tern_engine_choice choice; /* of the file; engine is one of them */
    uint64_t start_ns;
    const char *file;
    uint64_t file_size;
    struct tern_model_config config;
    struct tern_engine_option *options; /* the settings', then the configuration's, which win */
    uint32_t n_options;
};

/* Picks file and engine, loads the model and makes its instances. An ensemble has neither. */
enum tern_code tern_version_engine_open(struct tern_version_loading *l, struct tern_err *err);
/* The opposite; nothing is fine. */
void tern_version_engine_close(struct tern_model_version *version);
/* Runs the configuration's warm-up on the first instance. */
enum tern_code tern_version_engine_run_samples(const struct tern_version_loading *l,
                                               struct tern_err *err);

#endif
