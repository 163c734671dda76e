/* What the event loops know of the models: an immutable snapshot, one pointer a loop.
 *
 * A publication is a task posted to every loop, so a reader needs neither lock nor atomic: it uses
 * its own loop's pointer. A call pins the version it found, on its loop, and unpins it there. A
 * retired version comes home when every loop has switched to a snapshot without it and has let go
 * of its last pin; only then its memory is given back. So a swap leaves no gap, and an unload waits
 * for the requests in flight. */
#ifndef TERN_REGISTRY_SNAPSHOT_H
#define TERN_REGISTRY_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "core/engine.h"
#include "core/model.h"
#include "core/proto.h"
#include "registry/ensembling.h"
#include "registry/scheduling.h"
#include "registry/sequencing.h"

struct tern_binding;
struct tern_home;

/* One loop's use of a version. Written by that loop only. */
struct tern_pins {
    TERN_ALIGNED(TERN_CACHE_LINE) uint32_t count;
    bool retired;
    /* Of an ensemble: its steps in the loop's snapshot, where it lies; NULL: it is not served. */
    const struct tern_binding *binding;
};

/* One loaded version of a model. Immutable after publication but for pins and the scheduler's part.
 */
struct tern_model_version {
    struct tern_model_info info;
    struct tern_engine_model engine;
    /* Shapes that the engine's inputs and outputs have where info's differ, rank -1 where they do
     * not; NULL: nowhere (registry/reshape.h). */
    const struct tern_shape *input_shapes, *output_shapes;
    /* All of the engine's as clients would see them; info has those that they do see: info's input
     * (output) i is the engine's input_at[i] (output_at[i]), or i where that is NULL. */
    const struct tern_tensor_spec *input_specs, *output_specs;
    const uint32_t *input_at, *output_at;
    const struct tern_sequencing *sequencing; /* NULL: requests stand alone */
    const struct tern_scheduling *scheduling; /* how they wait; NULL: only in tests */
    /* Its steps; NULL: it is no ensemble. One has no engine (ops == NULL) and no instances. */
    const struct tern_ensembling *ensembling;
    struct tern_str batches;  /* whether it has them, in words */
    struct tern_str declined; /* why an engine that is asked before did not take it; or empty */
    uint32_t sequence_slots;  /* live sequences at a time */
    struct tern_arena arena;  /* owns what info and engine point to */
    void *
        *loop_instances; /* one a loop, for runs on the loop itself; NULL: the model is too slow */
    uint32_t n_loop_instances;
    void **instances; /* for the executors */
    uint32_t n_instances;
    uint64_t run_ns;              /* measured in warm-up: one run of the smallest batch ... */
    uint64_t warm_units;          /* ... which had this many input elements */
    uint64_t load_ns;             /* how long loading took, warm-up included */
    uint64_t serial;              /* of its load, never 0, never the same twice in a registry */
    uint64_t fingerprint;         /* of the files it was loaded from */
    const unsigned char *content; /* registry/content.h, TERN_CONTENT_SIZE bytes; NULL: not asked */
    void *override;         /* the registry's: what a load by request brought; NULL: nothing */
    void *lane;             /* the scheduler's */
    void *ensemble;         /* the scheduler's; NULL: it is none */
    void *sequences;        /* the scheduler's; NULL: requests stand alone */
    void *cache;            /* the scheduler's; NULL: answers are not remembered */
    void *stat;             /* the monitor's */
    void *answers_stat;     /* the same, of decoupled models */
    struct tern_pins *pins; /* one a loop */
    uint32_t n_loops;
    atomic_uint loops_holding;
    struct tern_home *home; /* whom to tell when the last loop let go */
    struct tern_model_version *next_retired;

    /* Of its load, for registry/resize.h, which may change instances. */
    uint32_t usual_instances;       /* so many when the configuration gives no number */
    uint64_t model_files;           /* fingerprint of the files that are no configuration */
    struct tern_str rest_of_config; /* its configuration as text, but for instance_group */
    struct tern_str file_name;      /* of the model; empty: it is no file */
    const char *background_path;    /* rows that explanations compare with; NULL: no such file */
};

/* A model as the loops see it. */
struct tern_model_entry {
    struct tern_str name;
    struct tern_model_version **versions; /* served ones, ascending */
    int64_t *numbers;                     /* the same, as numbers */
    uint32_t n_versions;
};

/* An ensemble that is served, tied to versions of the same snapshot. */
struct tern_snapshot_ensemble {
    struct tern_model_version *version;
    const struct tern_binding *binding;
};

struct tern_snapshot {
    struct tern_arena arena;
    struct tern_model_entry *models; /* sorted by name */
    uint32_t n_models;
    const struct tern_index_row
        *index; /* what the repository index answers, failed ones included */
    uint32_t n_index;
    const struct tern_snapshot_ensemble *ensembles;
    uint32_t n_ensembles;
    bool ready;      /* what server_ready answers */
    uint32_t *table; /* open addressing over names: index into models + 1 */
    uint32_t table_mask;
};

/* Told, on a loop's thread, that no loop holds the version any more. */
struct tern_home {
    void (*come_home)(struct tern_home *self, struct tern_model_version *version);
};

const struct tern_model_entry *tern_snapshot_find(const struct tern_snapshot *snapshot,
                                                  struct tern_str name);
/* version 0: the highest served. NULL: not there. */
struct tern_model_version *tern_snapshot_version(const struct tern_model_entry *entry,
                                                 int64_t version);
/* Builds the name table; models and index must be set. */
enum tern_code tern_snapshot_seal(struct tern_snapshot *snapshot, struct tern_err *err);

/* On loop `loop`'s thread. */
TERN_INLINE void tern_version_pin(struct tern_model_version *version, uint32_t loop)
{
    version->pins[loop].count++;
}

void tern_version_unpin(struct tern_model_version *version, uint32_t loop);
/* On loop `loop`'s thread, after it switched to a snapshot without the version. */
void tern_version_retire(struct tern_model_version *version, uint32_t loop);

#endif
