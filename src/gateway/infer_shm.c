#include "gateway/infer_shm.h"

#include <inttypes.h>
#include <string.h>

struct tern_infer_shm_use {
    struct tern_infer_shm_use *next;
    struct tern_region *region;
    struct tern_str name; /* of the region, as the request says it */
};

/* ---- before the run ---- */

static void release(void *arg)
{
    tern_region_release(arg);
}

/* Each region once, however many tensors lie in it. */
static enum tern_code hold(struct tern_regions *regions, struct tern_call *call,
                           struct tern_infer_shm_uses *uses, struct tern_str name,
                           struct tern_region **ret_region, struct tern_err *err)
{
    for (struct tern_infer_shm_use *use = uses->first; use != NULL; use = use->next) {
        if (tern_str_eq(use->name, name)) {
            *ret_region = use->region;
            return TERN_OK;
        }
    }
    struct tern_infer_shm_use *use = tern_arena_zalloc(call->arena, 1, sizeof(*use));
    if (use == NULL)
        return tern_arena_fail(call->arena, err, "a shared memory region");
    TERN_TRY(tern_regions_take(regions, name, &use->region, err));
    enum tern_code code = tern_arena_on_reset(call->arena, release, use->region, err);
    if (code != TERN_OK) {
        tern_region_release(use->region);
        return code;
    }
    use->name = name;
    use->next = uses->first;
    uses->first = use;
    TERN_TRY(tern_region_check(use->region, err));
    *ret_region = use->region;
    return TERN_OK;
}

/* Whether engines check values of this type once and then rely on them. */
static bool is_relied_on(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_BYTES || dtype == TERN_DTYPE_BOOL || dtype == TERN_DTYPE_INT32 ||
           dtype == TERN_DTYPE_INT64;
}

static enum tern_code copy_data(struct tern_arena *arena, struct tern_tensor *tensor,
                                struct tern_err *err)
{
    void *copy = tern_arena_alloc(arena, TERN_CACHE_LINE, tensor->n_bytes);

    if (copy == NULL)
        return tern_arena_fail(arena, err, "a tensor from shared memory");
    if (tensor->n_bytes > 0)
        memcpy(copy, tensor->data, tensor->n_bytes);
    tensor->data = copy;
    return TERN_OK;
}

static enum tern_code take_input(struct tern_regions *regions, struct tern_call *call,
                                 struct tern_infer_shm_uses *uses, struct tern_tensor *input,
                                 struct tern_err *err)
{
    struct tern_region *region;
    size_t want = (size_t)input->region->byte_size;
    char *p;

    TERN_TRY(hold(regions, call, uses, input->region->name, &region, err));
    TERN_TRY(tern_region_range(region, input->region, &p, err));
    input->data = p;
    input->n_bytes = want;
    return is_relied_on(input->dtype) ? copy_data(call->arena, input, err) : TERN_OK;
}

enum tern_code tern_infer_shm_begin(struct tern_regions *regions, struct tern_call *call,
                                    struct tern_infer_shm_uses *uses, struct tern_err *err)
{
    const struct tern_infer_request *request = &call->request;
    struct tern_region *region;
    char *p;

    for (uint32_t i = 0; i < request->n_inputs; i++) {
        if (request->inputs[i].region != NULL)
            TERN_TRY(take_input(regions, call, uses, &request->inputs[i], err));
    }
    for (uint32_t i = 0; i < request->n_outputs; i++) {
        const struct tern_region_ref *ref = request->outputs[i].region;
        if (ref == NULL)
            continue;
        TERN_TRY(hold(regions, call, uses, ref->name, &region, err));
        TERN_TRY(tern_region_range(region, ref, &p, err));
    }
    return TERN_OK;
}

/* ---- after the run ---- */

static struct tern_region *find(const struct tern_infer_shm_uses *uses, struct tern_str name)
{
    for (const struct tern_infer_shm_use *use = uses->first; use != NULL; use = use->next) {
        if (tern_str_eq(use->name, name))
            return use->region;
    }
    return NULL;
}

static bool is_shared(const struct tern_infer_shm_uses *uses, const void *p)
{
    for (const struct tern_infer_shm_use *use = uses->first; use != NULL; use = use->next) {
        if (tern_region_holds(use->region, p))
            return true;
    }
    return false;
}

/* What two outputs would write to the same place is lost; better to say so. */
static enum tern_code check_overlap(const struct tern_call *call, uint32_t index,
                                    struct tern_err *err)
{
    const struct tern_tensor *tensor = &call->response.outputs[index];
    uint64_t start = tensor->region->offset, end = start + tensor->n_bytes;

    for (uint32_t i = 0; i < index; i++) {
        const struct tern_tensor *other = &call->response.outputs[i];
        if (other->region == NULL || !tern_str_eq(other->region->name, tensor->region->name))
            continue;
        uint64_t other_start = other->region->offset;
        if (start < other_start + other->n_bytes && other_start < end)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "outputs '%.*s' and '%.*s' overlap in shared memory region '%.*s'",
                             TERN_STR_ARG(other->name), TERN_STR_ARG(tensor->name),
                             TERN_STR_ARG(tensor->region->name));
    }
    return TERN_OK;
}

static enum tern_code write_output(struct tern_call *call, const struct tern_infer_shm_uses *uses,
                                   uint32_t index, struct tern_err *err)
{
    struct tern_tensor *tensor = &call->response.outputs[index];
    const struct tern_region_ref *ref = tensor->region;
    struct tern_region *region = find(uses, ref->name);
    char *p;

    if (region == NULL)
        return tern_fail(err, TERN_INTERNAL, "output '%.*s' has no shared memory region",
                         TERN_STR_ARG(tensor->name));
    if (tensor->n_bytes > ref->byte_size)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "shared memory size specified with the request for output '%.*s' (%" PRIu64
                         " bytes) should be at least %zu bytes to hold the results",
                         TERN_STR_ARG(tensor->name), ref->byte_size, tensor->n_bytes);
    TERN_TRY(check_overlap(call, index, err));
    TERN_TRY(tern_region_range(region, ref, &p, err));
    if (tensor->n_bytes > 0)
        memmove(p, tensor->data, tensor->n_bytes);
    return TERN_OK;
}

enum tern_code tern_infer_shm_end(struct tern_call *call, const struct tern_infer_shm_uses *uses,
                                  struct tern_err *err)
{
    struct tern_infer_response *response = &call->response;

    for (uint32_t i = 0; i < response->n_outputs; i++) {
        struct tern_tensor *tensor = &response->outputs[i];
        if (tensor->region != NULL)
            TERN_TRY(write_output(call, uses, i, err));
        else if (is_shared(uses, tensor->data))
            TERN_TRY(copy_data(call->arena, tensor, err));
    }
    for (const struct tern_infer_shm_use *use = uses->first; use != NULL; use = use->next)
        TERN_TRY(tern_region_check(use->region, err));
    return TERN_OK;
}
