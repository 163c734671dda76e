/* `tern check` and models that are made of others: what was loaded stays so until the ensembles are
 * tied to it, as the registry does. */
#ifndef TERN_CLI_CHECK_ENSEMBLES_H
#define TERN_CLI_CHECK_ENSEMBLES_H

#include "registry/registry.h"
#include "registry/version.h"

struct tern_check_loaded;

struct tern_check_ensembles {
    struct tern_arena *arena;
    bool any; /* else nothing need be kept */
    struct tern_check_loaded *first;
};

/* Reads the configurations of all that was found. */
void tern_check_ensembles_init(struct tern_check_ensembles *ensembles,
                               const struct tern_found *found,
                               const struct tern_registry_settings *settings,
                               struct tern_arena *arena);
/* Takes the version; it is freed at the end, or at once when nobody could need it. For an ensemble,
 * subject is handed back when it is decided. */
void tern_check_ensembles_add(struct tern_check_ensembles *ensembles,
                              struct tern_model_version *version, const void *subject);
/* One that is decided now: whether it can be served, or why not. NULL: there are no more. */
const struct tern_model_version *tern_check_ensembles_next(struct tern_check_ensembles *ensembles,
                                                           const void **ret_subject,
                                                           struct tern_err *ret_err);
void tern_check_ensembles_fini(struct tern_check_ensembles *ensembles);

#endif
