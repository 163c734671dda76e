#include "cli/remote.h"

#include <inttypes.h>
#include "base/num.h"
#include "cli/v2.h"
#include "simd/numbers.h"

#define ANSWER_BYTES_MAX (1u << 30)
#define NAMES_SHOWN      10

enum tern_code tern_remote_text(struct tern_str body, struct tern_arena *arena,
                                struct tern_str *ret, struct tern_err *err)
{
    char *copy = tern_arena_alloc(arena, 1, body.n + TERN_TEXT_PAD);

    if (copy == NULL)
        return tern_arena_fail(arena, err, "the server's answer");
    if (body.n > 0)
        memcpy(copy, body.p, body.n);
    memset(copy + body.n, 0, TERN_TEXT_PAD);
    *ret = tern_str_make(copy, body.n);
    return TERN_OK;
}

enum tern_code tern_remote_call(struct tern_remote *remote, const char *method,
                                struct tern_str path, struct tern_str body,
                                struct tern_arena *arena, struct tern_str *ret,
                                struct tern_err *err)
{
    struct tern_str type = body.n > 0 ? TERN_STR("application/json") : TERN_STR("");
    enum tern_code code = tern_http_client_call(&remote->client, method, path, type, body, err);

    remote->unreachable = code != TERN_OK;
    if (code != TERN_OK)
        return code;
    TERN_TRY(tern_remote_text(tern_http_reader_body(&remote->client.reader), arena, ret, err));
    int status = remote->client.reader.status;
    if (status >= 200 && status < 300)
        return TERN_OK;
    struct tern_str text = tern_str_trim(tern_v2_error_text(*ret, arena));
    return tern_fail(err, status == 404 ? TERN_NOT_FOUND : TERN_FAILED_PRECONDITION,
                     "the server answered %d: %.*s%s", status, TERN_STR_ARG(text),
                     tern_http_reader_advice(&remote->client.reader, text));
}

/* ---- which model ---- */

/* "http://host:1/v2/models/iris/versions/2" into the server, the name and the version. */
static enum tern_code split_url(struct tern_str url, struct tern_str *ret_server,
                                struct tern_str *ret_model, uint64_t *ret_version,
                                struct tern_err *err)
{
    static const char mark[] = "/v2/models/";
    const char *at = memmem(url.p, url.n, mark, sizeof(mark) - 1);
    struct tern_str rest, name, piece;

    *ret_server = url;
    if (at == NULL)
        return TERN_OK;
    *ret_server = tern_str_make(url.p, (size_t)(at - url.p));
    rest = tern_str_from(url, ret_server->n + sizeof(mark) - 1);
    if (!tern_str_split(&rest, '/', &name) || !tern_model_name_is_valid(name))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "'%.*s' names no model", TERN_STR_ARG(url));
    *ret_model = name;
    if (!tern_str_split(&rest, '/', &piece) || piece.n == 0 ||
        tern_str_eq(piece, TERN_STR("infer")))
        return TERN_OK;
    if (!tern_str_eq(piece, TERN_STR("versions")) || !tern_str_split(&rest, '/', &piece) ||
        !tern_num_parse_u64(piece, INT64_MAX, ret_version))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "'%.*s': expected http://HOST:PORT/v2/models/NAME/versions/NUMBER",
                         TERN_STR_ARG(url));
    return TERN_OK;
}

/* ["iris", ...] of {"models": [...]}: the only one, or an error that lists them. */
static enum tern_code read_only_name(struct tern_json *json, struct tern_str *ret,
                                     struct tern_err *err)
{
    struct tern_buf names;
    struct tern_str name = {NULL, 0};
    uint32_t n = 0;
    bool more;

    tern_buf_init(&names, 8192);
    enum tern_code code = tern_json_array(json, err);
    for (;;) {
        if (code == TERN_OK)
            code = tern_json_item(json, &more, err);
        if (code != TERN_OK || !more)
            break;
        code = tern_json_string(json, &name, err);
        if (code == TERN_OK && n++ < NAMES_SHOWN)
            tern_buf_printf(&names, "%s%.*s", n == 1 ? "" : ", ", TERN_STR_ARG(name));
    }
    if (code == TERN_OK && n == 0)
        code = tern_fail(err, TERN_NOT_FOUND, "the server has no model");
    else if (code == TERN_OK && n > 1)
        code = tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the server has several models: %.*s%s. Choose with --model NAME",
                         TERN_STR_ARG(tern_buf_str(&names)), n > NAMES_SHOWN ? ", ..." : "");
    tern_buf_fini(&names);
    if (code == TERN_OK)
        *ret = name;
    return code;
}

static enum tern_code only_model(struct tern_remote *remote, struct tern_arena *arena,
                                 struct tern_str *ret, struct tern_err *err)
{
    struct tern_json json;
    struct tern_str body, key;
    bool more;

    TERN_TRY(
        tern_remote_call(remote, "GET", TERN_STR("/v2/models"), TERN_STR(""), arena, &body, err));
    tern_json_init(&json, body, arena);
    TERN_TRY(tern_json_object(&json, err));
    for (;;) {
        TERN_TRY(tern_json_key(&json, &more, &key, err));
        if (!more)
            return tern_fail(err, TERN_NOT_FOUND,
                             "the server does not list its models: choose with --model NAME");
        if (tern_str_eq(key, TERN_STR("models")))
            return read_only_name(&json, ret, err);
        TERN_TRY(tern_json_skip(&json, err));
    }
}

/* ---- the model ---- */

/* Inputs, outputs, and how many rows it takes at once. That a server has no config route costs the
 * last only. */
static enum tern_code describe(struct tern_remote *remote, struct tern_arena *arena,
                               struct tern_err *err)
{
    struct tern_json json;
    struct tern_str body;

    TERN_TRY(tern_remote_call(remote, "GET", remote->path, TERN_STR(""), arena, &body, err));
    tern_json_init(&json, body, arena);
    TERN_TRY(tern_v2_read_metadata(&json, &remote->info, err));
    struct tern_str config = tern_arena_printf(arena, "%.*s/config", TERN_STR_ARG(remote->path));
    if (tern_remote_call(remote, "GET", config, TERN_STR(""), arena, &body, NULL) != TERN_OK)
        return TERN_OK;
    tern_json_init(&json, body, arena);
    (void)tern_v2_read_number(&json, TERN_STR("max_batch_size"), &remote->info.max_batch_size,
                              NULL);
    return TERN_OK;
}

static enum tern_code open_model(struct tern_remote *remote, struct tern_str model,
                                 struct tern_arena *arena, struct tern_err *err)
{
    if (model.n == 0)
        TERN_TRY(only_model(remote, arena, &model, err));
    if (!tern_model_name_is_valid(model))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "'%.*s' is no name of a model",
                         TERN_STR_ARG(model));
    remote->path = remote->version == 0
                       ? tern_arena_printf(arena, "/v2/models/%.*s", TERN_STR_ARG(model))
                       : tern_arena_printf(arena, "/v2/models/%.*s/versions/%" PRIu64,
                                           TERN_STR_ARG(model), remote->version);
    if (remote->path.p == NULL)
        return tern_arena_fail(arena, err, "the model's path");
    return describe(remote, arena, err);
}

enum tern_code tern_remote_open(struct tern_remote *remote, const struct tern_remote_choice *choice,
                                struct tern_arena *arena, struct tern_err *err)
{
    struct tern_str server, model = {NULL, 0};

    *remote = (struct tern_remote){.version = 0};
    TERN_TRY(split_url(choice->url, &server, &model, &remote->version, err));
    enum tern_code code = tern_http_target_parse(server, &remote->target, err);
    if (code != TERN_OK) {
        remote->unreachable = code == TERN_UNAVAILABLE;
        return code;
    }
    if (choice->version > 0)
        remote->version = choice->version;
    tern_http_client_init(&remote->client, &remote->target, choice->timeout_ns, ANSWER_BYTES_MAX);
    code = open_model(remote, choice->model.n > 0 ? choice->model : model, arena, err);
    if (code != TERN_OK)
        tern_remote_close(remote);
    return code;
}

void tern_remote_close(struct tern_remote *remote)
{
    tern_http_client_fini(&remote->client);
}
