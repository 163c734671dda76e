#include "front/forward.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/mem.h"

/* Steps of one match: generous for a name of some dozen bytes, and an end for a pattern that
 * backtracks without one. */
#define MATCH_STEPS_MAX 20000u
#define MATCH_KIB_MAX   256u

struct tern_forward {
    pcre2_code *code;
    pcre2_match_context *limits;
    pcre2_match_data **scratch; /* one a loop */
    uint32_t n_loops;
};

static void *take_memory(size_t size, void *arg)
{
    (void)arg;
    return tern_mem_alloc(size);
}

static void give_memory(void *p, void *arg)
{
    (void)arg;
    tern_mem_free(p);
}

static enum tern_code compile(struct tern_forward *forward, struct tern_str pattern,
                              pcre2_general_context *memory, struct tern_err *err)
{
    const uint32_t options =
        PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_CASELESS | PCRE2_NEVER_BACKSLASH_C;
    pcre2_compile_context *context = pcre2_compile_context_create(memory);
    PCRE2_UCHAR why[128] = "";
    int number = 0;
    size_t at = 0;

    if (context == NULL)
        return tern_mem_fail(err, "a pattern", pattern.n);
    forward->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, options, &number, &at, context);
    pcre2_compile_context_free(context);
    if (forward->code != NULL)
        return TERN_OK;
    pcre2_get_error_message(number, why, sizeof(why));
    return tern_fail(err, TERN_INVALID_ARGUMENT, "the pattern \"%.*s\" is wrong at byte %zu: %s",
                     TERN_STR_ARG(pattern), at, (const char *)why);
}

static enum tern_code fill(struct tern_forward *forward, struct tern_str pattern,
                           pcre2_general_context *memory, struct tern_err *err)
{
    TERN_TRY(compile(forward, pattern, memory, err));
    forward->limits = pcre2_match_context_create(memory);
    forward->scratch = tern_mem_zalloc(forward->n_loops, sizeof(pcre2_match_data *));
    if (forward->limits == NULL || forward->scratch == NULL)
        return tern_mem_fail(err, "a pattern", pattern.n);
    pcre2_set_match_limit(forward->limits, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(forward->limits, MATCH_KIB_MAX);
    for (uint32_t i = 0; i < forward->n_loops; i++) {
        forward->scratch[i] = pcre2_match_data_create(1, memory);
        if (forward->scratch[i] == NULL)
            return tern_mem_fail(err, "a pattern", pattern.n);
    }
    return TERN_OK;
}

enum tern_code tern_forward_new(struct tern_str pattern, uint32_t n_loops,
                                struct tern_forward **ret_forward, struct tern_err *err)
{
    struct tern_forward *forward = tern_mem_zalloc(1, sizeof(*forward));
    pcre2_general_context *memory = pcre2_general_context_create(take_memory, give_memory, NULL);

    if (forward == NULL || memory == NULL) {
        tern_mem_free(forward);
        pcre2_general_context_free(memory);
        return tern_mem_fail(err, "a pattern", sizeof(*forward));
    }
    forward->n_loops = n_loops;
    enum tern_code code = fill(forward, pattern, memory, err);
    pcre2_general_context_free(memory); /* each part has kept the two functions */
    if (code != TERN_OK) {
        tern_forward_free(forward);
        return code;
    }
    *ret_forward = forward;
    return TERN_OK;
}

void tern_forward_free(struct tern_forward *forward)
{
    if (forward == NULL)
        return;
    for (uint32_t i = 0; i < forward->n_loops && forward->scratch != NULL; i++)
        pcre2_match_data_free(forward->scratch[i]);
    tern_mem_free(forward->scratch);
    pcre2_match_context_free(forward->limits);
    pcre2_code_free(forward->code);
    tern_mem_free(forward);
}

bool tern_forward_takes(const struct tern_forward *forward, uint32_t loop, struct tern_str name)
{
    return pcre2_match(forward->code, (PCRE2_SPTR)name.p, name.n, 0, 0, forward->scratch[loop],
                       forward->limits) >= 0;
}

/* Names of headers differ in more than case. */
static bool is_there(const struct tern_params *params, struct tern_str name)
{
    for (uint32_t i = 0; i < params->n; i++) {
        if (tern_str_eq_nocase(params->rows[i].key, name))
            return true;
    }
    return false;
}

enum tern_code tern_forward_apply(const struct tern_forward *forward, uint32_t loop,
                                  const struct tern_exchange *x, struct tern_arena *arena,
                                  struct tern_params *params, struct tern_err *err)
{
    if (TERN_LIKELY(forward == NULL))
        return TERN_OK;
    for (uint32_t i = 0; i < x->n_headers; i++) {
        const struct tern_header *header = &x->headers[i];
        if (!tern_forward_takes(forward, loop, header->name) || is_there(params, header->name))
            continue;
        const struct tern_param param = {
            .key = header->name, .kind = TERN_PARAM_STRING, .string = header->value};
        TERN_TRY(tern_params_add(arena, params, &param, err));
    }
    return TERN_OK;
}
