#include "wire/csv.h"

#include <math.h>
#include <string.h>
#include "simd/numbers.h"

#define NUMBER_MAX 400 /* digits and all; a longer one is no number that anybody wrote */

void tern_csv_init(struct tern_csv *csv, struct tern_str text, char separator,
                   struct tern_arena *arena)
{
    if (tern_str_starts(text, TERN_STR("\xef\xbb\xbf")))
        text = tern_str_from(text, 3);
    *csv = (struct tern_csv){
        .p = text.p,
        .end = text.n == 0 ? text.p : text.p + text.n,
        .arena = arena,
        .separator = separator,
        .next_line = 1,
    };
}

static enum tern_code fail_at(const struct tern_csv *csv, struct tern_err *err, const char *what)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "CSV line %u: %s", csv->line, what);
}

/* Makes room for one more field of the record. */
static enum tern_code grow(struct tern_csv *csv, uint32_t n, struct tern_err *err)
{
    if (n < csv->cap_fields)
        return TERN_OK;
    if (n == TERN_CSV_FIELDS_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "CSV line %u: more than %d columns", csv->line,
                         TERN_CSV_FIELDS_MAX);
    uint32_t cap = n == 0 ? 16 : n * 2;
    struct tern_csv_field *fields = tern_arena_zalloc(csv->arena, cap, sizeof(*fields));
    if (fields == NULL)
        return tern_arena_fail(csv->arena, err, "a line of CSV");
    if (n > 0)
        memcpy(fields, csv->fields, n * sizeof(*fields));
    csv->fields = fields;
    csv->cap_fields = cap;
    return TERN_OK;
}

/* "" stands for one quote. */
static enum tern_code undouble(struct tern_csv *csv, struct tern_str *text, struct tern_err *err)
{
    char *copy = tern_arena_alloc(csv->arena, 1, text->n);
    size_t n = 0;

    if (copy == NULL)
        return tern_arena_fail(csv->arena, err, "a quoted CSV field");
    for (size_t i = 0; i < text->n; i++) {
        copy[n++] = text->p[i];
        i += text->p[i] == '"';
    }
    *text = tern_str_make(copy, n);
    return TERN_OK;
}

static enum tern_code read_quoted(struct tern_csv *csv, struct tern_csv_field *field,
                                  struct tern_err *err)
{
    const char *from = ++csv->p;
    bool doubled = false;

    for (;; csv->p++) {
        if (csv->p == csv->end)
            return fail_at(csv, err, "a quote that is never closed");
        csv->next_line += *csv->p == '\n';
        if (*csv->p != '"')
            continue;
        if (csv->p + 1 == csv->end || csv->p[1] != '"')
            break;
        doubled = true;
        csv->p++;
    }
    field->text = tern_str_make(from, (size_t)(csv->p - from));
    field->quoted = true;
    csv->p++;
    return doubled ? undouble(csv, &field->text, err) : TERN_OK;
}

static enum tern_code read_plain(struct tern_csv *csv, struct tern_csv_field *field,
                                 struct tern_err *err)
{
    const char *from = csv->p;

    while (csv->p < csv->end && *csv->p != csv->separator && *csv->p != '\n' && *csv->p != '\r') {
        if (*csv->p == '"')
            return fail_at(csv, err, "a quote within a field that does not start with one");
        csv->p++;
    }
    field->text = tern_str_trim(tern_str_make(from, (size_t)(csv->p - from)));
    field->quoted = false;
    return TERN_OK;
}

/* At the end of a field: another one follows, or the record ends here. */
static enum tern_code end_field(struct tern_csv *csv, bool *ret_more, struct tern_err *err)
{
    if (csv->p < csv->end && *csv->p == csv->separator) {
        csv->p++;
        *ret_more = true;
        return TERN_OK;
    }
    *ret_more = false;
    if (csv->p < csv->end && *csv->p == '\r')
        csv->p++;
    if (csv->p == csv->end)
        return csv->p[-1] == '\r' ? fail_at(csv, err, "a carriage return without a line feed")
                                  : TERN_OK;
    if (*csv->p != '\n')
        return fail_at(csv, err,
                       csv->p[-1] == '\r' ? "a carriage return without a line feed"
                                          : "something follows a closing quote");
    csv->p++;
    csv->next_line++;
    return TERN_OK;
}

static void skip_blank_lines(struct tern_csv *csv)
{
    while (csv->p < csv->end) {
        size_t n = *csv->p == '\r' && csv->end - csv->p > 1 ? 2 : 1;
        if (csv->p[n - 1] != '\n')
            break;
        csv->p += n;
        csv->next_line++;
    }
}

enum tern_code tern_csv_next(struct tern_csv *csv, bool *ret_more, struct tern_err *err)
{
    uint32_t n = 0;
    bool more = true;

    skip_blank_lines(csv);
    if (csv->p == csv->end) {
        *ret_more = false;
        return TERN_OK;
    }
    csv->line = csv->next_line;
    while (more) {
        TERN_TRY(grow(csv, n, err));
        struct tern_csv_field *field = &csv->fields[n++];
        TERN_TRY(csv->p < csv->end && *csv->p == '"' ? read_quoted(csv, field, err)
                                                     : read_plain(csv, field, err));
        TERN_TRY(end_field(csv, &more, err));
    }
    if (csv->n_fields != 0 && n != csv->n_fields)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "CSV line %u: %u columns, but the lines before have %u", csv->line, n,
                         csv->n_fields);
    csv->n_fields = n;
    *ret_more = true;
    return TERN_OK;
}

bool tern_csv_is_header(const struct tern_csv *csv)
{
    double number;

    for (uint32_t i = 0; i < csv->n_fields; i++) {
        struct tern_str text = csv->fields[i].text;
        if (text.n == 0 || tern_csv_number(text, true, &number))
            return false;
    }
    return csv->n_fields > 0;
}

char tern_csv_guess_separator(struct tern_str text)
{
    static const char candidates[] = {',', ';', '\t'};
    size_t count[sizeof(candidates)] = {0};
    size_t best = 0;

    for (size_t i = 0; i < text.n && text.p[i] != '\n'; i++) {
        for (size_t c = 0; c < sizeof(candidates); c++)
            count[c] += text.p[i] == candidates[c];
    }
    for (size_t c = 1; c < sizeof(candidates); c++)
        best = count[c] > count[best] ? c : best;
    return candidates[best];
}

static bool special_number(struct tern_str text, double *ret)
{
    bool minus = text.n > 0 && text.p[0] == '-';
    struct tern_str word =
        minus || (text.n > 0 && text.p[0] == '+') ? tern_str_from(text, 1) : text;

    if (tern_str_eq_nocase(word, TERN_STR("nan")))
        *ret = NAN;
    else if (tern_str_eq_nocase(word, TERN_STR("inf")) ||
             tern_str_eq_nocase(word, TERN_STR("infinity")))
        *ret = minus ? -INFINITY : INFINITY;
    else
        return false;
    return true;
}

static size_t count_digits(struct tern_str text)
{
    size_t n = 0;

    while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
        n++;
    return n;
}

static size_t put(char *dst, struct tern_str text)
{
    if (text.n > 0)
        memcpy(dst, text.p, text.n);
    return text.n;
}

/* The number kernels read JSON's numbers. The forms that CSV has beyond them ("+1", "007", ".5",
 * "1.") are rewritten; dst has room for two bytes more than the text. 0: none of them. */
static size_t write_as_json(struct tern_str text, char *dst)
{
    size_t n = 0;

    if (text.p[0] == '-')
        dst[n++] = '-';
    if (text.p[0] == '-' || text.p[0] == '+')
        text = tern_str_from(text, 1);
    if (text.n == 0)
        return 0;
    size_t digits = count_digits(text);
    struct tern_str whole = tern_str_make(text.p, digits);
    while (whole.n > 1 && whole.p[0] == '0')
        whole = tern_str_from(whole, 1);
    if (digits == 0)
        dst[n++] = '0';
    n += put(dst + n, whole);
    text = tern_str_from(text, digits);
    if (text.n > 0 && text.p[0] == '.') {
        size_t fraction = count_digits(tern_str_from(text, 1));
        if (fraction == 0 && digits == 0)
            return 0;
        if (fraction > 0)
            n += put(dst + n, tern_str_make(text.p, fraction + 1));
        text = tern_str_from(text, fraction + 1);
    } else if (digits == 0) {
        return 0;
    }
    if (text.n > 0 && text.p[0] != 'e' && text.p[0] != 'E')
        return 0;
    return n + put(dst + n, text);
}

bool tern_csv_number(struct tern_str text, bool special, double *ret)
{
    char json[NUMBER_MAX + 2 + TERN_TEXT_PAD] = {0};
    size_t n, used;

    if (text.n == 0 || text.n > NUMBER_MAX)
        return false;
    if (special && special_number(text, ret))
        return true;
    n = write_as_json(text, json);
    return n > 0 && tern_numbers_read_double(tern_str_make(json, n), ret, &used, NULL) == TERN_OK &&
           used == n;
}
