#include "cli/check_ensembles.h"

#include "registry/binding.h"

struct tern_check_loaded {
    struct tern_check_loaded *next;
    struct tern_model_version *version;
    const void *subject;
    const struct tern_binding *binding; /* of an ensemble that can be served */
    bool pending;                       /* an ensemble that is not decided */
};

void tern_check_ensembles_init(struct tern_check_ensembles *ensembles,
                               const struct tern_found *found,
                               const struct tern_registry_settings *settings,
                               struct tern_arena *arena)
{
    *ensembles = (struct tern_check_ensembles){.arena = arena};
    for (uint32_t i = 0; i < found->n_models; i++) {
        const struct tern_found_model *model = &found->models[i];
        struct tern_version_outline outline;
        if (model->problem.code == TERN_OK && model->folder != NULL &&
            tern_version_outline_of(model, tern_str_make(NULL, 0), settings, arena, &outline,
                                    NULL) == TERN_OK)
            ensembles->any |= outline.n_steps > 0;
    }
}

void tern_check_ensembles_add(struct tern_check_ensembles *ensembles,
                              struct tern_model_version *version, const void *subject)
{
    struct tern_check_loaded *loaded =
        ensembles->any ? tern_arena_zalloc(ensembles->arena, 1, sizeof(*loaded)) : NULL;

    if (loaded == NULL) {
        tern_version_free(version);
        return;
    }
    *loaded = (struct tern_check_loaded){
        .next = ensembles->first,
        .version = version,
        .subject = subject,
        .pending = version->ensembling != NULL,
    };
    ensembles->first = loaded;
}

static enum tern_bind_found find(void *arg, struct tern_str model, int64_t number,
                                 struct tern_model_version **ret_version,
                                 const struct tern_binding **ret_binding)
{
    const struct tern_check_ensembles *ensembles = arg;
    const struct tern_check_loaded *best = NULL;
    bool others = false;

    for (const struct tern_check_loaded *at = ensembles->first; at != NULL; at = at->next) {
        const struct tern_model_info *info = &at->version->info;
        bool serves = at->version->ensembling == NULL || at->binding != NULL || at->pending;
        if (!tern_str_eq(info->name, model) || !serves)
            continue;
        others = true;
        if ((number == 0 || number == info->version) &&
            (best == NULL || best->version->info.version < info->version))
            best = at;
    }
    if (best == NULL)
        return others ? TERN_BIND_NO_VERSION : TERN_BIND_NO_MODEL;
    if (best->pending)
        return TERN_BIND_LATER;
    *ret_version = best->version;
    *ret_binding = best->binding;
    return TERN_BIND_FOUND;
}

const struct tern_model_version *tern_check_ensembles_next(struct tern_check_ensembles *ensembles,
                                                           const void **ret_subject,
                                                           struct tern_err *ret_err)
{
    const struct tern_bind_models models = {find, ensembles};
    struct tern_check_loaded *circle = NULL;
    enum tern_code code = TERN_ABORTED;

    for (struct tern_check_loaded *at = ensembles->first; at != NULL; at = at->next) {
        if (!at->pending)
            continue;
        ret_err->code = TERN_OK;
        circle = at;
        code = tern_binding_make(at->version, &models, ensembles->arena, &at->binding, ret_err);
        if (code != TERN_ABORTED)
            break; /* else it waits for another one, and the last that do wait for themselves */
    }
    if (circle == NULL)
        return NULL;
    circle->pending = false;
    ret_err->code = code;
    *ret_subject = circle->subject;
    return circle->version;
}

void tern_check_ensembles_fini(struct tern_check_ensembles *ensembles)
{
    for (struct tern_check_loaded *at = ensembles->first; at != NULL; at = at->next)
        tern_version_free(at->version);
    ensembles->first = NULL;
}
