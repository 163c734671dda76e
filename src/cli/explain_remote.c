/* `tern explain` with a model behind a server: POST /v2/models/NAME/explain. */
#include "cli/explain.h"
#include "cli/remote.h"
#include "cli/values.h"

#define REQUEST_BYTES_MAX (1u << 30)
#define LIST_AT           10 /* where the list begins in {"inputs":[...]} */

/* The tensors of a request, as a member of another name. */
static enum tern_code add_background(struct tern_buf *body, const struct tern_v2_tensors *rows,
                                     struct tern_err *err)
{
    struct tern_buf text;
    size_t n;

    tern_buf_init(&text, REQUEST_BYTES_MAX);
    enum tern_code code = tern_v2_write_request(&text, rows, false, &n, err);
    if (code == TERN_OK) {
        TERN_BUF_ADD_LITERAL(body, ",\"background\":");
        tern_buf_add(body, text.p + LIST_AT, text.n - LIST_AT - 1);
    }
    tern_buf_fini(&text);
    return code;
}

static enum tern_code write_request(const struct tern_explain_question *question,
                                    struct tern_buf *body, struct tern_err *err)
{
    const struct tern_explain_options *options = question->options;
    size_t n;

    TERN_TRY(tern_v2_write_request(body, &question->rows->inputs, false, &n, err));
    if (body->n > 0)
        body->n--; /* the closing brace comes later */
    if (question->background.n > 0)
        TERN_TRY(add_background(body, &question->background, err));
    if (options->output_name.n > 0) {
        TERN_BUF_ADD_LITERAL(body, ",\"outputs\":[{\"name\":");
        tern_json_add_string(body, options->output_name);
        TERN_BUF_ADD_LITERAL(body, "}]");
    }
    TERN_BUF_ADD_LITERAL(body, ",\"parameters\":{\"method\":");
    tern_json_add_string(body, options->method);
    if (question->background.n == 0 && options->background.n > 0)
        TERN_BUF_ADD_LITERAL(body, ",\"background\":\"zeros\"");
    if (options->interactions)
        TERN_BUF_ADD_LITERAL(body, ",\"interactions\":true");
    TERN_BUF_ADD_LITERAL(body, ",\"nsamples\":");
    tern_buf_add_u64(body, options->nsamples);
    TERN_BUF_ADD_LITERAL(body, ",\"seed\":");
    tern_buf_add_u64(body, options->seed);
    TERN_BUF_ADD_LITERAL(body, "}}");
    return tern_buf_check(body, "the request", err);
}

static const struct tern_tensor *find(const struct tern_v2_answer *answer, const char *name,
                                      enum tern_dtype dtype)
{
    for (uint32_t i = 0; i < answer->outputs.n; i++) {
        const struct tern_tensor *tensor = &answer->outputs.rows[i];
        if (tern_str_eq(tensor->name, tern_str_of(name)) && tensor->dtype == dtype)
            return tensor;
    }
    return NULL;
}

static double *numbers(const struct tern_v2_answer *answer, const char *name, size_t count)
{
    const struct tern_tensor *tensor = find(answer, name, TERN_DTYPE_FP64);
    return tensor == NULL || tensor->n_bytes != count * sizeof(double) ? NULL : tensor->data;
}

static struct tern_str *names(const struct tern_v2_answer *answer, const char *name,
                              struct tern_arena *arena, uint32_t *ret_n)
{
    const struct tern_tensor *tensor = find(answer, name, TERN_DTYPE_BYTES);
    size_t count, at = 0;

    *ret_n = 0;
    if (tensor == NULL || !tern_shape_count(&tensor->shape, &count) || count > UINT32_MAX)
        return NULL;
    struct tern_str *rows = tern_arena_zalloc(arena, count + 1, sizeof(*rows));
    while (rows != NULL && *ret_n < count && tern_tensor_next_bytes(tensor, &at, &rows[*ret_n]))
        ++*ret_n;
    return rows;
}

/* {"parameters": {"method": ...}} */
static void read_params(struct tern_str text, struct tern_arena *arena,
                        struct tern_explain_answer *ret)
{
    struct tern_json json;
    struct tern_str key, value;
    bool more = false;

    tern_json_init(&json, text, arena);
    if (tern_json_object(&json, NULL) != TERN_OK)
        return;
    while (tern_json_key(&json, &more, &key, NULL) == TERN_OK && more) {
        if (tern_str_eq(key, TERN_STR("parameters"))) {
            if (tern_json_object(&json, NULL) != TERN_OK)
                return;
            while (tern_json_key(&json, &more, &key, NULL) == TERN_OK && more) {
                bool is_text = tern_json_peek(&json) == TERN_JSON_STRING;
                if ((is_text ? tern_json_string(&json, &value, NULL)
                             : tern_json_skip(&json, NULL)) != TERN_OK)
                    return;
                if (is_text && tern_str_eq(key, TERN_STR("method")))
                    (void)tern_explain_method_find(value, &ret->method);
                if (is_text && tern_str_eq(key, TERN_STR("explained")))
                    ret->is_margin = tern_str_eq(value, TERN_STR("margin"));
            }
            return;
        }
        if (tern_json_skip(&json, NULL) != TERN_OK)
            return;
    }
}

static enum tern_code take_answer(const struct tern_v2_answer *answer, struct tern_arena *arena,
                                  struct tern_explain_answer *ret, struct tern_err *err)
{
    bool is_global = ret->method == TERN_EXPLAIN_IMPORTANCE;

    ret->features = names(answer, "feature_names", arena, &ret->n_features);
    ret->outputs = names(answer, "output_names", arena, &ret->n_outputs);
    const struct tern_tensor *values =
        find(answer, is_global ? "importances" : "shap_values", TERN_DTYPE_FP64);
    size_t k = ret->n_outputs, m = ret->n_features;
    if (values != NULL && k * m > 0)
        ret->n = (uint32_t)(values->n_bytes / sizeof(double) / (k * m));
    ret->values = numbers(answer, is_global ? "importances" : "shap_values", ret->n * k * m);
    ret->deviations = numbers(answer, "deviations", k * m);
    ret->base = numbers(answer, "base_values", k);
    ret->predictions = numbers(answer, "predictions", ret->n * k);
    ret->additivity = numbers(answer, "additivity_error", ret->n);
    ret->interactions = numbers(answer, "interactions", ret->n * k * m * m);
    bool is_whole = ret->n > 0 && ret->values != NULL &&
                    (is_global || (ret->base != NULL && ret->predictions != NULL));
    return is_whole ? TERN_OK
                    : tern_fail(err, TERN_UNKNOWN, "the server's answer is no explanation");
}

enum tern_code tern_explain_ask_remote(const struct tern_explain_question *question,
                                       struct tern_explain_answer *ret, struct tern_err *err)
{
    struct tern_remote *remote = question->model->remote;
    struct tern_arena *arena = question->arena;
    struct tern_str text = {NULL, 0};
    struct tern_v2_answer answer;
    struct tern_json json;
    struct tern_buf body;

    *ret = (struct tern_explain_answer){.n = 0};
    tern_buf_init(&body, REQUEST_BYTES_MAX);
    enum tern_code code = write_request(question, &body, err);
    struct tern_str path = tern_arena_printf(arena, "%.*s/explain", TERN_STR_ARG(remote->path));
    if (code == TERN_OK)
        code = tern_remote_call(remote, "POST", path, tern_buf_str(&body), arena, &text, err);
    tern_buf_fini(&body);
    question->model->unreachable = remote->unreachable;
    if (code != TERN_OK)
        return code;
    tern_json_init(&json, text, arena);
    code = tern_v2_read_answer(&json, TERN_STR(""), &answer, err);
    if (code != TERN_OK) {
        tern_err_prefix(err, "the server's answer");
        return code;
    }
    read_params(text, arena, ret);
    return take_answer(&answer, arena, ret, err);
}
