/* `tern infer` with a model behind a server. */
#include "cli/infer.h"
#include "cli/remote.h"

#define REQUEST_BYTES_MAX (1u << 30)

struct state {
    struct tern_remote remote;
    struct tern_buf body; /* of the request */
};

static enum tern_code run_remote(struct tern_infer_model *self,
                                 const struct tern_v2_tensors *inputs, struct tern_arena *arena,
                                 struct tern_v2_answer *ret, struct tern_err *err)
{
    struct state *state = self->state;
    struct tern_str answer = {NULL, 0};
    struct tern_json json;
    size_t json_n;

    tern_buf_clear(&state->body);
    TERN_TRY(tern_v2_write_request(&state->body, inputs, false, &json_n, err));
    struct tern_str path = tern_arena_printf(arena, "%.*s/infer", TERN_STR_ARG(state->remote.path));
    enum tern_code code = tern_remote_call(&state->remote, "POST", path, tern_buf_str(&state->body),
                                           arena, &answer, err);
    self->unreachable = state->remote.unreachable;
    if (code != TERN_OK)
        return code;
    tern_json_init(&json, answer, arena);
    code = tern_v2_read_answer(&json, TERN_STR(""), ret, err);
    if (code != TERN_OK)
        tern_err_prefix(err, "the server's answer");
    return code;
}

static void close_remote(struct tern_infer_model *self)
{
    struct state *state = self->state;

    tern_buf_fini(&state->body);
    tern_remote_close(&state->remote);
}

enum tern_code tern_infer_open_remote(struct tern_str url, const struct tern_infer_options *options,
                                      struct tern_arena *arena, struct tern_infer_model *ret,
                                      struct tern_err *err)
{
    const struct tern_remote_choice choice = {.url = url,
                                              .model = options->model,
                                              .version = options->model_version,
                                              .timeout_ns = options->timeout_ns};
    struct state *state = tern_arena_zalloc(arena, 1, sizeof(*state));

    if (state == NULL)
        return tern_arena_fail(arena, err, "the client");
    *ret = (struct tern_infer_model){
        .run = run_remote, .close = close_remote, .state = state, .remote = &state->remote};
    tern_buf_init(&state->body, REQUEST_BYTES_MAX);
    enum tern_code code = tern_remote_open(&state->remote, &choice, arena, err);
    ret->unreachable = state->remote.unreachable;
    ret->info = state->remote.info;
    return code;
}
