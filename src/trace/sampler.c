#include "trace/sampler.h"

#include <inttypes.h>
#include <pthread.h>
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "core/model.h"

#define SLOTS (2u * TERN_TRACE_MODELS_MAX) /* a power of two, never more than half full */

enum field {
    LEVEL,
    RATE,
    COUNT, /* as int64_t */
    FREQUENCY,
    FIELDS,
};

struct row {
    char name[TERN_MODEL_NAME_MAX + 1]; /* "": all models */
    _Atomic unsigned own;               /* bits of the fields that hold here */
    _Atomic uint64_t value[FIELDS];
    _Atomic uint64_t seen; /* requests asked about, since RATE was set here */
};

struct tern_sampler {
    atomic_bool armed;
    struct row all;
    _Atomic uint64_t last_id;
    _Atomic(struct row *) slots[SLOTS]; /* owned: open addressing by name */
    struct tern_sampler_settings settings;
    pthread_mutex_t lock; /* over updates */
    uint32_t n_rows;
};

static uint64_t preset(const struct tern_sampler *sampler, enum field field)
{
    const struct tern_sampler_settings *settings = &sampler->settings;
    const uint64_t values[FIELDS] = {
        [LEVEL] = settings->level,
        [RATE] = settings->rate,
        [COUNT] = (uint64_t)settings->count,
        [FREQUENCY] = settings->log_frequency,
    };
    return values[field];
}

static void set_armed(struct tern_sampler *sampler)
{
    bool armed = sampler->all.value[LEVEL] != 0;

    for (uint32_t i = 0; i < SLOTS && !armed; i++) {
        const struct row *row = sampler->slots[i];
        armed = row != NULL && (row->own >> LEVEL & 1u) != 0 && row->value[LEVEL] != 0;
    }
    sampler->armed = armed;
}

enum tern_code tern_sampler_new(const struct tern_sampler_settings *settings,
                                struct tern_sampler **ret_sampler, struct tern_err *err)
{
    struct tern_sampler *sampler = tern_mem_zalloc(1, sizeof(*sampler));

    if (sampler == NULL)
        return tern_mem_fail(err, "the trace settings", sizeof(*sampler));
    sampler->settings = *settings;
    pthread_mutex_init(&sampler->lock, NULL);
    sampler->all.own = (1u << FIELDS) - 1;
    for (int i = 0; i < FIELDS; i++)
        sampler->all.value[i] = preset(sampler, (enum field)i);
    set_armed(sampler);
    *ret_sampler = sampler;
    return TERN_OK;
}

void tern_sampler_free(struct tern_sampler *sampler)
{
    if (sampler == NULL)
        return;
    for (uint32_t i = 0; i < SLOTS; i++)
        tern_mem_free(sampler->slots[i]);
    pthread_mutex_destroy(&sampler->lock);
    tern_mem_free(sampler);
}

const atomic_bool *tern_sampler_armed(const struct tern_sampler *sampler)
{
    return &sampler->armed;
}

enum tern_trace_mode tern_sampler_mode(const struct tern_sampler *sampler)
{
    return sampler->settings.mode;
}

/* ---- rows ---- */

/* The slot where the model's row is, or the free one where it belongs. */
static uint32_t slot_of(const struct tern_sampler *sampler, struct tern_str model)
{
    uint32_t at = (uint32_t)tern_hash_bytes(model, 0) & (SLOTS - 1);

    for (;; at = (at + 1) & (SLOTS - 1)) {
        const struct row *row = atomic_load_explicit(&sampler->slots[at], memory_order_acquire);
        if (row == NULL || tern_str_eq(tern_str_of(row->name), model))
            return at;
    }
}

/* The row that decides about the model: its own, or that of all. */
static struct row *row_of(struct tern_sampler *sampler, struct tern_str model)
{
    struct row *row = model.n == 0 ? NULL : sampler->slots[slot_of(sampler, model)];
    return row == NULL ? &sampler->all : row;
}

static struct row *owner(struct tern_sampler *sampler, struct row *row, enum field field)
{
    unsigned own = atomic_load_explicit(&row->own, memory_order_acquire);
    return (own >> field & 1u) != 0 ? row : &sampler->all;
}

static uint64_t value_of(struct tern_sampler *sampler, struct row *row, enum field field)
{
    return atomic_load_explicit(&owner(sampler, row, field)->value[field], memory_order_relaxed);
}

/* Under the lock. */
static enum tern_code need_row(struct tern_sampler *sampler, struct tern_str model,
                               struct row **ret_row, struct tern_err *err)
{
    if (model.n == 0) {
        *ret_row = &sampler->all;
        return TERN_OK;
    }
    uint32_t at = slot_of(sampler, model);
    struct row *row = sampler->slots[at];
    if (row == NULL) {
        if (sampler->n_rows == TERN_TRACE_MODELS_MAX)
            return tern_fail(err, TERN_RESOURCE_EXHAUSTED,
                             "%u models have trace settings of their own, which is the limit",
                             sampler->n_rows);
        row = tern_mem_zalloc(1, sizeof(*row));
        if (row == NULL)
            return tern_mem_fail(err, "the trace settings", sizeof(*row));
        if (!tern_str_copy_z(model, row->name, sizeof(row->name))) {
            tern_mem_free(row);
            return tern_fail(err, TERN_INVALID_ARGUMENT, "the name of the model is too long");
        }
        sampler->n_rows++;
        atomic_store_explicit(&sampler->slots[at], row, memory_order_release);
    }
    *ret_row = row;
    return TERN_OK;
}

/* ---- the decision ---- */

/* Takes one of the traces that are left. */
static bool take_count(struct row *row)
{
    uint64_t left = atomic_load_explicit(&row->value[COUNT], memory_order_relaxed);

    do {
        if (left == 0)
            return false;
        if ((int64_t)left < 0)
            return true;
    } while (!atomic_compare_exchange_weak_explicit(&row->value[COUNT], &left, left - 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

uint64_t tern_sampler_next_id(struct tern_sampler *sampler)
{
    return atomic_fetch_add_explicit(&sampler->last_id, 1, memory_order_relaxed) + 1;
}

bool tern_sampler_take(struct tern_sampler *sampler, struct tern_str model, bool propagated,
                       struct tern_sample *ret_sample)
{
    struct row *row = row_of(sampler, model);
    uint64_t level = value_of(sampler, row, LEVEL);

    if (level == 0)
        return false;
    if (!propagated) {
        struct row *rated = owner(sampler, row, RATE);
        uint64_t rate = value_of(sampler, row, RATE);
        uint64_t nth = atomic_fetch_add_explicit(&rated->seen, 1, memory_order_relaxed) + 1;
        if (nth % rate != 0)
            return false;
    }
    if (!take_count(owner(sampler, row, COUNT)))
        return false;
    *ret_sample = (struct tern_sample){
        .level = (unsigned)level,
        .log_frequency = value_of(sampler, row, FREQUENCY),
        .id = tern_sampler_next_id(sampler),
    };
    return true;
}

/* ---- changes ---- */

static const char *const field_keys[FIELDS] = {
    [LEVEL] = "trace_level",
    [RATE] = "trace_rate",
    [COUNT] = "trace_count",
    [FREQUENCY] = "log_frequency",
};

static enum tern_code read_level(const struct tern_setting *setting, uint64_t *ret,
                                 struct tern_err *err)
{
    unsigned level = 0;

    for (uint32_t i = 0; i < setting->n; i++) {
        struct tern_str text = setting->values[i];
        if (tern_str_eq(text, TERN_STR("OFF"))) {
            if (setting->n > 1)
                return tern_fail(err, TERN_INVALID_ARGUMENT,
                                 "Expect only one trace level 'OFF' is specified");
        } else if (tern_str_eq(text, TERN_STR("TIMESTAMPS")) ||
                   tern_str_eq(text, TERN_STR("MIN")) || tern_str_eq(text, TERN_STR("MAX"))) {
            level |= TERN_TRACE_TIMESTAMPS;
        } else if (tern_str_eq(text, TERN_STR("TENSORS"))) {
            level |= TERN_TRACE_TENSORS;
        } else {
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "unknown trace level '%.*s', expected OFF, TIMESTAMPS or TENSORS",
                             TERN_STR_ARG(text));
        }
    }
    *ret = level;
    return TERN_OK;
}

static enum tern_code read_number(const struct tern_setting *setting, uint64_t min, uint64_t *ret,
                                  struct tern_err *err)
{
    struct tern_str text = setting->n > 0 ? setting->values[0] : TERN_STR("");

    if (setting->n == 1 && tern_num_parse_u64(text, INT32_MAX, ret) && *ret >= min)
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "Unable to parse '%.*s', got: '%.*s', expected one whole number from %" PRIu64
                     " to %d",
                     TERN_STR_ARG(setting->key), TERN_STR_ARG(text), min, INT32_MAX);
}

static enum tern_code read_field(const struct tern_setting *setting, enum field field,
                                 uint64_t *ret, struct tern_err *err)
{
    if (setting->kind != TERN_SETTING_TEXT)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expect string for '%.*s'",
                         TERN_STR_ARG(setting->key));
    if (field == LEVEL)
        return read_level(setting, ret, err);
    if (field == COUNT && setting->n == 1 && tern_str_eq(setting->values[0], TERN_STR("-1"))) {
        *ret = (uint64_t)-1;
        return TERN_OK;
    }
    return read_number(setting, field == RATE ? 1 : 0, ret, err);
}

/* What an update comes to. */
struct wish {
    unsigned set;
    unsigned clear;
    uint64_t value[FIELDS];
};

static enum tern_code read_setting(const struct tern_setting *setting, struct wish *wish,
                                   struct tern_err *err)
{
    if (tern_str_eq(setting->key, TERN_STR("trace_file")))
        return setting->clear ? TERN_OK
                              : tern_fail(err, TERN_UNIMPLEMENTED,
                                          "trace file location can not be updated through network "
                                          "protocol");
    if (tern_str_eq(setting->key, TERN_STR("trace_mode")))
        return setting->clear ? TERN_OK
                              : tern_fail(err, TERN_UNIMPLEMENTED,
                                          "trace mode can not be updated through network protocol");
    for (int i = 0; i < FIELDS; i++) {
        if (!tern_str_eq(setting->key, tern_str_of(field_keys[i])))
            continue;
        *(setting->clear ? &wish->clear : &wish->set) |= 1u << i;
        return setting->clear ? TERN_OK : read_field(setting, (enum field)i, &wish->value[i], err);
    }
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "unknown trace setting '%.*s', expected trace_level, trace_rate, trace_count "
                     "or log_frequency",
                     TERN_STR_ARG(setting->key));
}

static void apply(struct tern_sampler *sampler, struct row *row, const struct wish *wish)
{
    for (int i = 0; i < FIELDS; i++) {
        if ((wish->clear >> i & 1u) != 0 && row == &sampler->all)
            row->value[i] = preset(sampler, (enum field)i);
        if ((wish->set >> i & 1u) != 0)
            row->value[i] = wish->value[i];
    }
    if (((wish->set | wish->clear) >> RATE & 1u) != 0)
        row->seen = 0;
    if (row != &sampler->all)
        row->own = (row->own & ~wish->clear) | wish->set;
    set_armed(sampler);
}

enum tern_code tern_sampler_update(struct tern_sampler *sampler, struct tern_str model,
                                   const struct tern_settings *settings, struct tern_err *err)
{
    struct wish wish = {0};
    struct row *row = NULL;

    for (uint32_t i = 0; i < settings->n; i++)
        TERN_TRY(read_setting(&settings->rows[i], &wish, err));
    pthread_mutex_lock(&sampler->lock);
    enum tern_code code = need_row(sampler, model, &row, err);
    if (code == TERN_OK)
        apply(sampler, row, &wish);
    pthread_mutex_unlock(&sampler->lock);
    return code;
}

/* ---- the answer ---- */

#define ROWS_MAX   6
#define VALUES_MAX 8

struct answer {
    struct tern_setting rows[ROWS_MAX];
    struct tern_str values[VALUES_MAX];
    char digits[FIELDS][24];
    uint32_t n;
    uint32_t n_values;
};

static void add(struct answer *answer, const char *key, struct tern_str value)
{
    struct tern_str *at = &answer->values[answer->n_values++];

    *at = value;
    answer->rows[answer->n++] = (struct tern_setting){
        .key = tern_str_of(key), .kind = TERN_SETTING_TEXT, .values = at, .n = 1};
}

static void add_level(struct answer *answer, uint64_t level)
{
    struct tern_setting *row = &answer->rows[answer->n];

    add(answer, field_keys[LEVEL], TERN_STR("OFF"));
    row->list = true;
    if (level == 0)
        return;
    answer->n_values--;
    if ((level & TERN_TRACE_TIMESTAMPS) != 0)
        answer->values[answer->n_values++] = TERN_STR("TIMESTAMPS");
    if ((level & TERN_TRACE_TENSORS) != 0)
        answer->values[answer->n_values++] = TERN_STR("TENSORS");
    row->n = answer->n_values;
}

static void add_number(struct answer *answer, enum field field, uint64_t v)
{
    char *dst = answer->digits[field];
    bool negative = (int64_t)v < 0;

    dst[0] = '-';
    size_t n = tern_num_format_u64(negative ? (uint64_t)0 - v : v, dst + negative);
    add(answer, field_keys[field], tern_str_make(dst, n + negative));
}

enum tern_code tern_sampler_read(struct tern_sampler *sampler, struct tern_str model,
                                 struct tern_arena *arena, struct tern_settings *ret_settings,
                                 struct tern_err *err)
{
    struct answer *answer = tern_arena_zalloc(arena, 1, sizeof(*answer));
    struct row *row = row_of(sampler, model);
    bool files = sampler->settings.mode == TERN_TRACE_MODE_TRITON;

    if (answer == NULL)
        return tern_arena_fail(arena, err, "the trace settings");
    add_level(answer, value_of(sampler, row, LEVEL));
    add_number(answer, RATE, value_of(sampler, row, RATE));
    add_number(answer, COUNT, value_of(sampler, row, COUNT));
    if (files) {
        add_number(answer, FREQUENCY, value_of(sampler, row, FREQUENCY));
        add(answer, "trace_file", sampler->settings.file);
        add(answer, "trace_mode", TERN_STR("triton"));
    } else {
        add(answer, "url", sampler->settings.url);
        add(answer, "trace_mode", TERN_STR("opentelemetry"));
    }
    *ret_settings = (struct tern_settings){answer->rows, answer->n};
    return TERN_OK;
}
