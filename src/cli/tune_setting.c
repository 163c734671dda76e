#include "cli/tune_setting.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define THREADS "intra_op_thread_count"
#define SLO     "slo"

/* ---- the base ---- */

void tern_tune_model_read(struct tern_tune_model *model, const json_t *base)
{
    const json_t *parameters = json_object_get(base, "parameters");

    model->base = base;
    model->says_batches = json_integer_value(json_object_get(base, "max_batch_size")) > 0;
    model->is_configured = json_object_get(base, "dynamic_batching") != NULL ||
                           json_object_get(base, "instance_group") != NULL ||
                           json_object_get(parameters, THREADS) != NULL ||
                           json_object_get(parameters, SLO) != NULL;
}

/* ---- the grid ---- */

struct grid {
    struct tern_tune_setting *at;
    uint32_t n;
};

static void add(struct grid *grid, struct tern_tune_setting setting)
{
    for (uint32_t i = 0; i < grid->n; i++) {
        if (tern_tune_setting_is(&grid->at[i], &setting))
            return;
    }
    if (grid->n < TERN_TUNE_SETTINGS_MAX)
        grid->at[grid->n++] = setting;
}

/* Sizes by the four from the largest batch down, each at once and after a part of the SLO. */
static void add_batches(struct grid *grid, const struct tern_tune_model *model, bool quick)
{
    const uint64_t slo_us = model->slo_ns / 1000;
    const uint64_t delays[] = {0, slo_us / 20, slo_us / 5};
    const uint32_t n_delays = quick ? 2 : 3;

    add(grid, (struct tern_tune_setting){.batching = TERN_TUNE_ALONE});
    for (uint32_t d = 0; d < n_delays; d++) {
        add(grid, (struct tern_tune_setting){.batching = TERN_TUNE_DYNAMIC, .delay_us = delays[d]});
        for (uint32_t rows = quick ? 1 : model->max_rows; rows > 1; rows /= 4)
            add(grid, (struct tern_tune_setting){
                          .batching = TERN_TUNE_DYNAMIC, .preferred = rows, .delay_us = delays[d]});
    }
}

/* 2, 4, 8, ... and the most itself. */
static uint32_t doubled(uint32_t n, uint32_t most)
{
    return n < most && n * 2 > most ? most : n * 2;
}

uint32_t tern_tune_grid(const struct tern_tune_model *model, bool quick,
                        struct tern_tune_setting dst[TERN_TUNE_SETTINGS_MAX])
{
    struct grid grid = {.at = dst};

    add(&grid, (struct tern_tune_setting){.instances = 0});
    if (model->is_configured)
        add(&grid, (struct tern_tune_setting){.as_configured = true});
    for (uint32_t n = 2; n <= model->instances; n = doubled(n, model->instances))
        add(&grid, (struct tern_tune_setting){.instances = n});
    for (uint32_t n = 1; n <= model->threads; n = doubled(n, model->threads))
        add(&grid, (struct tern_tune_setting){.threads = n});
    if (model->max_rows > 1) {
        if (!quick)
            add(&grid, (struct tern_tune_setting){.slo_ns = model->slo_ns});
        add_batches(&grid, model, quick);
    }
    return grid.n;
}

bool tern_tune_setting_is(const struct tern_tune_setting *a, const struct tern_tune_setting *b)
{
    return a->as_configured == b->as_configured && a->batching == b->batching &&
           a->preferred == b->preferred && a->delay_us == b->delay_us &&
           a->instances == b->instances && a->threads == b->threads && a->slo_ns == b->slo_ns;
}

/* The slo is of the server's own batching: beside a configured one it means nothing. */
bool tern_tune_join(const struct tern_tune_setting *a, const struct tern_tune_setting *b,
                    struct tern_tune_setting *ret_both)
{
    bool a_batches = a->batching != TERN_TUNE_UNSAID || a->slo_ns > 0;
    bool b_batches = b->batching != TERN_TUNE_UNSAID || b->slo_ns > 0;
    const struct tern_tune_setting none = {.instances = 0};

    if (a->as_configured || b->as_configured || (a_batches && b_batches) ||
        (a->instances > 0 && b->instances > 0) || (a->threads > 0 && b->threads > 0) ||
        tern_tune_setting_is(a, &none) || tern_tune_setting_is(b, &none))
        return false;
    *ret_both = *a;
    if (b_batches) {
        ret_both->batching = b->batching;
        ret_both->preferred = b->preferred;
        ret_both->delay_us = b->delay_us;
        ret_both->slo_ns = b->slo_ns;
    }
    ret_both->instances += b->instances;
    ret_both->threads += b->threads;
    return true;
}

/* ---- in words ---- */

/* "2 ms" or "250 us": what was asked for, not rounded. */
static void add_time(struct tern_buf *out, uint64_t us, const char *space)
{
    bool whole = us > 0 && us % 1000 == 0;
    tern_buf_printf(out, "%" PRIu64 "%s%s", whole ? us / 1000 : us, space, whole ? "ms" : "us");
}

static void add_batching_name(struct tern_buf *out, const struct tern_tune_setting *s)
{
    if (s->batching == TERN_TUNE_ALONE) {
        tern_buf_printf(out, ", no batches");
        return;
    }
    if (s->preferred > 0)
        tern_buf_printf(out, ", batches of %" PRIu32, s->preferred);
    else
        tern_buf_printf(out, ", batches");
    if (s->delay_us > 0) {
        tern_buf_printf(out, ", delay ");
        add_time(out, s->delay_us, " ");
    } else {
        tern_buf_printf(out, ", no delay");
    }
}

void tern_tune_setting_name(const struct tern_tune_setting *setting, char dst[TERN_TUNE_NAME_MAX])
{
    struct tern_buf out;

    tern_buf_init(&out, 4096);
    if (setting->batching != TERN_TUNE_UNSAID)
        add_batching_name(&out, setting);
    if (setting->slo_ns > 0) {
        tern_buf_printf(&out, ", slo ");
        add_time(&out, setting->slo_ns / 1000, " ");
    }
    if (setting->instances > 0)
        tern_buf_printf(&out, ", %" PRIu32 " instances", setting->instances);
    if (setting->threads > 0)
        tern_buf_printf(&out, ", %" PRIu32 " thread%s", setting->threads,
                        setting->threads == 1 ? "" : "s");
    struct tern_str name = setting->as_configured ? TERN_STR("as configured now")
                           : out.n > 2            ? tern_str_from(tern_buf_str(&out), 2)
                                                  : TERN_STR("nothing configured");
    (void)snprintf(dst, TERN_TUNE_NAME_MAX, "%.*s", TERN_STR_ARG(name));
    tern_buf_fini(&out);
}

/* ---- as configuration ---- */

/* The largest batch has to be said where it was found at load: dynamic_batching needs one. */
static bool says_rows(const struct tern_tune_model *model, const struct tern_tune_setting *setting)
{
    return setting->batching != TERN_TUNE_UNSAID && !model->says_batches;
}

static uint32_t rows_said(const struct tern_tune_model *model,
                          const struct tern_tune_setting *setting)
{
    return setting->batching == TERN_TUNE_ALONE ? 0 : model->max_rows;
}

/* Without a size of its own a model is kept from batches by max_batch_size: 0 alone. */
static bool says_dynamic(const struct tern_tune_model *model,
                         const struct tern_tune_setting *setting)
{
    return setting->batching == TERN_TUNE_DYNAMIC ||
           (setting->batching == TERN_TUNE_ALONE && model->says_batches);
}

static uint32_t preferred_of(const struct tern_tune_setting *setting)
{
    return setting->batching == TERN_TUNE_ALONE ? 1 : setting->preferred;
}

static const char *kind_of(const struct tern_tune_model *model)
{
    const json_t *group = json_array_get(json_object_get(model->base, "instance_group"), 0);
    return json_string_value(json_object_get(group, "kind"));
}

void tern_tune_setting_lines(const struct tern_tune_model *model, const struct tern_tune_setting *s,
                             struct tern_buf *out)
{
    const char *kind = kind_of(model);

    if (says_rows(model, s))
        tern_buf_printf(out, "max_batch_size: %" PRIu32 "\n", rows_said(model, s));
    if (says_dynamic(model, s)) {
        tern_buf_printf(out, "dynamic_batching {");
        if (preferred_of(s) > 0)
            tern_buf_printf(out, " preferred_batch_size: [ %" PRIu32 " ]", preferred_of(s));
        if (s->delay_us > 0)
            tern_buf_printf(out, " max_queue_delay_microseconds: %" PRIu64, s->delay_us);
        tern_buf_printf(out, " }\n");
    }
    if (s->instances > 0)
        tern_buf_printf(out, "instance_group [ { count: %" PRIu32 "%s%s } ]\n", s->instances,
                        kind == NULL ? "" : " kind: ", kind == NULL ? "" : kind);
    if (s->threads > 0)
        tern_buf_printf(
            out, "parameters { key: \"" THREADS "\" value { string_value: \"%" PRIu32 "\" } }\n",
            s->threads);
    if (s->slo_ns > 0) {
        tern_buf_printf(out, "parameters { key: \"" SLO "\" value { string_value: \"");
        add_time(out, s->slo_ns / 1000, "");
        tern_buf_printf(out, "\" } }\n");
    }
}

/* Groups keep their devices; how many there are is what is tried. */
static int set_instances(json_t *config, const struct tern_tune_setting *setting)
{
    json_t *group = json_deep_copy(json_array_get(json_object_get(config, "instance_group"), 0));

    if (group == NULL && setting->instances == 0)
        return 0;
    if (group == NULL)
        group = json_object();
    (void)json_object_del(group, "count");
    int bad = 0;
    if (setting->instances > 0)
        bad = json_object_set_new(group, "count", json_integer((json_int_t)setting->instances));
    return bad | json_object_set_new(config, "instance_group", json_pack("[o]", group));
}

static int set_parameter(json_t *config, const char *key, uint64_t value, const char *unit)
{
    json_t *parameters = json_object_get(config, "parameters");
    char text[48];

    if (value == 0) {
        (void)json_object_del(parameters, key);
        return 0;
    }
    if (parameters == NULL) {
        parameters = json_object();
        if (json_object_set_new(config, "parameters", parameters) != 0)
            return -1;
    }
    (void)snprintf(text, sizeof(text), "%" PRIu64 "%s", value, unit);
    return json_object_set_new(parameters, key, json_pack("{s:s}", "string_value", text));
}

static int set_batching(json_t *config, const struct tern_tune_model *model,
                        const struct tern_tune_setting *setting)
{
    const json_t *before = json_object_get(config, "dynamic_batching");
    int bad = 0;

    if (says_rows(model, setting))
        bad |= json_object_set_new(config, "max_batch_size",
                                   json_integer((json_int_t)rows_said(model, setting)));
    if (!says_dynamic(model, setting)) {
        (void)json_object_del(config, "dynamic_batching");
        return bad;
    }
    json_t *dynamic = before == NULL ? json_object() : json_deep_copy(before);
    (void)json_object_del(dynamic, "preferred_batch_size");
    (void)json_object_del(dynamic, "max_queue_delay_microseconds");
    if (preferred_of(setting) > 0)
        bad |= json_object_set_new(dynamic, "preferred_batch_size",
                                   json_pack("[I]", (json_int_t)preferred_of(setting)));
    if (setting->delay_us > 0)
        bad |= json_object_set_new(dynamic, "max_queue_delay_microseconds",
                                   json_integer((json_int_t)setting->delay_us));
    return bad | json_object_set_new(config, "dynamic_batching", dynamic);
}

json_t *tern_tune_setting_apply(const struct tern_tune_model *model,
                                const struct tern_tune_setting *setting)
{
    json_t *config = json_deep_copy(model->base);

    if (config == NULL || setting->as_configured)
        return config;
    int bad = set_batching(config, model, setting);
    bad |= set_instances(config, setting);
    bad |= set_parameter(config, THREADS, setting->threads, "");
    bad |= set_parameter(config, SLO, setting->slo_ns / 1000, "us");
    if (bad == 0)
        return config;
    json_decref(config);
    return NULL;
}
