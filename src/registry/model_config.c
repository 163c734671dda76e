/* What a configuration has, looked up; and its whole, as text. */
#include "registry/model_config.h"

#include "base/buf.h"
#include "registry/model_schema.h"

#define FORM_MAX (8u << 20) /* bytes of the whole, as JSON or encoded */

const struct tern_config_tensor *tern_model_config_find(const struct tern_config_tensor *rows,
                                                        uint32_t n, struct tern_str name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (tern_str_eq(rows[i].name, name))
            return &rows[i];
    }
    return NULL;
}

struct tern_shape tern_model_config_whole(const struct tern_model_config *config,
                                          const struct tern_shape *dims)
{
    struct tern_shape whole = {.rank = 0};

    if (config->max_batch_size > 0)
        whole.dim[whole.rank++] = -1;
    for (int i = 0; i < dims->rank && whole.rank < TERN_RANK_MAX; i++)
        whole.dim[whole.rank++] = dims->dim[i];
    return whole;
}

/* Writes the whole tree in one of its forms, and keeps it in the arena. */
static enum tern_code write_form(const struct tern_model_config *config,
                                 void (*write)(const struct tern_schema_message *message,
                                               const struct tern_tree *tree, struct tern_buf *out),
                                 const char *what, struct tern_arena *arena,
                                 struct tern_str *ret_text, struct tern_err *err)
{
    struct tern_buf out;
    struct tern_str text = {NULL, 0};

    tern_buf_init(&out, FORM_MAX);
    write(&tern_model_schema, config->tree, &out);
    enum tern_code code = tern_buf_check(&out, what, err);
    if (code == TERN_OK) {
        text = tern_arena_copy(arena, tern_buf_str(&out));
        if (text.p == NULL)
            code = tern_arena_fail(arena, err, what);
    }
    tern_buf_fini(&out);
    if (code == TERN_OK)
        *ret_text = text;
    return code;
}

enum tern_code tern_model_config_print_rest(const struct tern_model_config *config,
                                            struct tern_arena *arena, struct tern_str *ret_json,
                                            struct tern_err *err)
{
    struct tern_tree *groups = tern_tree_find(config->tree, TERN_STR("instance_group"));
    struct tern_tree before = {.kind = TERN_TREE_LIST};

    if (groups != NULL) { /* empty while it is printed */
        before = *groups;
        groups->first = groups->last = NULL;
        groups->n = 0;
    }
    enum tern_code code = tern_model_config_print(config, arena, ret_json, err);
    if (groups != NULL)
        *groups = before;
    if (code != TERN_OK || config->batching == NULL)
        return code;
    /* What no field of a ModelConfig says. */
    *ret_json = tern_arena_printf(arena, "%.*s %u rows, %llu ns", TERN_STR_ARG(*ret_json),
                                  config->batching->max_rows,
                                  (unsigned long long)config->batching->delay_ns);
    return ret_json->p == NULL ? tern_arena_fail(arena, err, "the configuration") : TERN_OK;
}

static enum tern_code write_forms(const struct tern_model_config *config, struct tern_arena *arena,
                                  struct tern_model_config_text *text, struct tern_err *err)
{
    TERN_TRY(tern_model_config_print(config, arena, &text->json, err));
    return tern_model_config_encode(config, arena, &text->pb, err);
}

enum tern_code tern_model_config_text(const struct tern_model_config *config,
                                      struct tern_arena *arena,
                                      const struct tern_model_config_text **ret_text,
                                      struct tern_err *err)
{
    struct tern_model_config_text *texts = tern_arena_zalloc(arena, 2, sizeof(*texts));
    struct tern_tree *policy = tern_tree_find(config->tree, TERN_STR("model_transaction_policy"));
    struct tern_tree *decoupled =
        policy == NULL ? NULL : tern_tree_find(policy, TERN_STR("decoupled"));

    if (texts == NULL)
        return tern_arena_fail(arena, err, "the configuration's text");
    TERN_TRY(write_forms(config, arena, &texts[0], err));
    *ret_text = texts;
    if (config->ensembling == NULL || decoupled == NULL)
        return TERN_OK;
    struct tern_str before = decoupled->text;
    decoupled->text = TERN_STR("true"); /* while it is written */
    enum tern_code code = write_forms(config, arena, &texts[1], err);
    decoupled->text = before;
    texts[0].decoupled = &texts[1];
    return code;
}

enum tern_code tern_model_config_print(const struct tern_model_config *config,
                                       struct tern_arena *arena, struct tern_str *ret_json,
                                       struct tern_err *err)
{
    return write_form(config, tern_model_schema_print, "the configuration as JSON", arena, ret_json,
                      err);
}

enum tern_code tern_model_config_encode(const struct tern_model_config *config,
                                        struct tern_arena *arena, struct tern_str *ret_pb,
                                        struct tern_err *err)
{
    return write_form(config, tern_model_schema_encode, "the configuration as protocol buffers",
                      arena, ret_pb, err);
}
