/* The registry: which models and versions are served, and how they come and go.
 *
 * One control thread owns all state here and decides; load threads do the slow work (reading files,
 * building engine sessions, warming up) and report back to it. It publishes immutable snapshots to
 * the event loops (registry/snapshot.h). No function here is for a loop, except
 * tern_registry_submit, which only queues.
 *
 * Modes: NONE loads everything once. POLL looks at the files again and again and follows them.
 * EXPLICIT loads what it is told to. In every mode a failed load leaves what was served before, and
 * a broken model never stops another. */
#ifndef TERN_REGISTRY_REGISTRY_H
#define TERN_REGISTRY_REGISTRY_H

#include <stdint.h>
#include "base/err.h"
#include "base/log.h"
#include "conf/version_policy.h"
#include "os/loop.h"
#include "registry/model_config.h"
#include "registry/repository.h"
#include "registry/snapshot.h"

struct tern_registry;

enum tern_registry_mode {
    TERN_REGISTRY_NONE,
    TERN_REGISTRY_POLL,
    TERN_REGISTRY_EXPLICIT,
};

struct tern_registry_hooks {
    /* On a load thread, when a version is warm and before it is published: make its lane and cells.
     * On failure the load fails. */
    enum tern_code (*on_loaded)(void *arg, struct tern_model_version *version,
                                struct tern_err *err);
    /* On the control thread, when no loop holds the version any more, before its memory is freed.
     */
    void (*on_unloaded)(void *arg, struct tern_model_version *version);
    /* On loop `loop`'s thread (or on the caller's before the loops run): use this snapshot now. */
    void (*on_publish)(void *arg, uint32_t loop, const struct tern_snapshot *snapshot);
    /* Whether a model with this run time is run on the loops (and wants an instance on each). */
    bool (*is_inline)(void *arg, uint64_t run_ns);
    /* On a load thread: a version in service has these `n` instances (at least 1) from now on. The
     * first ones are those that it had, in order: there are more than before, and the new ones may
     * run, or fewer, and it returns when none of the others runs any more; they are then freed.
     * When it fails, nothing has changed, and the model is loaded anew. NULL: as if it failed. */
    enum tern_code (*set_instances)(void *arg, struct tern_model_version *version,
                                    void *const *instances, uint32_t n, struct tern_err *err);
    void *arg;
};

struct tern_registry_settings {
    const char *const *paths; /* repositories (each also a model's folder, or a file); absolute */
    uint32_t n_paths;
    enum tern_registry_mode mode;
    uint64_t poll_ns;
    uint32_t load_threads;
    uint32_t executors;    /* threads that run slow models: how many instances one may want */
    uint32_t load_retries; /* times a load that failed is tried again before it counts */
    struct tern_version_policy version_policy; /* of models whose configuration gives none */
    struct tern_model_config_settings config;
    bool hash_content;           /* of models whose answers are cached: others share them */
    bool strict_readiness;       /* ready only when every wanted model is */
    const struct tern_str *load; /* EXPLICIT: models to load at start; "*" for all */
    uint32_t n_load;
    struct tern_engine_set engines;
    /* Defaults for every model of one engine. */
    const struct tern_engine_option *engine_options;
    uint32_t n_engine_options;
    const struct tern_engine_ops *engine_options_of;
    struct tern_loop *const *loops;
    uint32_t n_loops;
    struct tern_registry_hooks hooks;
    struct tern_log *log;
};

enum tern_registry_verb {
    TERN_REGISTRY_LOAD,
    TERN_REGISTRY_UNLOAD,
    TERN_REGISTRY_RESCAN, /* SIGHUP: look at the files now, whatever the mode but EXPLICIT */
};

/* A file that a LOAD brings: its path below the model's folder ("1/model.onnx", "labels.txt"). */
struct tern_registry_file {
    struct tern_str path;
    struct tern_str bytes;
};

/* A wish for the control thread. The caller keeps it valid, and what it points to, until on_done.
 */
struct tern_registry_command {
    enum tern_registry_verb verb;
    char name[TERN_MODEL_NAME_MAX + 1]; /* LOAD, UNLOAD */
    /* LOAD: a ModelConfig as JSON that stands in for the model's own; p == NULL: none. The model is
     * then loaded again even if nothing else changed. */
    struct tern_str config;
    /* LOAD, with a config: the model consists of these alone, whatever the repository holds. */
    const struct tern_registry_file *files;
    uint32_t n_files;
    bool with_steps;  /* UNLOAD of an ensemble: also what was loaded only because of it */
    uint64_t poll_ns; /* RESCAN: the interval from now on; 0: as it is */
    /* On the control thread, after the models are READY, gone, or the wish failed. May be NULL. */
    void (*on_done)(struct tern_registry_command *command);
    enum tern_code code;
    struct tern_err err;
    struct tern_registry_command *next;
};

/* Scans, loads what the mode wants and publishes; returns when every load has ended, well or not
 * (logged one by one). Fails only when a path cannot be read or nothing can be started. The loops
 * must not run yet. A model that stands in two repositories is served from neither. */
enum tern_code tern_registry_open(const struct tern_registry_settings *settings,
                                  struct tern_registry **ret_registry, struct tern_err *err);
/* From now on publications go through the loops' mailboxes: call once they run. */
enum tern_code tern_registry_start(struct tern_registry *registry, struct tern_err *err);
void tern_registry_submit(struct tern_registry *registry, struct tern_registry_command *command);
/* Stops the control thread and frees everything. The loops must have stopped. */
void tern_registry_close(struct tern_registry *registry);

/* How many models are wanted and how many of them are READY; before start or after close. */
void tern_registry_count(const struct tern_registry *registry, uint32_t *ret_wanted,
                         uint32_t *ret_ready);

#endif
