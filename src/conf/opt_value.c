#include "conf/opt_value.h"

#include <stdio.h>
#include "base/clock.h"
#include "base/num.h"

#define ITEMS_MAX 256u

static void *field_of(const struct tern_opt *opt, void *base)
{
    return (char *)base + opt->offset;
}

static const void *const_field_of(const struct tern_opt *opt, const void *base)
{
    return (const char *)base + opt->offset;
}

/* printf with the size or time in the largest unit that divides it. */
static void print_unit(uint64_t v, enum tern_opt_type type, struct tern_buf *out)
{
    static const struct unit {
        enum tern_opt_type type;
        uint64_t factor;
        const char *suffix;
    } units[] = {
        {TERN_OPT_SIZE, (uint64_t)1 << 30, "GiB"},
        {TERN_OPT_SIZE, (uint64_t)1 << 20, "MiB"},
        {TERN_OPT_SIZE, (uint64_t)1 << 10, "KiB"},
        {TERN_OPT_DURATION, (uint64_t)3600 * TERN_NS_PER_S, "h"},
        {TERN_OPT_DURATION, (uint64_t)60 * TERN_NS_PER_S, "m"},
        {TERN_OPT_DURATION, TERN_NS_PER_S, "s"},
        {TERN_OPT_DURATION, TERN_NS_PER_MS, "ms"},
        {TERN_OPT_DURATION, TERN_NS_PER_US, "us"},
        {TERN_OPT_DURATION, 1, "ns"},
    };

    for (size_t i = 0; i < TERN_COUNT_OF(units) && v != 0; i++) {
        if (units[i].type == type && v % units[i].factor == 0) {
            tern_buf_add_u64(out, v / units[i].factor);
            tern_buf_add_str(out, tern_str_of(units[i].suffix));
            return;
        }
    }
    tern_buf_add_u64(out, v);
    if (type == TERN_OPT_DURATION)
        tern_buf_add_char(out, 's');
}

static void print_range(const struct tern_opt *opt, const char *what, struct tern_buf *out)
{
    tern_buf_add_str(out, tern_str_of(what));
    TERN_BUF_ADD_LITERAL(out, " from ");
    print_unit(opt->min, opt->type, out);
    TERN_BUF_ADD_LITERAL(out, " to ");
    print_unit(opt->max, opt->type, out);
}

static void print_choices(const struct tern_opt *opt, struct tern_buf *out)
{
    for (uint32_t i = 0; opt->values[i] != NULL; i++) {
        if (i > 0)
            tern_buf_add_str(out, opt->values[i + 1] == NULL ? TERN_STR(" or ") : TERN_STR(", "));
        tern_buf_add_str(out, tern_str_of(opt->values[i]));
    }
}

void tern_opt_print_expected(const struct tern_opt *opt, struct tern_buf *out)
{
    switch (opt->type) {
    case TERN_OPT_BOOL:
        TERN_BUF_ADD_LITERAL(out, "true or false");
        return;
    case TERN_OPT_UINT:
        print_range(opt, "a number", out);
        return;
    case TERN_OPT_SIZE:
        print_range(opt, "a size", out);
        return;
    case TERN_OPT_DURATION:
        print_range(opt, "a time", out);
        return;
    case TERN_OPT_STRING:
        TERN_BUF_ADD_LITERAL(out, "a text");
        return;
    case TERN_OPT_ENUM:
        print_choices(opt, out);
        return;
    case TERN_OPT_LIST:
        TERN_BUF_ADD_LITERAL(out, "a list");
        return;
    case TERN_OPT_RECORDS:
        TERN_BUF_ADD_LITERAL(out, "a list of maps");
        return;
    }
}

static void complain(const struct tern_opt *opt, struct tern_str text,
                     const struct tern_opt_value_at *at)
{
    struct tern_buf expected;

    tern_buf_init(&expected, 1024);
    tern_opt_print_expected(opt, &expected);
    tern_problem_add(at->problems, at->place, "%sexpected %.*s, got \"%.*s\"", at->subject,
                     TERN_STR_ARG(tern_buf_str(&expected)), (int)(text.n > 80 ? 80 : text.n),
                     text.p == NULL ? "" : text.p);
    tern_buf_fini(&expected);
}

static bool parse_bool(struct tern_str text, bool *ret)
{
    static const struct word {
        const char *text;
        bool value;
    } words[] = {{"true", true}, {"false", false}, {"on", true}, {"off", false},
                 {"yes", true},  {"no", false},    {"1", true},  {"0", false}};

    for (size_t i = 0; i < TERN_COUNT_OF(words); i++) {
        if (tern_str_eq_nocase(text, tern_str_of(words[i].text))) {
            *ret = words[i].value;
            return true;
        }
    }
    return false;
}

static bool parse_enum(const struct tern_opt *opt, struct tern_str text, int *ret)
{
    for (int i = 0; opt->values[i] != NULL; i++) {
        if (tern_str_eq(text, tern_str_of(opt->values[i]))) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool parse_number(const struct tern_opt *opt, struct tern_str text, uint64_t *ret)
{
    uint64_t v = 0;
    bool ok = opt->type == TERN_OPT_SIZE       ? tern_num_parse_size(text, &v)
              : opt->type == TERN_OPT_DURATION ? tern_num_parse_duration(text, &v)
                                               : tern_num_parse_u64(text, UINT64_MAX, &v);

    if (!ok || v < opt->min || v > opt->max)
        return false;
    *ret = v;
    return true;
}

static void say_no_memory(const struct tern_opt_value_at *at)
{
    tern_problem_add(at->problems, at->place, "%sno memory for the value", at->subject);
}

/* The array with room for one more of `size` bytes: it grows at every power of two. */
static void *grow(struct tern_arena *arena, void *items, uint32_t n, size_t size)
{
    if (n != 0 && (n & (n - 1)) != 0)
        return items;
    void *larger = tern_arena_zalloc(arena, n == 0 ? 1 : (size_t)n * 2, size);
    if (larger != NULL && n > 0)
        memcpy(larger, items, n * size);
    return larger;
}

static bool has_room(const struct tern_opt *opt, uint32_t n, const struct tern_opt_value_at *at)
{
    uint64_t max = opt->max == 0 ? ITEMS_MAX : opt->max;

    if (n < max)
        return true;
    tern_problem_add(at->problems, at->place, "%sat most %llu values are allowed", at->subject,
                     (unsigned long long)max);
    return false;
}

void tern_opt_value_append(const struct tern_opt *opt, void *base, struct tern_str text,
                           const struct tern_opt_value_at *at)
{
    struct tern_opt_list *list = field_of(opt, base);

    if (!has_room(opt, list->n, at))
        return;
    struct tern_str *items = grow(at->arena, list->items, list->n, sizeof(*items));
    struct tern_str copy = tern_arena_copy(at->arena, text);
    if (items == NULL || copy.p == NULL) {
        say_no_memory(at);
        return;
    }
    list->items = items;
    list->items[list->n++] = copy;
}

/* Any type but lists and records. */
static void set_scalar(const struct tern_opt *opt, void *base, struct tern_str text,
                       const struct tern_opt_value_at *at)
{
    void *field = field_of(opt, base);
    bool ok = true;

    switch (opt->type) {
    case TERN_OPT_BOOL:
        ok = parse_bool(text, field);
        break;
    case TERN_OPT_UINT:
    case TERN_OPT_SIZE:
    case TERN_OPT_DURATION:
        ok = parse_number(opt, text, field);
        break;
    case TERN_OPT_ENUM:
        ok = parse_enum(opt, text, field);
        break;
    case TERN_OPT_STRING: {
        struct tern_str copy = tern_arena_copy(at->arena, text);
        if (copy.p == NULL)
            say_no_memory(at);
        else
            *(struct tern_str *)field = copy;
        return;
    }
    case TERN_OPT_LIST:
    case TERN_OPT_RECORDS:
        ok = false;
        break;
    }
    if (!ok)
        complain(opt, text, at);
}

void tern_opt_value_set_field(const struct tern_opt *row, void *item, struct tern_str text,
                              const struct tern_opt_value_at *at)
{
    struct tern_str piece;

    if (row->type != TERN_OPT_LIST) {
        set_scalar(row, item, text, at);
        return;
    }
    while (tern_str_split(&text, '+', &piece)) {
        piece = tern_str_trim(piece);
        if (piece.n > 0)
            tern_opt_value_append(row, item, piece, at);
    }
}

void *tern_opt_value_record(const struct tern_opt *opt, void *base,
                            const struct tern_opt_value_at *at)
{
    struct tern_opt_records *records = field_of(opt, base);
    const struct tern_opt_record *record = opt->record;

    if (!has_room(opt, records->n, at))
        return NULL;
    void *items = grow(at->arena, records->items, records->n, record->size);
    if (items == NULL) {
        say_no_memory(at);
        return NULL;
    }
    records->items = items;
    void *item = (char *)items + records->n * record->size;
    memset(item, 0, record->size);
    if (record->keeps_place) {
        struct tern_str place = tern_arena_copy(at->arena, at->place);
        memcpy((char *)item + record->place, &place, sizeof(place));
    }
    for (uint32_t i = 0; i < record->n; i++) {
        if (record->rows[i].preset != NULL)
            tern_opt_value_set_field(&record->rows[i], item, tern_str_of(record->rows[i].preset),
                                     at);
    }
    records->n++;
    return item;
}

/* A key of the short form: the row's name, or its last part ("cert" for "tls.cert"). */
static const struct tern_opt *record_row(const struct tern_opt_record *record, struct tern_str key)
{
    for (uint32_t i = 0; i < record->n; i++) {
        struct tern_str name = tern_str_of(record->rows[i].name);
        size_t dot = tern_str_find(name, '.');
        if (tern_str_eq(name, key) ||
            (dot < name.n && tern_str_eq(tern_str_from(name, dot + 1), key)))
            return &record->rows[i];
    }
    return NULL;
}

static bool has_secret(const struct tern_opt_record *record)
{
    for (uint32_t i = 0; i < record->n; i++) {
        if ((record->rows[i].flags & TERN_OPT_SECRET) != 0)
            return true;
    }
    return false;
}

static void set_record_piece(const struct tern_opt *opt, void *item, struct tern_str piece,
                             const struct tern_opt_value_at *at)
{
    size_t equals = tern_str_find(piece, '=');
    struct tern_str key = tern_str_trim(tern_str_make(piece.p, equals));
    const struct tern_opt *row = record_row(opt->record, key);

    if (row == NULL && has_secret(opt->record)) /* it may be the rest of a secret */
        tern_problem_add(at->problems, at->place, "%sa key that does not exist", at->subject);
    else if (row == NULL)
        tern_problem_add(at->problems, at->place, "%sno such key: \"%.*s\"", at->subject,
                         TERN_STR_ARG(key));
    else if (equals < piece.n)
        tern_opt_value_set_field(row, item, tern_str_trim(tern_str_from(piece, equals + 1)), at);
    else if (row->type == TERN_OPT_BOOL)
        set_scalar(row, item, TERN_STR("true"), at);
    else
        tern_problem_add(at->problems, at->place, "%s\"%.*s\" needs a value: %.*s=...", at->subject,
                         TERN_STR_ARG(key), TERN_STR_ARG(key));
}

void tern_opt_value_record_text(const struct tern_opt *opt, void *base, struct tern_str text,
                                const struct tern_opt_value_at *at)
{
    void *item = tern_opt_value_record(opt, base, at);
    struct tern_str rest = text;
    struct tern_str piece;

    for (bool first = true; item != NULL && tern_str_split(&rest, ',', &piece); first = false) {
        piece = tern_str_trim(piece);
        if (first)
            tern_opt_value_set_field(&opt->record->rows[0], item, piece, at);
        else
            set_record_piece(opt, item, piece, at);
    }
}

static void set_several(const struct tern_opt *opt, void *base, struct tern_str text,
                        const struct tern_opt_value_at *at)
{
    char separator = opt->type == TERN_OPT_LIST ? ',' : ';';
    struct tern_str piece;

    while (tern_str_split(&text, separator, &piece)) {
        piece = tern_str_trim(piece);
        if (piece.n == 0)
            continue;
        if (opt->type == TERN_OPT_LIST)
            tern_opt_value_append(opt, base, piece, at);
        else
            tern_opt_value_record_text(opt, base, piece, at);
    }
}

void tern_opt_value_set(const struct tern_opt *opt, void *base, struct tern_str text,
                        const struct tern_opt_value_at *at)
{
    if (opt->type == TERN_OPT_LIST || opt->type == TERN_OPT_RECORDS)
        set_several(opt, base, text, at);
    else
        set_scalar(opt, base, text, at);
}

void tern_opt_value_clear(const struct tern_opt *opt, void *base)
{
    if (opt->type == TERN_OPT_LIST)
        *(struct tern_opt_list *)field_of(opt, base) = (struct tern_opt_list){0};
    else if (opt->type == TERN_OPT_RECORDS)
        *(struct tern_opt_records *)field_of(opt, base) = (struct tern_opt_records){0};
}

static void print_scalar(const struct tern_opt *opt, const void *base, struct tern_buf *out)
{
    const void *field = const_field_of(opt, base);

    switch (opt->type) {
    case TERN_OPT_BOOL:
        tern_buf_add_str(out, *(const bool *)field ? TERN_STR("true") : TERN_STR("false"));
        return;
    case TERN_OPT_UINT:
    case TERN_OPT_SIZE:
    case TERN_OPT_DURATION:
        print_unit(*(const uint64_t *)field, opt->type, out);
        return;
    case TERN_OPT_ENUM:
        tern_buf_add_str(out, tern_str_of(opt->values[*(const int *)field]));
        return;
    case TERN_OPT_STRING:
        tern_buf_add_str(out, *(const struct tern_str *)field);
        return;
    case TERN_OPT_LIST:
    case TERN_OPT_RECORDS:
        return;
    }
}

static void print_list(const struct tern_opt *opt, const void *base, char separator,
                       struct tern_buf *out)
{
    const struct tern_opt_list *list = const_field_of(opt, base);

    for (uint32_t i = 0; i < list->n; i++) {
        if (i > 0)
            tern_buf_add_char(out, separator);
        tern_buf_add_str(out, list->items[i]);
    }
}

static void print_field(const struct tern_opt *row, const void *item, bool whole,
                        struct tern_buf *out)
{
    if ((row->flags & TERN_OPT_SECRET) != 0 && !whole)
        TERN_BUF_ADD_LITERAL(out, TERN_OPT_HIDDEN);
    else if (row->type == TERN_OPT_LIST)
        print_list(row, item, '+', out);
    else
        print_scalar(row, item, out);
}

/* What a record's short form leaves out: a default, and what is empty. */
static bool is_left_out(const struct tern_opt *row, const void *item)
{
    const void *field = const_field_of(row, item);

    if (row->type == TERN_OPT_BOOL)
        return !*(const bool *)field;
    if (row->type == TERN_OPT_ENUM)
        return *(const int *)field == 0 && row->preset == NULL;
    if (row->type == TERN_OPT_LIST)
        return ((const struct tern_opt_list *)field)->n == 0;
    return row->type == TERN_OPT_STRING && ((const struct tern_str *)field)->n == 0;
}

/* The short form that flags take. */
static void print_record(const struct tern_opt_record *record, const void *item, bool whole,
                         struct tern_buf *out)
{
    print_field(&record->rows[0], item, whole, out);
    for (uint32_t i = 1; i < record->n; i++) {
        const struct tern_opt *row = &record->rows[i];
        if (is_left_out(row, item))
            continue;
        tern_buf_printf(out, ",%s", row->name);
        if (row->type != TERN_OPT_BOOL) {
            tern_buf_add_char(out, '=');
            print_field(row, item, whole, out);
        }
    }
}

static void print(const struct tern_opt *opt, const void *values, bool whole, struct tern_buf *out)
{
    if (opt->type == TERN_OPT_LIST) {
        print_list(opt, values, ',', out);
    } else if (opt->type == TERN_OPT_RECORDS) {
        const struct tern_opt_records *records = const_field_of(opt, values);
        for (uint32_t i = 0; i < records->n; i++) {
            if (i > 0)
                tern_buf_add_char(out, ';');
            print_record(opt->record, (const char *)records->items + i * opt->record->size, whole,
                         out);
        }
    } else {
        print_scalar(opt, values, out);
    }
}

void tern_opt_print(const struct tern_opt *opt, const void *values, struct tern_buf *out)
{
    print(opt, values, false, out);
}

void tern_opt_print_whole(const struct tern_opt *opt, const void *values, struct tern_buf *out)
{
    print(opt, values, true, out);
}
