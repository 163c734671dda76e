/* What came of the sweep: the table, the plot, and the configuration to paste. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "cli/duration.h"
#include "cli/table.h"
#include "cli/tune_int.h"
#include "cli/tune_plot.h"

#define MEMORY_MAX ((size_t)4 << 20)
#define LAG_MUCH   0.1 /* of the SLO */

/* ---- the table ---- */

/* Numbers of candidates, the best first; those that cannot be used, and those not tried, last. */
static void sort(const struct tern_tune *tune, uint32_t ret_order[TERN_TUNE_SETTINGS_MAX])
{
    for (uint32_t i = 0; i < tune->n; i++) {
        uint32_t at = i;
        for (; at > 0 && tune->candidates[ret_order[at - 1]].score < tune->candidates[i].score;
             at--)
            ret_order[at] = ret_order[at - 1];
        ret_order[at] = i;
    }
}

static void add_numbers(struct tern_table *table, const struct tern_tune_candidate *c)
{
    char text[TERN_DURATION_MAX];
    const struct tern_tune_look *look = &c->look;

    tern_table_cell(table, TERN_TONE_STRONG, "%s%.*f", c->is_rough ? ">" : "",
                    look->rate < 100 ? 1 : 0, look->rate);
    tern_table_cell(table, TERN_TONE_PLAIN, "%s", tern_duration_print(look->p50_ns, text));
    tern_table_cell(table, TERN_TONE_PLAIN, "%s", tern_duration_print(look->p99_ns, text));
    if (look->rows_a_run > 0)
        tern_table_cell(table, TERN_TONE_PLAIN, "%.1f", look->rows_a_run);
    else
        tern_table_cell(table, TERN_TONE_QUIET, "-");
    tern_table_cell(table, TERN_TONE_PLAIN, "%.0f%%", look->cpu * 100);
    tern_table_cell(table, TERN_TONE_PLAIN, "%.0f MiB", (double)look->memory_bytes / (1 << 20));
}

static void print_table(const struct tern_tune *tune, const uint32_t *order,
                        struct tern_arena *arena, bool colour, struct tern_buf *out)
{
    static const char *const titles[] = {"rate", "p50", "p99", "rows a run", "CPU", "memory"};
    struct tern_table table;

    tern_table_init(&table, arena);
    tern_table_column(&table, "", false);
    tern_table_column(&table, "setting", false);
    for (size_t i = 0; i < TERN_COUNT_OF(titles); i++)
        tern_table_column(&table, titles[i], true);
    for (uint32_t i = 0; i < tune->n; i++) {
        const struct tern_tune_candidate *c = &tune->candidates[order[i]];
        if (order[i] >= tune->n_tried)
            continue;
        tern_table_row(&table);
        tern_table_cell(&table, TERN_TONE_QUIET, "%c", tern_tune_letter(order[i]));
        tern_table_cell(&table, i == 0 ? TERN_TONE_GOOD : TERN_TONE_PLAIN, "%s", c->name);
        if (c->score > 0)
            add_numbers(&table, c);
        else
            tern_table_cell(&table, TERN_TONE_BAD, "none");
    }
    tern_table_print(&table, 2, colour, out);
    for (uint32_t i = 0; i < tune->n_tried; i++) {
        if (tune->candidates[i].why[0] != '\0')
            tern_buf_printf(out, "  %c: %s\n", tern_tune_letter(i), tune->candidates[i].why);
    }
}

/* ---- in words ---- */

static void print_head(const struct tern_tune *tune, struct tern_buf *out)
{
    char slo[TERN_DURATION_MAX], single[TERN_DURATION_MAX];

    tern_buf_printf(out, "%.*s: one request alone takes %s; ", TERN_STR_ARG(tune->server.name),
                    tern_duration_print(tune->single_p50_ns, single));
    if (tune->options->rate > 0)
        tern_buf_printf(out, "at %" PRIu64 " requests a second by chance, on %u cores\n\n",
                        tune->options->rate, tune->cores);
    else
        tern_buf_printf(out,
                        "the greatest rate by chance of which 99 %% is answered within %s, on %u "
                        "cores\n\n",
                        tern_duration_print(tune->slo_ns, slo), tune->cores);
}

/* What the score is called: rates rise, times shrink. */
static void print_gain(const struct tern_tune *tune, struct tern_buf *out)
{
    const struct tern_tune_verdict *v = &tune->verdict;

    if (!isfinite(v->gain))
        tern_buf_printf(out, "with nothing configured no rate was kept up with");
    else if (tune->options->rate > 0)
        tern_buf_printf(out, "a p99 that is %.1f %% shorter than with nothing configured",
                        100 * (1 - v->base / v->other));
    else
        tern_buf_printf(out, "%.1f %% more than nothing configured", 100 * v->gain);
}

static void print_verdict(const struct tern_tune *tune, struct tern_buf *out)
{
    const struct tern_tune_candidate *best = &tune->candidates[tune->best];
    const struct tern_tune_verdict *v = &tune->verdict;

    if (tune->n_finals == 0) {
        tern_buf_printf(out, "Nothing is recommended: the best two were not measured in turns.\n");
        return;
    }
    if (v->gain <= 0)
        tern_buf_printf(out, "Nothing configured is the best: leave it.");
    else if (v->is_noise)
        tern_buf_printf(out, "Nothing configured is within %.1f %% of the best (%s): leave it.",
                        ceil(10 * fmax(100 * v->gain, 100 * TERN_TUNE_NOISE)) / 10, best->name);
    else {
        tern_buf_printf(out, "%s: ", best->name);
        print_gain(tune, out);
        tern_buf_printf(out, ".");
    }
    tern_buf_printf(out,
                    " The same measurement, repeated %u times, differed from itself by %.1f %%.\n",
                    tune->n_finals, 100 * v->spread);
    if (!v->is_noise && best->setting.instances == tune->model.instances &&
        best->setting.instances > 1)
        tern_buf_printf(out, "No more instances were tried: --instances %u does.\n",
                        best->setting.instances * 4);
    if (!v->is_noise && !best->setting.as_configured) {
        tern_buf_printf(out, "\nFor config.pbtxt%s:\n\n",
                        tune->model.is_configured ? ", instead of what it says of these" : "");
        tern_tune_setting_lines(&tune->model, &best->setting, out);
    } else if (!v->is_noise) {
        tern_buf_printf(out, "The configuration is right as it is.\n");
    } else if (tune->model.is_configured) {
        tern_buf_printf(out,
                        "dynamic_batching, instance_group and thread counts can be taken out of "
                        "the configuration.\n");
    }
}

static void print_text(struct tern_tune *tune, const uint32_t *order, struct tern_arena *arena,
                       bool colour, struct tern_buf *out)
{
    print_head(tune, out);
    print_table(tune, order, arena, colour, out);
    if (tune->options->rate == 0) {
        tern_buf_add_char(out, '\n');
        tern_tune_plot(tune->points, tune->n_points, tune->slo_ns, out);
    }
    tern_buf_add_char(out, '\n');
    print_verdict(tune, out);
    if (tune->lag_share > LAG_MUCH)
        tern_buf_printf(out,
                        "\nThe generator of the load was itself late by up to %.0f %% of the SLO: "
                        "this machine has too much to do for exact numbers.\n",
                        100 * tune->lag_share);
}

/* ---- as JSON ---- */

static json_t *json_of(const struct tern_tune *tune, uint32_t i)
{
    const struct tern_tune_candidate *c = &tune->candidates[i];
    struct tern_buf lines;

    tern_buf_init(&lines, 65536);
    tern_tune_setting_lines(&tune->model, &c->setting, &lines);
    json_t *object =
        json_pack("{s:s, s:f, s:b, s:I, s:I, s:f, s:f, s:I, s:s%, s:s}", "setting", c->name, "rate",
                  c->score > 0 ? c->look.rate : 0.0, "at_least", (int)c->is_rough, "p50_ns",
                  (json_int_t)c->look.p50_ns, "p99_ns", (json_int_t)c->look.p99_ns, "rows_a_run",
                  c->look.rows_a_run, "cpu_share", c->look.cpu, "memory_bytes",
                  (json_int_t)c->look.memory_bytes, "config", lines.n > 0 ? lines.p : "", lines.n,
                  "problem", c->why);
    tern_buf_fini(&lines);
    return object;
}

static json_t *json_points(const struct tern_tune *tune)
{
    json_t *front = json_array();

    for (uint32_t i = 0; i < tune->n_points; i++) {
        const struct tern_tune_point *p = &tune->points[i];
        if (p->on_front)
            (void)json_array_append_new(front, json_pack("{s:s, s:f, s:I}", "setting",
                                                         tune->candidates[p->setting].name, "rate",
                                                         p->rate, "p99_ns", (json_int_t)p->p99_ns));
    }
    return front;
}

static void print_json(const struct tern_tune *tune, const uint32_t *order, FILE *out)
{
    json_t *settings = json_array();
    const struct tern_tune_verdict *v = &tune->verdict;
    bool better = tune->n_finals > 0 && !v->is_noise;

    for (uint32_t i = 0; i < tune->n; i++) {
        if (order[i] < tune->n_tried)
            (void)json_array_append_new(settings, json_of(tune, order[i]));
    }
    json_t *root = json_pack(
        "{s:s%, s:I, s:I, s:I, s:b, s:o, s:o, s:s, s:o, s:f, s:f, s:i}", "model",
        tune->server.name.p, tune->server.name.n, "slo_ns", (json_int_t)tune->slo_ns,
        "single_p50_ns", (json_int_t)tune->single_p50_ns, "rate", (json_int_t)tune->options->rate,
        "stopped", (int)tune->stopped, "settings", settings, "front", json_points(tune), "best",
        tune->candidates[tune->n_finals > 0 && v->gain > 0 ? tune->best : 0].name, "recommended",
        better ? json_of(tune, tune->best) : json_null(), "gain",
        tune->n_finals > 0 && isfinite(v->gain) ? v->gain : 0.0, "spread",
        tune->n_finals > 0 ? v->spread : 0.0, "repeats", (int)tune->n_finals);
    (void)json_dumpf(root, out, JSON_INDENT(2));
    (void)fputc('\n', out);
    json_decref(root);
}

void tern_tune_print(struct tern_tune *tune, FILE *out)
{
    uint32_t order[TERN_TUNE_SETTINGS_MAX] = {0};
    struct tern_arena arena;
    struct tern_buf text;

    sort(tune, order);
    tern_tune_front(tune->points, tune->n_points);
    if (tune->options->form == TERN_OUTPUT_FORM_JSON) {
        print_json(tune, order, out);
        return;
    }
    tern_arena_init(&arena, 16384, MEMORY_MAX);
    tern_buf_init(&text, MEMORY_MAX);
    print_text(tune, order, &arena, tern_table_colour(fileno(out)), &text);
    (void)fwrite(text.p, 1, text.n, out);
    tern_buf_fini(&text);
    tern_arena_fini(&arena);
}
