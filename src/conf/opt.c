#include "conf/opt.h"

#include <stdio.h>
#include "conf/opt_value.h"

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

const char *tern_opt_flag(const struct tern_opt *opt, char dst[TERN_OPT_NAME_MAX])
{
    snprintf(dst, TERN_OPT_NAME_MAX, "--%s", opt->name);
    for (char *c = dst; *c != '\0'; c++)
        *c = *c == '.' || *c == '_' ? '-' : *c;
    return dst;
}

const char *tern_opt_env(const struct tern_opt *opt, char dst[TERN_OPT_NAME_MAX])
{
    snprintf(dst, TERN_OPT_NAME_MAX, "TERN_%s", opt->name);
    for (char *c = dst; *c != '\0'; c++)
        *c = *c == '.' ? '_' : upper(*c);
    return dst;
}

const struct tern_opt *tern_opt_find(const struct tern_opt_table *table, struct tern_str name)
{
    for (uint32_t i = 0; i < table->n; i++) {
        if (tern_str_eq(tern_str_of(table->rows[i].name), name))
            return &table->rows[i];
    }
    return NULL;
}

enum tern_opt_origin tern_opt_origin_of(const struct tern_opt_load *load, const char *name)
{
    const struct tern_opt *opt = tern_opt_find(load->table, tern_str_of(name));

    return opt == NULL ? TERN_OPT_FROM_DEFAULT
                       : (enum tern_opt_origin)load->origins[opt - load->table->rows];
}

enum tern_code tern_opt_load_init(struct tern_opt_load *load, const struct tern_opt_table *table,
                                  void *values, struct tern_arena *arena,
                                  struct tern_problems *problems, struct tern_err *err)
{
    *load = (struct tern_opt_load){
        .table = table, .values = values, .arena = arena, .problems = problems};
    load->origins = tern_arena_zalloc(arena, table->n, 1);
    load->places = tern_arena_zalloc(arena, table->n, sizeof(*load->places));
    load->shadow = tern_arena_zalloc(arena, 1, table->size);
    if (load->origins == NULL || load->places == NULL || load->shadow == NULL)
        return tern_arena_fail(arena, err, "the options");
    memset(values, 0, table->size);
    for (uint32_t i = 0; i < table->n; i++) {
        const struct tern_opt *opt = &table->rows[i];
        if (opt->preset != NULL)
            tern_opt_value_set(
                opt, values, tern_str_of(opt->preset),
                &(struct tern_opt_value_at){arena, problems, TERN_STR("default of"), opt->name});
    }
    return TERN_OK;
}

void *tern_opt_claim(struct tern_opt_load *load, const struct tern_opt *opt,
                     enum tern_opt_origin origin)
{
    uint8_t *now = &load->origins[opt - load->table->rows];

    if (origin < *now)
        return load->shadow;
    if (origin > *now)
        tern_opt_value_clear(opt, load->values);
    *now = (uint8_t)origin;
    return load->values;
}

void tern_opt_set(struct tern_opt_load *load, const struct tern_opt *opt,
                  enum tern_opt_origin origin, struct tern_str place, struct tern_str text)
{
    char subject[TERN_OPT_NAME_MAX + 2] = "";

    if (origin == TERN_OPT_FROM_FILE)
        snprintf(subject, sizeof(subject), "%s: ", opt->name);
    void *base = tern_opt_claim(load, opt, origin);
    tern_opt_keep_place(load, opt, base, place);
    tern_opt_value_set(opt, base, text,
                       &(struct tern_opt_value_at){load->arena, load->problems, place, subject});
}

static const struct tern_opt *find_field(const struct tern_opt_record *record, const char *name)
{
    for (uint32_t i = 0; i < record->n; i++) {
        if (strcmp(record->rows[i].name, name) == 0)
            return &record->rows[i];
    }
    return NULL;
}

void tern_opt_add_record(struct tern_opt_load *load, const struct tern_opt *opt,
                         enum tern_opt_origin origin, struct tern_str place,
                         const struct tern_opt_field *fields, uint32_t n)
{
    const struct tern_opt_value_at at = {load->arena, load->problems, place, ""};
    void *base = tern_opt_claim(load, opt, origin);

    tern_opt_keep_place(load, opt, base, place);
    void *item = tern_opt_value_record(opt, base, &at);
    for (uint32_t i = 0; item != NULL && i < n; i++) {
        const struct tern_opt *row = find_field(opt->record, fields[i].name);
        if (row == NULL)
            tern_problem_add(load->problems, place, "no such key: %s", fields[i].name);
        else
            tern_opt_value_set_field(row, item, fields[i].text, &at);
    }
}

void tern_opt_keep_place(struct tern_opt_load *load, const struct tern_opt *opt, const void *base,
                         struct tern_str place)
{
    if (base == load->values)
        load->places[opt - load->table->rows] = tern_arena_copy(load->arena, place);
}

struct tern_str tern_opt_place_of(const struct tern_opt_load *load, const char *name)
{
    const struct tern_opt *opt = tern_opt_find(load->table, tern_str_of(name));

    return opt == NULL ? tern_str_make(NULL, 0) : load->places[opt - load->table->rows];
}

/* Levenshtein's distance with one row of the matrix; words above the row's length are far apart. */
static uint32_t distance(struct tern_str a, struct tern_str b)
{
    uint32_t row[TERN_OPT_NAME_MAX + 1];

    if (a.n > TERN_OPT_NAME_MAX || b.n > TERN_OPT_NAME_MAX)
        return UINT32_MAX;
    for (uint32_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 0; i < a.n; i++) {
        uint32_t diagonal = row[0];
        row[0] = (uint32_t)i + 1;
        for (size_t j = 0; j < b.n; j++) {
            uint32_t above = row[j + 1];
            uint32_t best = diagonal + (a.p[i] == b.p[j] ? 0 : 1);
            best = above + 1 < best ? above + 1 : best;
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j + 1] = best;
            diagonal = above;
        }
    }
    return row[b.n];
}

const char *tern_opt_nearest(struct tern_str word, uint32_t n,
                             const char *(*next)(const void *user, uint32_t i, char *scratch),
                             const void *user, char scratch[TERN_OPT_NAME_MAX])
{
    uint32_t best = UINT32_MAX;
    uint32_t best_i = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t d = distance(word, tern_str_of(next(user, i, scratch)));
        if (d < best) {
            best = d;
            best_i = i;
        }
    }
    if (best == UINT32_MAX || best > word.n / 3 + 1)
        return NULL;
    return next(user, best_i, scratch);
}
