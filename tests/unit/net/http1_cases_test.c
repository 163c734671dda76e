// covers: wire/http1_chunks
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc
/* Replays tests/wire/http1/ (see the README there): each case whole, split at every byte, and byte
 * by byte, with a prompt and with a late handler. */
#include "harness/h1_rig.h"

#define SPLITS_MAX 150

struct expectation {
    int status;
    bool optional;
    bool has_body;
    char body[256];
};

struct wire_case {
    const char *file;
    char name[64];
    char *bytes;
    size_t n;
    bool half;
    bool close;
    struct expectation answers[16];
    unsigned n_answers;
};

static void add_byte(struct wire_case *c, char byte)
{
    c->bytes = realloc(c->bytes, c->n + 1);
    assert_non_null(c->bytes);
    c->bytes[c->n++] = byte;
}

/* One character of TEXT with its escapes; the rest after it. */
static const char *unescape(const char *p, char *ret)
{
    if (p[0] != '\\') {
        *ret = p[0];
        return p + 1;
    }
    switch (p[1]) {
    case 'r':
        *ret = '\r';
        return p + 2;
    case 'n':
        *ret = '\n';
        return p + 2;
    case 't':
        *ret = '\t';
        return p + 2;
    case '0':
        *ret = '\0';
        return p + 2;
    case 'x': {
        char hex[3] = {p[2], p[3], 0};
        *ret = (char)strtoul(hex, NULL, 16);
        return p + 4;
    }
    default:
        *ret = p[1];
        return p + 2;
    }
}

static void add_text(struct wire_case *c, const char *p)
{
    while (*p != '\0') {
        char byte;
        const char *star = *p == '{' ? strchr(p, '*') : NULL;
        const char *brace = star == NULL ? NULL : strchr(star, '}');
        if (brace == NULL) {
            p = unescape(p, &byte);
            add_byte(c, byte);
            continue;
        }
        for (unsigned long i = strtoul(p + 1, NULL, 10); i > 0; i--) {
            for (const char *q = star + 1; q < brace;) {
                q = unescape(q, &byte);
                add_byte(c, byte);
            }
        }
        p = brace + 1;
    }
}

static void add_answer(struct wire_case *c, const char *p)
{
    struct expectation *e = &c->answers[c->n_answers++];
    char *after;

    assert_true(c->n_answers < TERN_COUNT_OF(c->answers));
    e->status = (int)strtol(p, &after, 10);
    if (*after == '?') {
        e->optional = true;
        after++;
    }
    if (*after != ' ')
        return;
    e->has_body = true;
    size_t n = 0;
    for (p = after + 1; *p != '\0';)
        p = unescape(p, &e->body[n++]);
    e->body[n] = '\0';
}

/* One way of cutting: [0, first), [first, second), ... in steps of `step` after `first`. */
static void replay(const struct wire_case *c, bool late, size_t first, size_t step)
{
    struct rig *rig = rig_new();
    struct rig_answer answer;
    size_t at = 0;

    rig->hold = late;
    rig_connect(rig);
    rig_send(rig, c->bytes, first);
    for (size_t i = first; i < c->n; i += step)
        rig_send(rig, c->bytes + i, c->n - i < step ? c->n - i : step);
    if (c->half) {
        shutdown(rig->client, SHUT_WR);
        rig_pump(rig);
    }
    while (rig->n_held > 0)
        rig_answer(rig, 0);
    for (unsigned i = 0; i < c->n_answers; i++) {
        const struct expectation *e = &c->answers[i];
        bool no_body = e->has_body && strcmp(e->body, "HEAD") == 0;
        size_t before = at;
        if (!rig_take(rig, &at, no_body, &answer))
            fail_msg("%s %s, cut at %zu by %zu, late %d: answer %u is missing in '%s'", c->file,
                     c->name, first, step, late, i + 1, rig->got);
        if (e->optional && answer.status != e->status) {
            at = before;
            continue;
        }
        if (answer.status != e->status ||
            (e->has_body && !no_body && strcmp(answer.body, e->body) != 0))
            fail_msg("%s %s, cut at %zu by %zu, late %d: expected %d '%s', got %d '%s'", c->file,
                     c->name, first, step, late, e->status, e->body, answer.status, answer.body);
    }
    if (at != rig->n_got)
        fail_msg("%s %s, cut at %zu by %zu, late %d: more than expected: '%s'", c->file, c->name,
                 first, step, late, rig->got + at);
    if (rig->client_saw_end != c->close)
        fail_msg("%s %s, cut at %zu by %zu, late %d: the connection should be %s", c->file, c->name,
                 first, step, late, c->close ? "closed" : "open");
    rig_free(rig);
}

static void replay_all_ways(const struct wire_case *c)
{
    for (int late = 0; late < 2; late++) {
        size_t stride = 1 + c->n / SPLITS_MAX;
        replay(c, late != 0, c->n, 1);
        for (size_t i = 1; i < c->n; i += stride)
            replay(c, late != 0, i, c->n);
        replay(c, late != 0, 0, stride);
    }
}

static unsigned replay_file(const char *folder, const char *name)
{
    char path[512];
    static char line[65536];
    struct wire_case c = {.file = name};
    unsigned count = 0;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    bool more = true;
    while (more) {
        more = fgets(line, sizeof(line), f) != NULL;
        if (more)
            line[strcspn(line, "\n")] = '\0';
        if (!more || strncmp(line, "case ", 5) == 0) {
            if (c.name[0] != '\0') {
                replay_all_ways(&c);
                count++;
            }
            free(c.bytes);
            c = (struct wire_case){.file = name};
            snprintf(c.name, sizeof(c.name), "%.60s", line + 5);
        } else if (line[0] == '>') {
            add_text(&c, line[1] == ' ' ? line + 2 : line + 1);
            add_text(&c, "\\r\\n");
        } else if (strncmp(line, "+ ", 2) == 0) {
            add_text(&c, line + 2);
        } else if (strncmp(line, "= ", 2) == 0) {
            add_answer(&c, line + 2);
        } else if (strcmp(line, "close") == 0) {
            c.close = true;
        } else if (strcmp(line, "half") == 0) {
            c.half = true;
        } else if (line[0] != '\0' && line[0] != '#' && strcmp(line, "open") != 0) {
            fail_msg("%s: a line that means nothing: %s", path, line);
        }
    }
    fclose(f);
    return count;
}

static void every_case(const char *folder, const char *name, unsigned at_least)
{
    assert_true(replay_file(folder, name) >= at_least);
}

static void valid(void **state)
{
    (void)state;
    every_case("tests/wire/http1", "valid.case", 20);
}

static void smuggling(void **state)
{
    (void)state;
    every_case("tests/wire/http1", "smuggling.case", 100);
}

static void malformed(void **state)
{
    (void)state;
    every_case("tests/wire/http1", "malformed.case", 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid),
        cmocka_unit_test(smuggling),
        cmocka_unit_test(malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
