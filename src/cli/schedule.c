#include "cli/schedule.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "cli/client_options.h"
#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/remote.h"
#include "cli/table.h"

#define MEMORY_MAX ((size_t)16 << 20)
#define BAR_WIDTH  32

struct page {
    struct tern_arena *arena;
    struct tern_buf *out;
    const json_t *root;
    bool colour;
};

/* ---- members ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* Members called something_us. */
static const char *time_of(const json_t *object, const char *key, char dst[TERN_DURATION_MAX])
{
    double us = number_of(object, key);
    return tern_duration_print(us > 0 ? (uint64_t)(us * 1e3) : 0, dst);
}

/* Nothing that steers a terminal. */
static void add_plain(struct tern_buf *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        tern_buf_add_char(out, (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c);
}

/* ---- the page ---- */

static void print_head(const struct page *page)
{
    const json_t *root = page->root;
    struct tern_buf *out = page->out;
    char slo[TERN_DURATION_MAX];

    add_plain(out, text_of(root, "name"));
    tern_buf_printf(out, ", version ");
    add_plain(out, text_of(root, "version"));
    tern_buf_printf(out, "\n  batches     ");
    add_plain(out, text_of(root, "batching"));
    tern_buf_printf(out, "; ");
    add_plain(out, text_of(root, "why"));
    if (strcmp(text_of(root, "runs_on"), "loop") == 0)
        tern_buf_printf(out, "\n  runs        on the event loops: it takes less time than waking "
                             "another thread\n");
    else if (strcmp(text_of(root, "runs_on"), "graph") == 0)
        tern_buf_printf(out, "\n  runs        as a graph: ask for its steps\n");
    else
        tern_buf_printf(out,
                        "\n  runs        on %.0f instances, %.0f of them busy; %.0f requests "
                        "wait\n",
                        number_of(root, "instances"), number_of(root, "busy"),
                        number_of(root, "waiting"));
    if (number_of(root, "slo_us") > 0)
        tern_buf_printf(out, "  planned     for answers within %s\n", time_of(root, "slo_us", slo));
}

static void print_counts(const struct page *page)
{
    double runs = number_of(page->root, "runs"), requests = number_of(page->root, "requests");

    if (runs > 0)
        tern_buf_printf(page->out,
                        "  so far      %.0f requests in %.0f runs (%.1f a run); refused as too "
                        "late %.0f, waited too long %.0f, past their deadline %.0f\n",
                        requests, runs, requests / runs, number_of(page->root, "shed"),
                        number_of(page->root, "timed_out"), number_of(page->root, "late"));
}

/* Rows a second of one instance that does nothing else. */
static double throughput(const json_t *size)
{
    double us = number_of(size, "p50_us");
    return us > 0 ? number_of(size, "size") * 1e6 / us : 0;
}

static void print_sizes(const struct page *page, const json_t *sizes)
{
    struct tern_table table;
    double best = 0;
    char p50[TERN_DURATION_MAX], p99[TERN_DURATION_MAX], bar[BAR_WIDTH + 1];

    tern_table_init(&table, page->arena);
    tern_table_column(&table, text_of(page->root, "unit"), true);
    tern_table_column(&table, "runs", true);
    tern_table_column(&table, "p50", true);
    tern_table_column(&table, "p99", true);
    tern_table_column(&table, "a second", true);
    tern_table_column(&table, "", false);
    for (size_t i = 0; i < json_array_size(sizes); i++)
        best = fmax(best, throughput(json_array_get(sizes, i)));
    for (size_t i = 0; i < json_array_size(sizes); i++) {
        const json_t *size = json_array_get(sizes, i);
        int n = best > 0 ? (int)(BAR_WIDTH * throughput(size) / best + 0.5) : 0;
        memset(bar, '#', (size_t)n);
        bar[n] = '\0';
        tern_table_row(&table);
        tern_table_cell(&table, TERN_TONE_STRONG, "%.0f", number_of(size, "size"));
        tern_table_cell(&table, TERN_TONE_QUIET, "%.0f", number_of(size, "runs"));
        tern_table_cell(&table, TERN_TONE_PLAIN, "%s", time_of(size, "p50_us", p50));
        tern_table_cell(&table, TERN_TONE_PLAIN, "%s", time_of(size, "p99_us", p99));
        tern_table_cell(&table, TERN_TONE_PLAIN, "%.0f", throughput(size));
        tern_table_cell(&table, TERN_TONE_GOOD, "%s", bar);
    }
    tern_table_print(&table, 2, page->colour, page->out);
}

/* A shape that nothing was run for, beside others that were, is not worth a table. */
static void print_shapes(const struct page *page)
{
    const json_t *shapes = json_object_get(page->root, "shapes");
    size_t n = json_array_size(shapes);

    for (size_t i = 0; i < n; i++) {
        const json_t *shape = json_array_get(shapes, i);
        double rate = number_of(shape, "arrivals_per_second");
        bool pays = json_is_true(json_object_get(shape, "batches_pay"));
        if (n > 1 && i == 0 && rate <= 0)
            continue;
        tern_buf_printf(page->out,
                        "\nHow long runs take%s: %.0f %s a second arrive, %.0f requests "
                        "wait%s\n",
                        n > 2 ? ", of one shape" : "", rate, text_of(page->root, "unit"),
                        number_of(shape, "waiting"), pays ? "; larger batches pay" : "");
        print_sizes(page, json_object_get(shape, "run_times"));
    }
}

static void print_decisions(const struct page *page)
{
    const json_t *rows = json_object_get(page->root, "decisions");
    char ago[TERN_DURATION_MAX];

    if (json_array_size(rows) > 0)
        tern_buf_printf(page->out, "\nThe last decisions\n");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        tern_buf_printf(page->out, "  %8s ago  ", time_of(row, "ago_us", ago));
        add_plain(page->out, text_of(row, "text"));
        tern_buf_add_char(page->out, '\n');
    }
}

/* ---- the command ---- */

static enum tern_code fetch(const struct tern_schedule_options *options, struct tern_str model,
                            struct tern_arena *arena, json_t **ret, bool *ret_unreachable,
                            struct tern_err *err)
{
    const struct tern_remote_choice choice = {.url = options->url,
                                              .model = model,
                                              .version = options->model_version,
                                              .timeout_ns = options->timeout_ns};
    struct tern_remote remote;
    struct tern_str body = {NULL, 0};
    json_error_t where;

    enum tern_code code = tern_remote_open(&remote, &choice, arena, err);
    *ret_unreachable = remote.unreachable;
    if (code != TERN_OK)
        return code;
    struct tern_str path = tern_arena_printf(arena, "%.*s/schedule", TERN_STR_ARG(remote.path));
    code = tern_remote_call(&remote, "GET", path, TERN_STR(""), arena, &body, err);
    *ret_unreachable = remote.unreachable;
    tern_remote_close(&remote);
    if (code != TERN_OK)
        return code;
    *ret = json_loadb(body.p, body.n, 0, &where);
    return *ret != NULL ? TERN_OK
                        : tern_fail(err, TERN_UNKNOWN, "the answer is not JSON: %s", where.text);
}

static void print(const json_t *root, const struct tern_schedule_options *options,
                  struct tern_arena *arena)
{
    struct tern_buf out;
    const struct page page = {
        .arena = arena, .out = &out, .root = root, .colour = tern_table_colour(fileno(stdout))};

    if (options->form == TERN_OUTPUT_FORM_JSON) {
        (void)json_dumpf(root, stdout, JSON_INDENT(2));
        (void)putchar('\n');
        return;
    }
    tern_buf_init(&out, MEMORY_MAX);
    print_head(&page);
    print_counts(&page);
    print_shapes(&page);
    print_decisions(&page);
    (void)fwrite(out.p, 1, out.n, stdout);
    tern_buf_fini(&out);
}

int tern_schedule_run(const struct tern_command_call *call)
{
    const struct tern_schedule_options *options = call->options;
    struct tern_arena arena;
    struct tern_err err;
    json_t *root = NULL;
    bool unreachable = false;

    tern_arena_init(&arena, 16384, MEMORY_MAX);
    enum tern_code code = fetch(options, call->args[0], &arena, &root, &unreachable, &err);
    if (code == TERN_OK)
        print(root, options, &arena);
    else
        (void)fprintf(stderr, "tern explain-schedule: %s\n", err.text);
    json_decref(root);
    tern_arena_fini(&arena);
    if (code == TERN_OK)
        return TERN_EXIT_OK;
    return unreachable ? TERN_EXIT_UNREACHABLE : TERN_EXIT_FAILED;
}
