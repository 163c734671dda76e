#include "cli/models.h"

#include <jansson.h>
#include <string.h>
#include "cli/commands.h"
#include "cli/http_client.h"
#include "cli/table.h"

#define RESPONSE_MAX ((size_t)64 << 20)
#define PATH_MAX_    512
#define CELL_MAX     1024

static const struct tern_str none = {NULL, 0};

struct run {
    const struct tern_models_options *options;
    const struct tern_str *names;
    uint32_t n_names;
    struct tern_http_client client;
    FILE *out;
    FILE *log;
};

/* A name from the command line goes into a path: what has a meaning there is refused. */
static enum tern_code make_path(struct tern_str name, const char *suffix, char dst[PATH_MAX_],
                                struct tern_err *err)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] <= ' ' || name.p[i] >= 0x7f || strchr("/?#%\\", name.p[i]) != NULL)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "'%.*s' is not a model's name",
                             TERN_STR_ARG(name));
    }
    if (name.n == 0 || name.n > 256)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a model's name has 1 to 256 bytes, got %zu",
                         name.n);
    (void)snprintf(dst, PATH_MAX_, "/v2/models/%.*s%s", TERN_STR_ARG(name), suffix);
    return TERN_OK;
}

/* The "error" member of an answer, or the start of its text. */
static enum tern_code refused(const struct tern_http_client *client, const char *what,
                              struct tern_err *err)
{
    struct tern_str body = tern_http_reader_body(&client->reader);
    int status = client->reader.status;
    json_t *root = json_loadb(body.n == 0 ? "" : body.p, body.n, 0, NULL);
    const char *text = json_string_value(json_object_get(root, "error"));

    if (text != NULL)
        body = tern_str_of(text);
    body.n = body.n > 300 ? 300 : body.n;
    body = tern_str_trim(body);
    enum tern_code code = status == 404   ? TERN_NOT_FOUND
                          : status == 403 ? TERN_PERMISSION_DENIED
                                          : TERN_UNKNOWN;
    (void)tern_fail(err, code, "%s: status %d: %.*s%s", what, status, TERN_STR_ARG(body),
                    tern_http_reader_advice(&client->reader, body));
    json_decref(root);
    return code;
}

static enum tern_code ask(struct run *r, const char *method, const char *path, json_t **ret,
                          struct tern_err *err)
{
    json_error_t where;
    bool post = strcmp(method, "POST") == 0;

    TERN_TRY(tern_http_client_call(&r->client, method, tern_str_of(path),
                                   post ? TERN_STR("application/json") : none,
                                   post ? TERN_STR("{}") : none, err));
    if (r->client.reader.status != 200)
        return refused(&r->client, path, err);
    struct tern_str body = tern_http_reader_body(&r->client.reader);
    json_t *root = json_loadb(body.n == 0 ? "" : body.p, body.n, 0, &where);
    if (root == NULL)
        return tern_fail(err, TERN_UNKNOWN, "%s: the answer is not JSON: %s", path, where.text);
    *ret = root;
    return TERN_OK;
}

static enum tern_code metadata_of(struct run *r, const char *name, const char *version,
                                  json_t **ret, struct tern_err *err)
{
    char path[PATH_MAX_];
    char suffix[64] = "";

    if (version != NULL)
        (void)snprintf(suffix, sizeof(suffix), "/versions/%.32s", version);
    TERN_TRY(make_path(tern_str_of(name), suffix, path, err));
    return ask(r, "GET", path, ret, err);
}

/* Rows of a server that does not show its index here: names, then what the metadata says. */
static enum tern_code list_by_name(struct run *r, json_t **ret, struct tern_err *err)
{
    json_t *root = NULL;

    TERN_TRY(ask(r, "GET", "/v2/models", &root, err));
    json_t *rows = json_array();
    const json_t *names = json_object_get(root, "models");
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        json_t *metadata = NULL;
        if (name == NULL)
            continue;
        if (metadata_of(r, name, NULL, &metadata, NULL) != TERN_OK) {
            json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "name", name, "state",
                                                  "UNAVAILABLE", "reason", ""));
            continue;
        }
        const json_t *versions = json_object_get(metadata, "versions");
        for (size_t v = 0; v < json_array_size(versions); v++)
            json_array_append_new(rows, json_pack("{s:s, s:O, s:s, s:s}", "name", name, "version",
                                                  json_array_get(versions, v), "state", "READY",
                                                  "reason", ""));
        json_decref(metadata);
    }
    json_decref(root);
    *ret = rows;
    return TERN_OK;
}

static bool is_wanted(const struct run *r, const char *name)
{
    for (uint32_t i = 0; i < r->n_names; i++) {
        if (name != NULL && tern_str_eq(r->names[i], tern_str_of(name)))
            return true;
    }
    return r->n_names == 0;
}

/* Adds the inputs and outputs of a row that is served. */
static void add_metadata(struct run *r, json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "name"));
    const char *version = json_string_value(json_object_get(row, "version"));
    const char *state = json_string_value(json_object_get(row, "state"));
    json_t *metadata = NULL;

    if (name == NULL || state == NULL || strcmp(state, "READY") != 0 ||
        metadata_of(r, name, version, &metadata, NULL) != TERN_OK)
        return;
    static const char *const members[] = {"platform", "inputs", "outputs"};
    for (size_t i = 0; i < TERN_COUNT_OF(members); i++) {
        json_t *value = json_object_get(metadata, members[i]);
        if (value != NULL)
            json_object_set(row, members[i], value);
    }
    json_decref(metadata);
}

/* The index, which only some listeners show, or else the list of names. */
static enum tern_code collect(struct run *r, json_t **ret, struct tern_err *err)
{
    json_t *rows = NULL;
    json_t *wanted = json_array();
    enum tern_code code = ask(r, "POST", "/v2/repository/index", &rows, err);

    if (code != TERN_OK && code != TERN_UNAVAILABLE && code != TERN_DEADLINE_EXCEEDED)
        code = list_by_name(r, &rows, err);
    for (size_t i = 0; code == TERN_OK && i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);
        if (!is_wanted(r, json_string_value(json_object_get(row, "name"))))
            continue;
        add_metadata(r, row);
        json_array_append(wanted, row);
    }
    json_decref(rows);
    if (code == TERN_OK)
        *ret = wanted;
    else
        json_decref(wanted);
    return code;
}

/* The table. */

/* jansson's texts come from its own allocator. */
static void free_text(char *text)
{
    json_malloc_t take = NULL;
    json_free_t give = NULL;

    json_get_alloc_funcs(&take, &give);
    give(text);
}

/* "features FP32 [-1,4], mask BOOL [-1]"; dst holds a zero-terminated text, cut when full. */
static void print_tensors(const json_t *tensors, char *dst, size_t cap)
{
    size_t n = 0;

    dst[0] = '\0';
    for (size_t i = 0; i < json_array_size(tensors) && n < cap; i++) {
        const json_t *tensor = json_array_get(tensors, i);
        const char *name = json_string_value(json_object_get(tensor, "name"));
        const char *dtype = json_string_value(json_object_get(tensor, "datatype"));
        char *shape = json_dumps(json_object_get(tensor, "shape"), JSON_COMPACT);
        n += (size_t)snprintf(dst + n, cap - n, "%s%.80s %.16s %.120s", i > 0 ? ", " : "",
                              name == NULL ? "?" : name, dtype == NULL ? "?" : dtype,
                              shape == NULL ? "" : shape);
        free_text(shape);
    }
}

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text == NULL ? "" : text;
}

static void add_row(struct tern_table *table, const json_t *row)
{
    char text[CELL_MAX];
    const char *state = text_of(row, "state");
    enum tern_table_tone tone = strcmp(state, "READY") == 0         ? TERN_TONE_GOOD
                                : strcmp(state, "UNAVAILABLE") == 0 ? TERN_TONE_BAD
                                                                    : TERN_TONE_QUIET;

    tern_table_row(table);
    tern_table_cell(table, TERN_TONE_STRONG, "%s", text_of(row, "name"));
    tern_table_cell(table, TERN_TONE_PLAIN, "%s", text_of(row, "version"));
    tern_table_cell(table, tone, "%s", state);
    print_tensors(json_object_get(row, "inputs"), text, sizeof(text));
    tern_table_cell(table, TERN_TONE_PLAIN, "%s", text);
    print_tensors(json_object_get(row, "outputs"), text, sizeof(text));
    tern_table_cell(table, TERN_TONE_PLAIN, "%s", text);
}

/* Reasons can be long: each has a line of its own below the table. */
static void print_reasons(const json_t *rows, struct tern_buf *text)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *reason = text_of(row, "reason");
        if (reason[0] == '\0')
            continue;
        tern_buf_printf(text, "\n%s %s: ", text_of(row, "name"), text_of(row, "version"));
        for (const char *c = reason; *c != '\0'; c++) /* nothing that steers a terminal */
            tern_buf_add_char(text, (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c);
        tern_buf_add_char(text, '\n');
    }
}

static void print_table(const json_t *rows, FILE *out)
{
    struct tern_arena arena;
    struct tern_table table;
    struct tern_buf text;
    static const char *const titles[] = {"model", "version", "state", "inputs", "outputs"};
    int fd = fileno(out);

    tern_arena_init(&arena, 16384, RESPONSE_MAX);
    tern_buf_init(&text, RESPONSE_MAX);
    tern_table_init(&table, &arena);
    for (size_t i = 0; i < TERN_COUNT_OF(titles); i++)
        tern_table_column(&table, titles[i], false);
    for (size_t i = 0; i < json_array_size(rows); i++)
        add_row(&table, json_array_get(rows, i));
    tern_table_print(&table, 0, fd >= 0 && tern_table_colour(fd), &text);
    print_reasons(rows, &text);
    (void)fwrite(text.p, 1, text.n, out);
    tern_buf_fini(&text);
    tern_arena_fini(&arena);
}

/* Actions. */

static void dump(const json_t *value, FILE *out)
{
    (void)json_dumpf(value, out, JSON_INDENT(2) | JSON_ENCODE_ANY);
    (void)fputc('\n', out);
}

static enum tern_code control(struct run *r, const struct tern_opt_list *models, const char *verb,
                              struct tern_err *err)
{
    for (uint32_t i = 0; i < models->n; i++) {
        char path[PATH_MAX_];
        struct tern_str name = models->items[i];
        TERN_TRY(make_path(name, "", path, err)); /* the check */
        (void)snprintf(path, sizeof(path), "/v2/repository/models/%.*s/%s", TERN_STR_ARG(name),
                       verb);
        TERN_TRY(tern_http_client_call(&r->client, "POST", tern_str_of(path),
                                       TERN_STR("application/json"), TERN_STR("{}"), err));
        if (r->client.reader.status != 200)
            return refused(&r->client, path, err);
        (void)fprintf(r->log, "%.*s: %sed\n", TERN_STR_ARG(name), verb);
    }
    return TERN_OK;
}

static enum tern_code show_configs(struct run *r, struct tern_err *err)
{
    for (uint32_t i = 0; i < r->n_names; i++) {
        char path[PATH_MAX_];
        json_t *config = NULL;
        TERN_TRY(make_path(r->names[i], "/config", path, err));
        TERN_TRY(ask(r, "GET", path, &config, err));
        dump(config, r->out);
        json_decref(config);
    }
    return TERN_OK;
}

static enum tern_code list(struct run *r, struct tern_err *err)
{
    json_t *rows = NULL;

    TERN_TRY(collect(r, &rows, err));
    if (r->n_names > 0 && json_array_size(rows) == 0) {
        json_decref(rows);
        return tern_fail(err, TERN_NOT_FOUND, "the server has no model '%.*s'",
                         TERN_STR_ARG(r->names[0]));
    }
    if (r->options->form == TERN_OUTPUT_FORM_JSON)
        dump(rows, r->out);
    else
        print_table(rows, r->out);
    json_decref(rows);
    return TERN_OK;
}

static enum tern_code act(struct run *r, struct tern_err *err)
{
    const struct tern_models_options *o = r->options;

    if (o->config && r->n_names == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "--show-config needs the name of a model");
    TERN_TRY(control(r, &o->unload, "unload", err));
    TERN_TRY(control(r, &o->load, "load", err));
    if (o->config)
        return show_configs(r, err);
    if (o->load.n + o->unload.n > 0 && r->n_names == 0)
        return TERN_OK;
    return list(r, err);
}

int tern_models_act(const struct tern_models_options *options, const struct tern_str *names,
                    uint32_t n_names, FILE *out, FILE *log)
{
    struct tern_http_target target;
    struct tern_err err;
    struct run r = {.options = options, .names = names, .n_names = n_names, .out = out, .log = log};
    enum tern_code code = tern_http_target_parse(options->url, &target, &err);

    if (code == TERN_OK) {
        tern_http_client_init(&r.client, &target, options->timeout_ns, RESPONSE_MAX);
        code = act(&r, &err);
        tern_http_client_fini(&r.client);
    }
    if (code == TERN_OK)
        return TERN_EXIT_OK;
    (void)fprintf(log, "tern models: %s\n", err.text);
    if (code == TERN_UNAVAILABLE || code == TERN_DEADLINE_EXCEEDED) {
        (void)fprintf(log, "Is the server up? `tern serve PATH` starts one; --url says where it "
                           "is.\n");
        return TERN_EXIT_UNREACHABLE;
    }
    return code == TERN_INVALID_ARGUMENT || code == TERN_UNIMPLEMENTED ? TERN_EXIT_USAGE
                                                                       : TERN_EXIT_FAILED;
}

int tern_models_run(const struct tern_command_call *call)
{
    return tern_models_act(call->options, call->args, call->n_args, stdout, stderr);
}
