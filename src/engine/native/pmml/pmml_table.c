/* Expressions that look something up: MapValues of one field, and NormContinuous. */
#include <math.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/grow.h"
#include "base/mem.h"
#include "engine/native/pmml/pmml_int.h"

#define ROWS_MAX ((size_t)1 << 20)

struct row {
    double from, to;
};

struct table {
    struct row *rows; /* owned */
    size_t n, cap;
};

static int compare(const void *a, const void *b)
{
    double x = ((const struct row *)a)->from, y = ((const struct row *)b)->from;
    return x < y ? -1 : x > y;
}

static enum tern_code add_row(struct table *table, double from, double to, struct tern_err *err)
{
    TERN_TRY(tern_grow(&table->rows, &table->cap, table->n, 1, sizeof(*table->rows), ROWS_MAX,
                       "rows of a table", err));
    table->rows[table->n++] = (struct row){from, to};
    return TERN_OK;
}

/* The instruction that looks up what is on the stack. */
static enum tern_code emit_table(struct tern_pmml *p, enum tern_pmml_code code,
                                 const struct table *table, struct tern_err *err)
{
    double *kept = tern_arena_zalloc(p->program->arena, 2 * table->n + 1, sizeof(*kept));

    if (kept == NULL)
        return tern_arena_fail(p->program->arena, err, "a table");
    if (table->n > 1)
        qsort(table->rows, table->n, sizeof(*table->rows), compare);
    for (size_t i = 0; i < table->n; i++) {
        if (i > 0 && table->rows[i].from == table->rows[i - 1].from)
            return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "two rows are for one value");
        kept[i] = table->rows[i].from;
        kept[table->n + i] = table->rows[i].to;
    }
    TERN_TRY(tern_pmml_emit(p, code, (uint32_t)table->n, 0, err));
    p->code[p->n_code - 1].set = kept;
    return TERN_OK;
}

/* ---- MapValues ---- */

struct columns {
    const struct tern_pmml_field *field;
    struct tern_str from, to; /* scratch */
};

/* Elements have lost their prefix. */
static enum tern_code keep_column(struct tern_pmml *p, const char *attribute, struct tern_str *ret,
                                  struct tern_err *err)
{
    struct tern_str text;

    TERN_TRY(tern_pmml_want(p, attribute, &text, err));
    size_t colon = tern_str_find(text, ':');
    *ret = tern_arena_copy(&p->scratch, colon < text.n ? tern_str_from(text, colon + 1) : text);
    return ret->p == NULL ? tern_arena_fail(&p->scratch, err, "a table") : TERN_OK;
}

static enum tern_code read_row(struct tern_pmml *p, const struct columns *columns,
                               struct table *table, struct tern_err *err)
{
    bool more = true, has_from = false, has_to = false;
    double from = 0, to = 0;

    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            break;
        bool is_from = tern_str_eq(p->event.name, columns->from);
        bool is_to = tern_str_eq(p->event.name, columns->to);
        TERN_TRY(tern_xml_next(p->xml, &p->event, err));
        if (p->event.kind != TERN_XML_END)
            return tern_pmml_refuse(p, "a cell of a table is a text", err);
        if (is_from)
            TERN_TRY(tern_pmml_value_of(p, columns->field, p->event.text, &from, err));
        if (is_to && !tern_pmml_parse(p->event.text, TERN_PMML_TYPE_DOUBLE, &to))
            return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                                  "MapValues to anything but numbers is not served");
        has_from |= is_from;
        has_to |= is_to;
    }
    if (!has_from || !has_to)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "the row lacks one of the columns");
    return add_row(table, from, to, err);
}

static enum tern_code read_inline(struct tern_pmml *p, const struct columns *columns,
                                  struct table *table, struct tern_err *err)
{
    bool more = true;

    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            return TERN_OK;
        if (!tern_pmml_is(p, "row"))
            return tern_pmml_refuse(p, "expected row", err);
        TERN_TRY(read_row(p, columns, table, err));
    }
}

static enum tern_code read_map(struct tern_pmml *p, struct columns *columns, struct table *table,
                               struct tern_err *err)
{
    bool more = true;

    TERN_TRY(keep_column(p, "outputColumn", &columns->to, err));
    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            break;
        if (tern_pmml_is(p, "FieldColumnPair") && columns->field == NULL) {
            TERN_TRY(tern_pmml_field_of(p, "field", &columns->field, err));
            TERN_TRY(keep_column(p, "column", &columns->from, err));
            TERN_TRY(tern_pmml_skip(p, err));
        } else if (tern_pmml_is(p, "InlineTable") && columns->field != NULL) {
            TERN_TRY(read_inline(p, columns, table, err));
        } else {
            return tern_pmml_refuse(p, "MapValues is one FieldColumnPair and an InlineTable", err);
        }
    }
    if (columns->field == NULL)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "there is no FieldColumnPair");
    TERN_TRY(tern_pmml_emit(p, TERN_PMML_COLUMN, columns->field->column, 0, err));
    return emit_table(p, TERN_PMML_MAP, table, err);
}

/* What is in no row is missing, or the default; what is missing is missing, or mapMissingTo. */
enum tern_code tern_pmml_read_map(struct tern_pmml *p, struct tern_err *err)
{
    struct columns columns = {.field = NULL};
    struct table table = {.n = 0};
    double otherwise, if_missing;

    TERN_TRY(tern_pmml_number(p, "defaultValue", (double)NAN, &otherwise, err));
    TERN_TRY(tern_pmml_number(p, "mapMissingTo", (double)NAN, &if_missing, err));
    enum tern_code code = read_map(p, &columns, &table, err);
    tern_mem_free(table.rows);
    TERN_TRY(code);
    p->code[p->n_code - 1].number = otherwise;
    if (isnan(if_missing))
        return TERN_OK;
    /* if(isMissing(field), mapMissingTo, what was looked up) */
    TERN_TRY(tern_pmml_emit(p, TERN_PMML_COLUMN, columns.field->column, 0, err));
    return tern_pmml_emit(p, TERN_PMML_IF_ABSENT, 2, if_missing, err);
}

/* ---- NormContinuous ---- */

static enum tern_code read_points(struct tern_pmml *p, struct table *table, struct tern_err *err)
{
    struct tern_str text;
    bool more = true;
    double from, to;

    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            break;
        if (!tern_pmml_is(p, "LinearNorm"))
            return tern_pmml_refuse(p, "expected LinearNorm", err);
        TERN_TRY(tern_pmml_want(p, "orig", &text, err));
        TERN_TRY(tern_pmml_want(p, "norm", &text, err));
        TERN_TRY(tern_pmml_number(p, "orig", 0, &from, err));
        TERN_TRY(tern_pmml_number(p, "norm", 0, &to, err));
        TERN_TRY(add_row(table, from, to, err));
        TERN_TRY(tern_pmml_skip(p, err));
    }
    if (table->n < 2)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "expected two LinearNorm and more");
    return emit_table(p, TERN_PMML_NORM, table, err);
}

enum tern_code tern_pmml_read_norm(struct tern_pmml *p, struct tern_err *err)
{
    static const char *const outliers[] = {"asIs", "asMissingValues", "asExtremeValues", NULL};
    const struct tern_pmml_field *field;
    struct table table = {.n = 0};
    double if_missing;
    uint32_t which;

    TERN_TRY(tern_pmml_choice(p, "outliers", outliers, 0, &which, err));
    TERN_TRY(tern_pmml_number(p, "mapMissingTo", (double)NAN, &if_missing, err));
    TERN_TRY(tern_pmml_field_of(p, "field", &field, err));
    if (field->type == TERN_PMML_TYPE_STRING)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "field '%.*s' is no number",
                              TERN_STR_ARG(field->name));
    TERN_TRY(tern_pmml_emit(p, TERN_PMML_COLUMN, field->column, 0, err));
    enum tern_code code = read_points(p, &table, err);
    tern_mem_free(table.rows);
    TERN_TRY(code);
    p->code[p->n_code - 1].number = which;
    if (isnan(if_missing))
        return TERN_OK;
    TERN_TRY(tern_pmml_emit(p, TERN_PMML_COLUMN, field->column, 0, err));
    return tern_pmml_emit(p, TERN_PMML_IF_ABSENT, 2, if_missing, err);
}
