/* From the text of a path to its steps. */
#include "wire/gjson.h"

#include "wire/gjson_int.h"

struct compile {
    struct tern_str path;
    size_t at;
    struct tern_arena *arena;
    struct gjson_step *steps; /* as many as the path has bytes are room enough */
    uint32_t n;
    uint32_t level;
    struct {
        uint32_t query;   /* the step whose query is being read */
        uint32_t segment; /* where the part behind the last | began */
    } levels[TERN_GJSON_DEPTH_MAX + 1];
};

static enum tern_code fail(const struct compile *c, struct tern_err *err, const char *what)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "condition \"%.*s\": %s at byte %zu",
                     TERN_STR_ARG(c->path), what, c->at);
}

static char peek(const struct compile *c)
{
    return c->at < c->path.n ? c->path.p[c->at] : '\0';
}

static bool starts(const struct compile *c, struct tern_str what)
{
    return tern_str_starts(tern_str_from(c->path, c->at), what);
}

static void skip_spaces(struct compile *c)
{
    while (peek(c) == ' ' || peek(c) == '\t')
        c->at++;
}

static struct gjson_step *add(struct compile *c, enum gjson_kind kind)
{
    struct gjson_step *step = &c->steps[c->n++];

    *step = (struct gjson_step){.kind = kind, .level = c->level};
    return step;
}

/* What is done for each element ends here. */
static void end_segment(struct compile *c)
{
    for (uint32_t i = c->levels[c->level].segment; i < c->n; i++) {
        struct gjson_step *step = &c->steps[i];
        if (step->level == c->level && step->end == 0)
            step->end = c->n;
    }
    c->levels[c->level].segment = c->n;
}

static bool ends_key(const struct compile *c, char b)
{
    static const struct tern_str in_query = {"=!<>%) \t", 8};

    if (b == '.' || b == '|')
        return true;
    return c->level > 0 && tern_str_find(in_query, b) < in_query.n;
}

/* Escapes stay in a pattern, which has its own. */
static enum tern_code read_key(struct compile *c, struct tern_err *err)
{
    char *text = tern_arena_alloc(c->arena, 1, c->path.n + 1);
    size_t n = 0, begin = c->at;
    bool is_pattern = false;

    if (text == NULL)
        return tern_arena_fail(c->arena, err, "a condition");
    for (; c->at < c->path.n && !ends_key(c, peek(c)); c->at++) {
        is_pattern = is_pattern || peek(c) == '*' || peek(c) == '?';
        if (peek(c) == '\\' && ++c->at == c->path.n)
            return fail(c, err, "nothing follows the \\");
        text[n++] = peek(c);
    }
    if (n == 0)
        return fail(c, err, "a name is missing");
    struct gjson_step *step = add(c, GJSON_KEY);
    step->is_pattern = is_pattern;
    step->text = is_pattern
                     ? tern_arena_copy(c->arena, tern_str_make(c->path.p + begin, c->at - begin))
                     : tern_str_make(text, n);
    return step->text.p == NULL ? tern_arena_fail(c->arena, err, "a condition") : TERN_OK;
}

/* What only GJSON itself knows. */
static enum tern_code refuse(const struct compile *c, struct tern_err *err)
{
    switch (peek(c)) {
    case '@':
        return fail(c, err, "modifiers other than @this are not supported, got one");
    case '{':
    case '[':
        return fail(c, err, "several paths at once are not supported (but [@this] is), got them");
    case '!':
        return fail(c, err, "literals are not supported, got one");
    case '~':
        return fail(c, err, "~ is not supported, got it");
    case '.':
        return fail(c, err,
                    c->n == 0 && starts(c, TERN_STR(".."))
                        ? "lines of JSON (..) are not supported, got them"
                        : "a name is missing");
    default:
        return TERN_OK;
    }
}

static enum tern_code open_query(struct compile *c, struct tern_err *err)
{
    if (c->level == TERN_GJSON_DEPTH_MAX)
        return fail(c, err, "too many queries within each other");
    c->at += 2;
    add(c, GJSON_FIRST)->end = UINT32_MAX; /* it is known when the query ends */
    c->level++;
    c->levels[c->level].query = c->n - 1;
    c->levels[c->level].segment = c->n;
    skip_spaces(c);
    return TERN_OK;
}

static bool read_compare(struct compile *c, enum gjson_compare *ret)
{
    static const struct {
        struct tern_str text;
        enum gjson_compare compare;
    } rows[] = {
        {{"==", 2}, GJSON_EQ}, {{"!=", 2}, GJSON_NE},     {{"<=", 2}, GJSON_LE},
        {{">=", 2}, GJSON_GE}, {{"!%", 2}, GJSON_UNLIKE}, {{"=", 1}, GJSON_EQ},
        {{"<", 1}, GJSON_LT},  {{">", 1}, GJSON_GT},      {{"%", 1}, GJSON_LIKE},
    };

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        if (starts(c, rows[i].text)) {
            c->at += rows[i].text.n;
            *ret = rows[i].compare;
            return true;
        }
    }
    return false;
}

/* In quotes, or up to the bracket that closes the query. */
static enum tern_code read_value(struct compile *c, struct tern_str *ret, struct tern_err *err)
{
    char *text = tern_arena_alloc(c->arena, 1, c->path.n + 1);
    size_t n = 0;
    bool quoted = peek(c) == '"';

    if (text == NULL)
        return tern_arena_fail(c->arena, err, "a condition");
    c->at += quoted;
    while (c->at < c->path.n && peek(c) != (quoted ? '"' : ')')) {
        if (quoted && peek(c) == '\\' && ++c->at == c->path.n)
            return fail(c, err, "nothing follows the \\");
        text[n++] = c->path.p[c->at++];
    }
    if (c->at == c->path.n)
        return fail(c, err, quoted ? "a quote is never closed" : "a query is never closed");
    c->at += quoted;
    *ret = quoted ? tern_str_make(text, n) : tern_str_trim(tern_str_make(text, n));
    return TERN_OK;
}

static enum tern_code close_query(struct compile *c, struct tern_err *err)
{
    enum gjson_compare compare = GJSON_EXISTS;
    struct tern_str value = TERN_STR("");

    end_segment(c);
    struct gjson_step *step = &c->steps[c->levels[c->level].query];
    skip_spaces(c);
    if (read_compare(c, &compare)) {
        skip_spaces(c);
        if (peek(c) == '~')
            return refuse(c, err);
        TERN_TRY(read_value(c, &value, err));
        skip_spaces(c);
    }
    if (peek(c) != ')')
        return fail(c, err,
                    c->at < c->path.n ? "expected ) or a comparison" : "a query is never closed");
    c->at++;
    c->level--;
    step->text = value;
    step->compare = compare;
    step->query_end = c->n;
    if (peek(c) == '#') {
        c->at++;
        step->kind = GJSON_ALL;
        step->end = 0;
    }
    return TERN_OK;
}

static enum tern_code read_hash(struct compile *c, struct tern_err *err)
{
    if (starts(c, TERN_STR("#(")))
        return open_query(c, err);
    c->at++;
    bool each = peek(c) == '.';
    if (c->at < c->path.n && !ends_key(c, peek(c)))
        return fail(c, err, "expected . | or ( after #");
    if (each && c->level >= TERN_GJSON_DEPTH_MAX)
        return fail(c, err, "too many # within each other");
    struct gjson_step *step = add(c, each ? GJSON_EACH : GJSON_COUNT);
    step->end = each ? 0 : UINT32_MAX;
    return TERN_OK;
}

/* One component; a query is only opened. */
static enum tern_code read_component(struct compile *c, struct tern_err *err)
{
    if (starts(c, TERN_STR("[@this]"))) {
        c->at += 7;
        add(c, GJSON_WRAP)->end = UINT32_MAX;
        return TERN_OK;
    }
    if (starts(c, TERN_STR("@this"))) {
        c->at += 5;
        return TERN_OK;
    }
    TERN_TRY(refuse(c, err));
    if (peek(c) == '#')
        return read_hash(c, err);
    TERN_TRY(read_key(c, err));
    c->steps[c->n - 1].end = UINT32_MAX;
    return TERN_OK;
}

/* Whether nothing stands where the query's path would: #(==1) looks at the elements themselves. */
static bool is_bare_query(const struct compile *c)
{
    static const struct tern_str compares = {"=<>%)", 5};

    if (c->level == 0 || c->n != c->levels[c->level].query + 1)
        return false;
    return starts(c, TERN_STR("!=")) || starts(c, TERN_STR("!%")) ||
           tern_str_find(compares, peek(c)) < compares.n;
}

/* What may stand between components: true when another one follows. */
static enum tern_code read_separator(struct compile *c, bool *ret_more, struct tern_err *err)
{
    char b = peek(c);

    *ret_more = b == '.' || b == '|';
    if (*ret_more) {
        if (b == '|')
            end_segment(c);
        c->at++;
        return c->at == c->path.n ? fail(c, err, "a name is missing") : TERN_OK;
    }
    if (c->level == 0 && c->at < c->path.n)
        return fail(c, err, "expected . or |");
    return TERN_OK;
}

static enum tern_code read_path(struct compile *c, struct tern_err *err)
{
    bool more = true;

    for (;;) {
        if (more && !is_bare_query(c)) {
            uint32_t level = c->level;
            TERN_TRY(read_component(c, err));
            if (c->level > level)
                continue; /* into the query */
        }
        TERN_TRY(read_separator(c, &more, err));
        if (more)
            continue;
        if (c->level == 0)
            break;
        TERN_TRY(close_query(c, err));
    }
    end_segment(c);
    return TERN_OK;
}

/* How many frames finding it takes: each EACH, FIRST or ALL is in those that are open. */
static enum tern_code check_depth(const struct compile *c, struct tern_err *err)
{
    for (uint32_t i = 0; i < c->n; i++) {
        uint32_t depth = 1;
        for (uint32_t outer = 0; outer < i; outer++) {
            const struct gjson_step *step = &c->steps[outer];
            bool in_query = step->query_end > i;
            bool in_body = (step->kind == GJSON_EACH || step->kind == GJSON_ALL) && step->end > i;
            depth += in_query || in_body;
        }
        if (depth > TERN_GJSON_DEPTH_MAX)
            return fail(c, err, "too many # within each other");
    }
    return TERN_OK;
}

enum tern_code tern_gjson_compile(struct tern_str path, struct tern_arena *arena,
                                  const struct tern_gjson **ret_gjson, struct tern_err *err)
{
    struct compile c = {.arena = arena};
    struct tern_gjson *gjson = tern_arena_zalloc(arena, 1, sizeof(*gjson));

    if (path.n == 0 || path.n > TERN_GJSON_PATH_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a condition has 1 to %d bytes, got %zu",
                         TERN_GJSON_PATH_MAX, path.n);
    c.path = tern_arena_copy(arena, path);
    c.steps = tern_arena_zalloc(arena, path.n + 1, sizeof(*c.steps));
    if (gjson == NULL || c.path.p == NULL || c.steps == NULL)
        return tern_arena_fail(arena, err, "a condition");
    TERN_TRY(read_path(&c, err));
    TERN_TRY(check_depth(&c, err));
    gjson->steps = c.steps;
    gjson->n = c.n;
    *ret_gjson = gjson;
    return TERN_OK;
}
