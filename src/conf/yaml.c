#include "conf/yaml.h"

#include <libfyaml.h>

struct reader {
    struct fy_parser *parser;
    struct tern_str file;
    struct tern_arena *arena;
    struct tern_problems *problems;
    struct tern_tree *root;
    struct tern_tree *open; /* the map or list being filled */
    /* A key read, whose value comes next. */
    struct tern_str key;
    uint32_t key_line, key_column;
    bool has_key;
    bool failed;
    uint32_t documents;
    uint32_t depth;
};

static uint32_t at_line(const struct fy_mark *mark)
{
    return mark == NULL || mark->line < 0 ? 1 : (uint32_t)mark->line + 1;
}

static uint32_t at_column(const struct fy_mark *mark)
{
    return mark == NULL || mark->column < 0 ? 1 : (uint32_t)mark->column + 1;
}

static void refuse(struct reader *r, struct fy_event *event, const char *text)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    struct tern_str place =
        tern_problem_place(r->problems, r->file, at_line(mark), at_column(mark));

    tern_problem_add(r->problems, place, "%s", text);
    r->failed = true;
}

/* Takes the key that stands for the next value; the node's own place comes from the event. */
static struct tern_tree *add_node(struct reader *r, enum tern_tree_kind kind,
                                  struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    struct tern_tree *node = tern_tree_add(r->arena, r->open, kind);

    if (node == NULL) {
        refuse(r, event, "the file is too large for the memory it may take");
        return NULL;
    }
    if (r->open == NULL)
        r->root = node;
    node->line = at_line(mark);
    node->column = at_column(mark);
    node->key = r->key;
    node->key_line = r->has_key ? r->key_line : node->line;
    node->key_column = r->has_key ? r->key_column : node->column;
    r->key = tern_str_make(NULL, 0);
    r->has_key = false;
    return node;
}

static bool wants_key(const struct reader *r)
{
    return r->open != NULL && r->open->kind == TERN_TREE_MAP && !r->has_key;
}

static void open_node(struct reader *r, enum tern_tree_kind kind, struct fy_event *event)
{
    if (wants_key(r)) {
        refuse(r, event, "a key must be a plain word");
        return;
    }
    if (r->depth == TERN_TREE_DEPTH_MAX) {
        refuse(r, event, "nested too deep");
        return;
    }
    struct tern_tree *node = add_node(r, kind, event);
    if (node != NULL) {
        r->open = node;
        r->depth++;
    }
}

static void close_node(struct reader *r)
{
    if (r->open == NULL)
        return;
    r->open = r->open->parent;
    r->depth--;
}

static void take_key(struct reader *r, struct tern_str text, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);

    if (text.n == 0) {
        refuse(r, event, "an empty key");
    } else if (r->open->n == TERN_TREE_KEYS_MAX) {
        refuse(r, event, "too many keys in one map");
    } else if (tern_tree_find(r->open, text) != NULL) {
        refuse(r, event, "this key was given before in the same map");
    } else {
        r->key = text;
        r->key_line = at_line(mark);
        r->key_column = at_column(mark);
        r->has_key = true;
    }
}

static void read_scalar(struct reader *r, struct fy_event *event)
{
    size_t n = 0;
    struct fy_token *token = event->scalar.value;
    const char *p = token == NULL ? "" : fy_token_get_text(token, &n);
    struct tern_str text = tern_arena_copy(r->arena, tern_str_make(p, p == NULL ? 0 : n));

    if (event->scalar.tag != NULL || event->scalar.anchor != NULL) {
        refuse(r, event, "tags and anchors are not supported");
    } else if (text.p == NULL) {
        refuse(r, event, "the file is too large for the memory it may take");
    } else if (!tern_str_is_utf8(text) || memchr(text.p, 0, text.n) != NULL) {
        refuse(r, event, "text is not valid UTF-8 or holds a zero byte");
    } else if (wants_key(r)) {
        take_key(r, text, event);
    } else {
        struct tern_tree *node = add_node(r, TERN_TREE_SCALAR, event);
        if (node == NULL)
            return;
        node->text = text;
        node->quoted = token != NULL && fy_token_scalar_style(token) != FYSS_PLAIN;
    }
}

static void read_event(struct reader *r, struct fy_event *event)
{
    switch (event->type) {
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END:
        return;
    case FYET_DOCUMENT_START:
        if (r->documents++ > 0)
            refuse(r, event, "only one document is allowed in a file");
        return;
    case FYET_MAPPING_START:
    case FYET_SEQUENCE_START: {
        bool map = event->type == FYET_MAPPING_START;
        if (map ? event->mapping_start.anchor != NULL || event->mapping_start.tag != NULL
                : event->sequence_start.anchor != NULL || event->sequence_start.tag != NULL)
            refuse(r, event, "tags and anchors are not supported");
        else
            open_node(r, map ? TERN_TREE_MAP : TERN_TREE_LIST, event);
        return;
    }
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        close_node(r);
        return;
    case FYET_SCALAR:
        read_scalar(r, event);
        return;
    case FYET_ALIAS:
        refuse(r, event, "aliases are not supported");
        return;
    }
}

/* What libfyaml found wrong, with its place. */
static void take_diagnostics(struct reader *r, struct fy_diag *diag)
{
    void *cursor = NULL;
    struct fy_diag_error *e;
    bool any = false;

    while ((e = fy_diag_errors_iterate(diag, &cursor)) != NULL && !any) {
        uint32_t line = e->line < 1 ? 1 : (uint32_t)e->line;
        uint32_t column = e->column < 1 ? 1 : (uint32_t)e->column;
        tern_problem_add(r->problems, tern_problem_place(r->problems, r->file, line, column), "%s",
                         e->msg == NULL ? "malformed" : e->msg);
        any = true; /* what follows the first is usually its echo */
    }
    if (!any)
        tern_problem_add(r->problems, r->file, "malformed");
    r->failed = true;
}

static void read_events(struct reader *r, struct fy_diag *diag)
{
    struct fy_event *event;

    while (!r->failed && (event = fy_parser_parse(r->parser)) != NULL) {
        read_event(r, event);
        fy_parser_event_free(r->parser, event);
    }
    if (!r->failed && fy_parser_get_stream_error(r->parser))
        take_diagnostics(r, diag);
}

static struct fy_diag *quiet_diag(void)
{
    struct fy_diag_cfg cfg;

    fy_diag_cfg_default(&cfg);
    cfg.fp = NULL;
    cfg.output_fn = NULL;
    cfg.level = FYET_ERROR;
    struct fy_diag *diag = fy_diag_create(&cfg);
    if (diag != NULL)
        fy_diag_set_collect_errors(diag, true);
    return diag;
}

static struct tern_tree *finish(struct reader *r)
{
    if (r->failed)
        return NULL;
    if (r->root == NULL || tern_tree_is_null(r->root)) {
        struct tern_tree *empty = tern_tree_add(r->arena, NULL, TERN_TREE_MAP);
        if (empty == NULL)
            tern_problem_add(r->problems, r->file, "no memory to read it");
        return empty;
    }
    if (r->root->kind == TERN_TREE_MAP)
        return r->root;
    tern_problem_add(r->problems,
                     tern_problem_place(r->problems, r->file, r->root->line, r->root->column),
                     "expected a map of names and values");
    return NULL;
}

/* What must not reach libfyaml: on a '%' line with malformed UTF-8 release 0.7.12 never comes back,
 * and nothing that a configuration needs is lost with directives and control bytes. */
static bool is_readable(const struct reader *r, struct tern_str text)
{
    uint32_t line = 1;
    size_t line_start = 0;

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool directive = c == '%' && i == line_start;
        bool control = (c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7F;
        if (directive || control) {
            tern_problem_add(
                r->problems,
                tern_problem_place(r->problems, r->file, line, (uint32_t)(i - line_start) + 1),
                "%s are not supported", directive ? "directives" : "control characters");
            return false;
        }
        if (c == '\n') {
            line++;
            line_start = i + 1;
        }
    }
    if (!tern_str_is_utf8(text))
        tern_problem_add(r->problems, r->file, "not valid UTF-8");
    return tern_str_is_utf8(text);
}

struct tern_tree *tern_yaml_read(struct tern_str text, enum tern_yaml_form form,
                                 struct tern_str file, struct tern_arena *arena,
                                 struct tern_problems *problems)
{
    struct reader r = {.file = file, .arena = arena, .problems = problems};

    if (text.n > TERN_YAML_TEXT_MAX) {
        tern_problem_add(problems, file, "%zu bytes, at most %u are read", text.n,
                         TERN_YAML_TEXT_MAX);
        return NULL;
    }
    if (!is_readable(&r, text))
        return NULL;
    struct fy_diag *diag = quiet_diag();
    struct fy_parse_cfg cfg = {
        .flags =
            FYPCF_COLLECT_DIAG | (form == TERN_YAML_FORM_JSON ? FYPCF_JSON_FORCE : FYPCF_JSON_NONE),
        .diag = diag,
    };
    r.parser = diag == NULL ? NULL : fy_parser_create(&cfg);
    const char *p = text.n == 0 ? "\n" : text.p;
    if (r.parser == NULL || fy_parser_set_string(r.parser, p, text.n == 0 ? 1 : text.n) != 0) {
        tern_problem_add(problems, file, "no memory to read it");
        r.failed = true;
    } else {
        read_events(&r, diag);
    }
    if (r.parser != NULL)
        fy_parser_destroy(r.parser);
    if (diag != NULL)
        fy_diag_destroy(diag);
    return finish(&r);
}
