/* Private to registry/: the control thread's state. Fields without a remark belong to the control
 * thread alone (before start and after close: to the caller). */
#ifndef TERN_REGISTRY_REGISTRY_INT_H
#define TERN_REGISTRY_REGISTRY_INT_H

#include <pthread.h>
#include "base/list.h"
#include "registry/registry.h"
#include "registry/version.h"

/* What a LOAD brought instead of what the repository holds. Counted by those who need it: the
 * record, its load jobs and the versions that came of them; all of them on the control thread. */
struct registry_override {
    uint32_t holders;
    uint64_t id;            /* never 0, never the same twice */
    struct tern_str config; /* owned: JSON */
    char *scratch;          /* owned: os/scratch.h; NULL: only the configuration is overridden */
    char *folder;           /* owned: the model's folder in scratch */
};

/* One version of a record: served, being loaded, or failed. */
struct registry_version {
    int64_t number;
    enum tern_model_state state;
    struct tern_model_version *live; /* served now; may be older than the files while a load runs */
    /* live, while a load job may change its instances; and the one that was replaced meanwhile,
     * which retires when the job is back. */
    struct tern_model_version *lent, *replaced;
    uint64_t fingerprint; /* of the files last tried ... */
    uint64_t override_id; /* ... and the override it was tried with; 0: none */
    bool wanted;          /* chosen by the version policy of the last scan */
    char reason[TERN_ERR_TEXT_MAX];
    /* Of an ensemble, since the last registry_bind: its steps, in the arena of that; or why not. */
    const struct tern_binding *binding;
    char unbound[TERN_ERR_TEXT_MAX];
    bool pending; /* not tried yet */
    bool served;  /* it stands in the newest snapshot */
};

typedef char registry_step_name[TERN_MODEL_NAME_MAX + 1];

enum registry_mark {
    REGISTRY_UNMARKED,
    REGISTRY_MARKED,
    REGISTRY_VISITED,
};

/* Two walks through what models are made of may be under way at a time. */
enum registry_walk {
    REGISTRY_WALK_ACT,  /* to load or to unload */
    REGISTRY_WALK_LOOK, /* maybe from within */
    REGISTRY_WALKS,
};

/* One model, known by name. */
struct registry_record {
    char name[TERN_MODEL_NAME_MAX + 1];
    bool wanted;
    struct registry_version *versions; /* ascending */
    uint32_t n_versions, cap_versions;
    bool asked_for;            /* by name, not only as a step of an ensemble */
    registry_step_name *steps; /* owned: of an ensemble, as its configuration has them */
    uint32_t n_steps;
    enum registry_mark marks[REGISTRY_WALKS];
    uint32_t loading;                      /* load jobs not yet back, or held */
    uint32_t held;                         /* those that are back and wait for the model's steps */
    uint32_t retiring;                     /* versions not yet home */
    struct registry_override *override;    /* held; NULL: as the repository has it */
    struct tern_err problem;               /* of the whole model: code != OK */
    struct tern_registry_command *waiters; /* done when loading is zero; UNLOAD: retiring too */
};

/* One load, from the control thread to a load thread and back. */
struct registry_job {
    struct registry_job *next;
    char name[TERN_MODEL_NAME_MAX + 1];
    char *path;   /* owned */
    char *folder; /* owned; NULL: none */
    int64_t number;
    uint64_t fingerprint;
    struct registry_override *override; /* held; NULL: none */
    struct tern_model_version *live;    /* lent; NULL: nothing is served, or another job has it */
    struct tern_model_version *version; /* the result; NULL: a failure, or it was enough ... */
    bool resized;                       /* ... to change the instances of live */
    enum tern_code code;
    struct tern_err err;
};

/* One publication on its way to every loop. */
struct registry_publication {
    struct registry_publication *next;
    struct tern_list on_its_way; /* in registry->on_their_way */
    struct tern_registry *registry;
    struct tern_snapshot *snapshot;
    struct tern_snapshot *before;
    struct tern_model_version *retired;     /* by next_retired */
    struct tern_registry_command *finished; /* answered when every loop has switched */
    atomic_uint loops_left;
    struct publication_task {
        struct tern_loop_task task;
        struct registry_publication *publication;
        uint32_t loop;
    } * tasks; /* one a loop */
};

struct tern_registry {
    struct tern_registry_settings settings;
    struct tern_home home;

    struct registry_record **records; /* sorted by name */
    uint32_t n_records, cap_records;
    struct tern_snapshot *snapshot; /* the newest published */
    struct tern_model_version *to_retire;
    struct tern_registry_command *finished; /* decided; answered with the next publication */
    uint64_t last_override_id, last_serial;
    uint32_t jobs_out;
    struct registry_job *held;     /* loaded ensembles whose steps are still loading */
    bool settling_held;            /* nobody is told of an ensemble before all are looked at */
    struct tern_list on_their_way; /* publications that some loop has not seen */
    uint64_t poll_due_ns;
    bool dirty;
    bool loops_run;

    pthread_mutex_t lock;
    pthread_cond_t to_control; /* something for the control thread */
    pthread_cond_t to_loaders;
    /* guarded by lock: */
    struct tern_registry_command *commands, **commands_end;
    struct registry_job *jobs, **jobs_end; /* for the load threads */
    struct registry_job *jobs_done;        /* back from them */
    struct tern_model_version *came_home;
    struct registry_publication *published; /* seen by every loop */
    bool stopping;
    bool loaders_stopping;

    pthread_t control;
    pthread_t *loaders;
    uint32_t n_loaders;
};

/* Clients may read it: leaves only what lies below the folder that holds the repository, or below
 * the scratch folder of an override (NULL: none). */
void registry_hide_path(const struct tern_registry *registry,
                        const struct registry_override *override, struct tern_err *err);

/* scan.c: what the files say is wanted. */
/* only: a model's name (NOT_FOUND when no repository has it), NULL for all (EXPLICIT: those wanted
 * already), "*" for all, "" for none: just to learn the names. */
enum tern_code registry_rescan(struct tern_registry *registry, const char *only, bool force,
                               struct tern_err *err);
/* The record then holds the override; the caller gives up its own hold. */
enum tern_code registry_rescan_override(struct tern_registry *registry, const char *name,
                                        struct registry_override *override, struct tern_err *err);

/* records.c: what is wanted, held against what is served. */
struct registry_record *registry_find(struct tern_registry *registry, const char *name);
/* Found or made, both; NULL without memory. A version stays where it is until the next is made. */
struct registry_record *registry_get_record(struct tern_registry *registry, struct tern_str name);
struct registry_version *registry_get_version(struct registry_record *record, int64_t number);
/* Whether some version of that number is served, as of the last registry_bind. */
bool registry_serves(struct tern_registry *registry, const char *name, int64_t number);
void registry_unwant(struct tern_registry *registry, struct registry_record *record);
void registry_take_job(struct tern_registry *registry, struct registry_job *job);
void registry_settle(struct tern_registry *registry, struct registry_record *record);
void registry_free_records(struct tern_registry *registry);
/* No loop holds it any more: the hooks are told, its memory goes. */
void registry_free_version(struct tern_registry *registry, struct tern_model_version *version);

/* override.c: what a LOAD brings along. Checks it and writes its files. */
enum tern_code registry_override_new(struct tern_registry *registry,
                                     const struct tern_registry_command *command,
                                     struct registry_override **ret_override, struct tern_err *err);
struct registry_override *registry_override_hold(struct registry_override *override); /* or NULL */
void registry_override_drop(struct registry_override *override);                      /* or NULL */

/* ensembles.c: models that are made of others. */
struct registry_binding_run {
    struct tern_registry *registry;
    struct tern_arena *arena;
    bool out_of_memory;
};
/* Whether it stands in the next snapshot: after registry_bind, for an ensemble. */
bool registry_is_served(const struct registry_version *version);
enum tern_code registry_set_steps(struct registry_record *record, const struct tern_str *names,
                                  uint32_t n, struct tern_err *err);
/* Versions that are loaded. */
uint32_t registry_count_ensembles(const struct tern_registry *registry);
/* Ties all ensembles to what is served now. False without memory. */
bool registry_bind(struct tern_registry *registry, struct tern_arena *arena);
/* Only says why those of the record are not served. */
void registry_judge(struct tern_registry *registry, const struct registry_record *record);
/* To walk through what a model is made of: the record's steps are marked, one of them is taken, its
 * own steps are marked too where the caller wants that. Each is taken once. */
void registry_mark(struct tern_registry *registry, struct registry_record *record,
                   enum registry_walk walk);
void registry_mark_more(struct tern_registry *registry, const struct registry_record *record,
                        enum registry_walk walk);
struct registry_record *registry_next_marked(struct tern_registry *registry,
                                             enum registry_walk walk);
bool registry_steps_are_loading(struct tern_registry *registry, struct registry_record *record);
/* A load has ended; the job is freed, now or when the steps are there. */
void registry_come_back(struct tern_registry *registry, struct registry_job *job);
/* At the end: what still waits is freed. */
void registry_drop_held(struct tern_registry *registry);
/* What was loaded only as a step of this one, which nobody wants any more. */
void registry_unwant_steps(struct tern_registry *registry, struct registry_record *record);

/* loaders.c: the load threads. */
enum tern_code registry_loaders_start(struct tern_registry *registry, struct tern_err *err);
void registry_loaders_stop(struct tern_registry *registry);
void registry_enqueue(struct tern_registry *registry, struct registry_job *job);
void registry_free_job(struct registry_job *job);

/* publish.c */
void registry_publish(struct tern_registry *registry);
/* Publications that the loops were stopped before they saw: nobody will switch any more. */
void registry_drop_publications(struct tern_registry *registry);
/* Every loop has switched. */
void registry_published(struct registry_publication *publication);
void registry_finish(struct tern_registry_command *commands);
void registry_free_snapshot(struct tern_snapshot *snapshot);

#endif
