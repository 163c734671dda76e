#include "front/dialects.h"

#include "base/mem.h"

#define WELCOME_MAX (64u << 10)

struct tern_dialects {
    struct tern_dialect_set *sets; /* owned; at least one */
    uint32_t n;
};

static enum tern_code fill_set(struct tern_dialect_set *set, uint32_t mask,
                               const struct tern_proto *const *protos, uint32_t n_protos,
                               struct tern_err *err)
{
    set->mask = mask;
    tern_buf_init(&set->welcome, WELCOME_MAX);
    for (uint32_t i = 0; i < n_protos && i < TERN_DIALECTS_MAX; i++) {
        if (mask != 0 && (mask >> i & 1) == 0)
            continue;
        set->protos[set->n_protos++] = protos[i];
        if (protos[i]->is_grpc && set->grpc == NULL)
            set->grpc = protos[i];
    }
    if (set->n_protos == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "no dialect is spoken");
    tern_router_print_welcome(set->protos, set->n_protos, &set->welcome);
    return tern_router_new(set->protos, set->n_protos, &set->router, err);
}

static const struct tern_dialect_set *find(const struct tern_dialects *dialects, uint32_t mask)
{
    for (uint32_t i = 0; i < dialects->n; i++) {
        if (dialects->sets[i].mask == mask)
            return &dialects->sets[i];
    }
    return NULL;
}

static enum tern_code fill(struct tern_dialects *dialects, const struct tern_proto *const *protos,
                           uint32_t n_protos, const struct tern_listener_info *const *listeners,
                           uint32_t n_listeners, struct tern_err *err)
{
    struct tern_err why;

    if (n_listeners == 0)
        return fill_set(&dialects->sets[dialects->n++], 0, protos, n_protos, err);
    for (uint32_t i = 0; i < n_listeners; i++) {
        uint32_t mask = listeners[i]->protos;
        if (find(dialects, mask) != NULL)
            continue;
        enum tern_code code =
            fill_set(&dialects->sets[dialects->n++], mask, protos, n_protos, &why);
        if (code != TERN_OK)
            return tern_fail(err, code, "listen %.*s: %s", TERN_STR_ARG(listeners[i]->name),
                             why.text);
    }
    return TERN_OK;
}

enum tern_code tern_dialects_new(const struct tern_proto *const *protos, uint32_t n_protos,
                                 const struct tern_listener_info *const *listeners,
                                 uint32_t n_listeners, struct tern_dialects **ret_dialects,
                                 struct tern_err *err)
{
    size_t n = n_listeners > 0 ? n_listeners : 1;
    struct tern_dialects *dialects = tern_mem_zalloc(1, sizeof(*dialects));

    if (dialects == NULL)
        return tern_mem_fail(err, "the dialects", sizeof(*dialects));
    dialects->sets = tern_mem_zalloc(n, sizeof(dialects->sets[0]));
    if (dialects->sets == NULL) {
        tern_dialects_free(dialects);
        return tern_mem_fail(err, "the dialects", n * sizeof(struct tern_dialect_set));
    }
    enum tern_code code = fill(dialects, protos, n_protos, listeners, n_listeners, err);
    if (code != TERN_OK) {
        tern_dialects_free(dialects);
        return code;
    }
    *ret_dialects = dialects;
    return TERN_OK;
}

void tern_dialects_free(struct tern_dialects *dialects)
{
    if (dialects == NULL)
        return;
    for (uint32_t i = 0; i < dialects->n && dialects->sets != NULL; i++) {
        tern_router_free(dialects->sets[i].router);
        tern_buf_fini(&dialects->sets[i].welcome);
    }
    tern_mem_free(dialects->sets);
    tern_mem_free(dialects);
}

const struct tern_dialect_set *tern_dialects_of(const struct tern_dialects *dialects,
                                                const struct tern_listener_info *listener)
{
    const struct tern_dialect_set *set = find(dialects, listener->protos);

    return set != NULL ? set : &dialects->sets[0];
}
