/* HEALTH_WATCH: whether the server, or one model, can serve now, and in a stream each change. */
#include "gateway/gateway_int.h"

static bool is_listed(const struct tern_snapshot *snapshot, struct tern_str model)
{
    for (uint32_t i = 0; i < snapshot->n_index; i++) {
        if (tern_str_eq(snapshot->index[i].name, model))
            return true;
    }
    return false;
}

static enum tern_serving look(const struct gateway_call *gc)
{
    const struct tern_snapshot *snapshot = gc->loop->snapshot;
    const struct tern_call *call = &gc->call;

    if (atomic_load(&gc->gateway->draining))
        return TERN_SERVING_NO;
    if (call->model.n == 0)
        return snapshot->ready ? TERN_SERVING_YES : TERN_SERVING_NO;
    const struct tern_model_entry *entry = tern_snapshot_find(snapshot, call->model);
    if (entry != NULL && tern_snapshot_version(entry, call->version) != NULL)
        return TERN_SERVING_YES;
    return is_listed(snapshot, call->model) ? TERN_SERVING_NO : TERN_SERVING_NO_SUCH;
}

enum tern_code gateway_run_watch(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    (void)err;
    gc->call.serving = look(gc);
    if (gc->part == NULL || atomic_load(&gc->gateway->draining))
        return TERN_OK; /* nothing will follow */
    tern_list_append(&gc->loop->watches, &gc->watch);
    *ret_pending = true;
    gateway_emit(gc);
    return TERN_OK;
}

void gateway_watch_look(struct gateway_loop *loop)
{
    struct tern_list told;
    struct tern_list *link;

    /* An answer may end its stream, which takes the call off whatever list it is on. */
    tern_list_init(&told);
    while ((link = tern_list_pop(&loop->watches)) != NULL) {
        struct gateway_call *gc = TERN_CONTAINER_OF(link, struct gateway_call, watch);
        enum tern_serving now = look(gc);
        tern_list_append(&told, link);
        if (now == gc->call.serving)
            continue;
        gc->call.serving = now;
        gateway_emit(gc);
    }
    while ((link = tern_list_pop(&told)) != NULL)
        tern_list_append(&loop->watches, link);
}

void gateway_watch_end(struct gateway_loop *loop)
{
    struct tern_list *link;

    while ((link = tern_list_pop(&loop->watches)) != NULL) {
        struct gateway_call *gc = TERN_CONTAINER_OF(link, struct gateway_call, watch);
        gateway_finish(gc,
                       tern_fail(&gc->call.err, TERN_UNAVAILABLE, "the server is shutting down"));
    }
}

bool gateway_unwatch(struct gateway_call *gc)
{
    if (gc->watch.next == NULL || tern_list_is_empty(&gc->watch))
        return false;
    tern_list_remove(&gc->watch);
    return true;
}
