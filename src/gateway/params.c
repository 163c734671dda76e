/* Parameters of an infer request that mean the same in every dialect, and headers that become
 * parameters. Triton's names: extensions "schedule_policy" and "sequence". */
#include "gateway/gateway_int.h"

/* A model with a queue of its own settings takes a request's timeout as a bound of the wait alone,
 * and only where its settings allow that (Triton's ModelQueuePolicy); one that takes sequences as a
 * bound of the wait for a slot. What it is for an ensemble, its steps decide. */
static bool bounds_the_wait(const struct gateway_call *gc)
{
    const struct tern_model_version *version = gc->call.pinned;

    if (version == NULL)
        return false;
    return version->sequencing != NULL || version->ensembling != NULL ||
           (version->scheduling != NULL &&
            version->scheduling->batching == TERN_BATCHING_CONFIGURED);
}

/* In microseconds; 0 is none, and one that does not fit is never. */
static enum tern_code take_timeout(struct gateway_call *gc, const struct tern_param *param,
                                   struct tern_err *err)
{
    struct tern_infer_request *request = &gc->call.request;
    uint64_t us, ns;

    TERN_TRY(tern_param_u64(param, &us, err));
    if (us == 0 || __builtin_mul_overflow(us, UINT64_C(1000), &ns))
        return TERN_OK;
    if (bounds_the_wait(gc)) {
        request->timeout_ns = ns;
        return TERN_OK;
    }
    if (__builtin_add_overflow(ns, gc->came_ns, &ns))
        return TERN_OK;
    if (request->deadline_ns == 0 || ns < request->deadline_ns)
        request->deadline_ns = ns;
    return TERN_OK;
}

/* A number, or a text; both stand for "no sequence" when they are zero or empty. */
static enum tern_code take_sequence_id(struct tern_sequence *sequence,
                                       const struct tern_param *param, struct tern_err *err)
{
    if (param->kind != TERN_PARAM_STRING)
        return tern_param_u64(param, &sequence->id, err);
    if (param->string.n > TERN_SEQUENCE_TEXT_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Invalid value for 'sequence_id': a text has at most %d bytes, got %zu",
                         TERN_SEQUENCE_TEXT_MAX, param->string.n);
    sequence->text = param->string;
    return TERN_OK;
}

static enum tern_code take_param(struct gateway_call *gc, const struct tern_param *param,
                                 struct tern_err *err)
{
    struct tern_infer_request *request = &gc->call.request;

    if (tern_str_eq(param->key, TERN_STR("timeout")))
        return take_timeout(gc, param, err);
    if (tern_str_eq(param->key, TERN_STR("priority")))
        return tern_param_u64(param, &request->priority, err);
    if (tern_str_eq(param->key, TERN_STR("sequence_id")))
        return take_sequence_id(&request->sequence, param, err);
    if (tern_str_eq(param->key, TERN_STR("sequence_start")))
        return tern_param_bool(param, &request->sequence.start, err);
    if (tern_str_eq(param->key, TERN_STR("sequence_end")))
        return tern_param_bool(param, &request->sequence.end, err);
    return TERN_OK;
}

/* Headers come last: none of them is taken for a parameter of the request itself. */
enum tern_code gateway_take_params(struct gateway_call *gc, struct tern_err *err)
{
    const struct tern_gateway_settings *settings = &gc->gateway->settings;
    struct tern_call *call = &gc->call;
    struct tern_params *params = &call->request.params;

    for (uint32_t i = 0; i < params->n; i++)
        TERN_TRY(take_param(gc, &params->rows[i], err));
    const struct tern_forward *forward =
        call->proto->is_grpc ? settings->forward_grpc : settings->forward_http;
    if (TERN_LIKELY(forward == NULL))
        return TERN_OK;
    return tern_forward_apply(forward, gc->loop->index, call->x, call->arena, params, err);
}
