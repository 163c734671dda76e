/* The document: what of it is read, and how. */
#include "engine/native/pmml/pmml.h"

#include <math.h>
#include <stdio.h>
#include "base/compiler.h"
#include "base/grow.h"
#include "base/hash.h"
#include "base/mem.h"
#include "engine/native/pmml/pmml_int.h"
#include "simd/numbers.h"

#define SCRATCH_MAX ((size_t)4 << 30)
#define NUMBER_MAX  128 /* characters of a number */

/* ---- elements ---- */

enum tern_code tern_pmml_child(struct tern_pmml *p, bool *ret_more, struct tern_err *err)
{
    for (;;) {
        TERN_TRY(tern_xml_next(p->xml, &p->event, err));
        *ret_more = p->event.kind == TERN_XML_BEGIN;
        if (!*ret_more || !tern_pmml_is(p, "Extension"))
            return TERN_OK;
        TERN_TRY(tern_xml_skip(p->xml, err));
    }
}

bool tern_pmml_is(const struct tern_pmml *p, const char *element)
{
    return tern_str_eq(p->event.name, tern_str_of(element));
}

enum tern_code tern_pmml_skip(struct tern_pmml *p, struct tern_err *err)
{
    return tern_xml_skip(p->xml, err);
}

enum tern_code(tern_pmml_fail)(const struct tern_pmml *p, enum tern_code code, struct tern_err *err,
                               const char *fmt, ...)
{
    char what[384];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    return tern_fail(err, code, "line %u: %.*s: %s", p->event.line,
                     (int)(p->event.name.n > 64 ? 64 : p->event.name.n),
                     p->event.name.p == NULL ? "" : p->event.name.p, what);
}

enum tern_code(tern_pmml_refuse)(const struct tern_pmml *p, const char *advice,
                                 struct tern_err *err)
{
    return tern_fail(err, TERN_UNIMPLEMENTED, "line %u: element %.*s is not served: %s",
                     p->event.line, (int)(p->event.name.n > 64 ? 64 : p->event.name.n),
                     p->event.name.p, advice);
}

/* ---- attributes ---- */

struct tern_str tern_pmml_get(const struct tern_pmml *p, const char *name)
{
    return tern_xml_attribute(&p->event, name);
}

bool tern_pmml_has(const struct tern_pmml *p, const char *name)
{
    return tern_pmml_get(p, name).p != NULL;
}

enum tern_code tern_pmml_want(const struct tern_pmml *p, const char *name, struct tern_str *ret,
                              struct tern_err *err)
{
    *ret = tern_pmml_get(p, name);
    if (ret->p == NULL)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "attribute %s is missing", name);
    return TERN_OK;
}

enum tern_code tern_pmml_choice(const struct tern_pmml *p, const char *name,
                                const char *const *names, uint32_t otherwise, uint32_t *ret,
                                struct tern_err *err)
{
    struct tern_str value = tern_pmml_get(p, name);

    *ret = otherwise;
    if (value.p == NULL)
        return TERN_OK;
    for (*ret = 0; names[*ret] != NULL; ++*ret) {
        if (tern_str_eq(value, tern_str_of(names[*ret])))
            return TERN_OK;
    }
    return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err, "%s=\"%.*s\" is not served", name,
                          (int)(value.n > 64 ? 64 : value.n), value.p);
}

/* The reader of numbers looks beyond them. */
static bool parse_decimal(struct tern_str text, bool is_float, double *ret)
{
    char padded[NUMBER_MAX + TERN_TEXT_PAD] = {0};
    size_t used = 0;
    float single = 0;

    if (text.n == 0 || text.n > NUMBER_MAX)
        return false;
    memcpy(padded, text.p, text.n);
    struct tern_str copy = tern_str_make(padded, text.n);
    enum tern_code code = is_float ? tern_numbers_read_float(copy, &single, &used, NULL)
                                   : tern_numbers_read_double(copy, ret, &used, NULL);
    if (is_float)
        *ret = (double)single;
    return code == TERN_OK && used == text.n;
}

/* What other languages write, and JSON does not: ".5", "+1", "1.". */
static struct tern_str tidy(struct tern_str text, char room[NUMBER_MAX])
{
    size_t n = 0;

    text = tern_str_trim(text);
    if (text.n > 1 && text.p[0] == '+')
        text = tern_str_from(text, 1);
    for (size_t i = 0; i < text.n && n + 2 < NUMBER_MAX; i++) {
        bool was_digit = i > 0 && text.p[i - 1] >= '0' && text.p[i - 1] <= '9';
        bool is_digit_next = i + 1 < text.n && text.p[i + 1] >= '0' && text.p[i + 1] <= '9';
        if (text.p[i] == '.' && !was_digit)
            room[n++] = '0';
        if (text.p[i] == '.' && !is_digit_next)
            continue;
        room[n++] = text.p[i];
    }
    return tern_str_make(room, n);
}

bool tern_pmml_parse(struct tern_str text, enum tern_pmml_type type, double *ret)
{
    static const struct {
        const char *text;
        double value;
    } words[] = {
        {"NaN", (double)NAN},
        {"INF", (double)INFINITY},
        {"-INF", -(double)INFINITY},
        {"Infinity", (double)INFINITY},
        {"-Infinity", -(double)INFINITY},
    };
    char room[NUMBER_MAX];

    text = tern_str_trim(text);
    if (type == TERN_PMML_TYPE_BOOLEAN && tern_str_eq_nocase(text, TERN_STR("true"))) {
        *ret = 1;
        return true;
    }
    if (type == TERN_PMML_TYPE_BOOLEAN && tern_str_eq_nocase(text, TERN_STR("false"))) {
        *ret = 0;
        return true;
    }
    for (size_t i = 0; i < TERN_COUNT_OF(words); i++) {
        if (tern_str_eq(text, tern_str_of(words[i].text))) {
            *ret = words[i].value;
            return true;
        }
    }
    return text.n + 2 < NUMBER_MAX &&
           parse_decimal(tidy(text, room), type == TERN_PMML_TYPE_FLOAT, ret);
}

enum tern_code tern_pmml_number(const struct tern_pmml *p, const char *name, double otherwise,
                                double *ret, struct tern_err *err)
{
    struct tern_str text = tern_pmml_get(p, name);

    *ret = otherwise;
    if (text.p == NULL)
        return TERN_OK;
    if (!tern_pmml_parse(text, TERN_PMML_TYPE_DOUBLE, ret) || isnan(*ret))
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err,
                              "attribute %s: expected a number, got '%.*s'", name,
                              (int)(text.n > 64 ? 64 : text.n), text.p);
    return TERN_OK;
}

/* ---- names ---- */

static uint32_t *slot_of(struct tern_pmml_names *names, struct tern_str name)
{
    size_t at = (size_t)tern_hash_bytes(name, 0) & (names->n_slots - 1);

    while (names->slots[at] != 0 && !tern_str_eq(names->names[names->slots[at] - 1], name))
        at = (at + 1) & (names->n_slots - 1);
    return &names->slots[at];
}

static enum tern_code widen(struct tern_pmml_names *names, struct tern_err *err)
{
    size_t n_slots = names->n_slots == 0 ? 16 : 2 * names->n_slots;
    uint32_t *slots = tern_mem_zalloc(n_slots, sizeof(*slots));

    if (slots == NULL)
        return tern_mem_fail(err, "names", n_slots * sizeof(*slots));
    tern_mem_free(names->slots);
    names->slots = slots;
    names->n_slots = n_slots;
    for (size_t i = 0; i < names->n; i++)
        *slot_of(names, names->names[i]) = (uint32_t)i + 1;
    return TERN_OK;
}

enum tern_code tern_pmml_names_find(struct tern_pmml *p, struct tern_pmml_names *names,
                                    struct tern_str name, bool adds, uint32_t *ret,
                                    struct tern_err *err)
{
    *ret = TERN_PMML_NONE;
    if (adds && 2 * (names->n + 1) > names->n_slots)
        TERN_TRY(widen(names, err));
    if (names->n_slots == 0)
        return TERN_OK;
    uint32_t *slot = slot_of(names, name);
    if (*slot == 0 && adds) {
        TERN_TRY(tern_grow(&names->names, &names->cap, names->n, 1, sizeof(*names->names),
                           TERN_PMML_FIELDS_MAX, "names", err));
        struct tern_str copy = tern_arena_copy(&p->scratch, name);
        if (copy.p == NULL && name.n > 0)
            return tern_arena_fail(&p->scratch, err, "a name");
        names->names[names->n++] = copy.p == NULL ? TERN_STR("") : copy;
        *slot = (uint32_t)names->n;
    }
    *ret = *slot == 0 ? TERN_PMML_NONE : *slot - 1;
    return TERN_OK;
}

static void free_names(struct tern_pmml_names *names)
{
    tern_mem_free(names->names);
    tern_mem_free(names->slots);
}

/* ---- the document ---- */

static enum tern_code check_version(struct tern_pmml *p, struct tern_err *err)
{
    struct tern_str version;

    TERN_TRY(tern_pmml_want(p, "version", &version, err));
    if (version.n < 3 || !tern_str_starts(version, TERN_STR("4.")) || version.p[2] < '0' ||
        version.p[2] > '4')
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                              "version '%.*s' is not read: 4.0 to 4.4 are",
                              (int)(version.n > 16 ? 16 : version.n), version.p);
    return TERN_OK;
}

/* The fields and which of them are active are known before anything else is read: transformations
 * stand before the model that says so. Whether the model is served is not asked here. */
static enum tern_code read_front(struct tern_pmml *p, struct tern_err *err)
{
    static const char *const passed[] = {"Header", "MiningBuildTask", "TransformationDictionary"};
    bool more = true, is_model = false;

    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            return TERN_OK;
        if (is_model && tern_pmml_is(p, "MiningSchema"))
            return tern_pmml_read_schema(p, true, err);
        if (!is_model && tern_pmml_is(p, "DataDictionary")) {
            TERN_TRY(tern_pmml_read_dictionary(p, err));
            continue;
        }
        bool is_passed = is_model;
        for (size_t i = 0; i < TERN_COUNT_OF(passed); i++)
            is_passed = is_passed || tern_pmml_is(p, passed[i]);
        if (is_passed)
            TERN_TRY(tern_pmml_skip(p, err));
        else
            is_model = true; /* its children are looked at next */
    }
}

static enum tern_code read_part(struct tern_pmml *p, bool *has_model, struct tern_err *err)
{
    if (tern_pmml_is(p, "Header") || tern_pmml_is(p, "MiningBuildTask") ||
        tern_pmml_is(p, "DataDictionary"))
        return tern_pmml_skip(p, err);
    if (tern_pmml_is(p, "TransformationDictionary"))
        return tern_pmml_read_transformations(p, err);
    if (*has_model)
        return tern_pmml_refuse(p, "a file is one model", err);
    *has_model = true;
    return tern_pmml_read_model(p, err);
}

/* The document from its beginning. */
static enum tern_code begin(struct tern_pmml *p, struct tern_err *err)
{
    tern_xml_close(p->xml);
    p->xml = NULL;
    TERN_TRY(tern_xml_open(p->source->bytes, &p->xml, err));
    TERN_TRY(tern_xml_next(p->xml, &p->event, err));
    if (!tern_pmml_is(p, "PMML"))
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "expected PMML");
    return check_version(p, err);
}

static enum tern_code read_document(struct tern_pmml *p, struct tern_err *err)
{
    bool more = true, has_model = false;

    TERN_TRY(begin(p, err));
    TERN_TRY(read_front(p, err));
    TERN_TRY(begin(p, err));
    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            break;
        TERN_TRY(read_part(p, &has_model, err));
    }
    if (!has_model)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "there is no model");
    TERN_TRY(tern_xml_next(p->xml, &p->event, err)); /* nothing may follow */
    return tern_pmml_make_program(p, err);
}

static void fini(struct tern_pmml *p)
{
    void *owned[] = {
        p->intakes,          p->code,  p->ends,  p->regression.weights, p->regression.tables,
        p->regression.terms, p->nodes, p->values};

    for (size_t i = 0; i < p->field_names.n && p->fields != NULL; i++) {
        struct tern_pmml_field *field = &p->fields[i];
        if (field->categories != NULL && !field->is_copy)
            free_names(field->categories);
        tern_mem_free(field->values);
        tern_mem_free(field->kinds);
        tern_mem_free(field->intervals);
    }
    tern_mem_free(p->fields);
    for (size_t i = 0; i < TERN_COUNT_OF(owned); i++)
        tern_mem_free(owned[i]);
    free_names(&p->field_names);
    free_names(&p->scores);
    free_names(&p->classes);
    free_names(&p->regression.keys);
    tern_forest_builder_free(p->forest.builder);
    tern_forest_builder_free(p->forest.guard);
    tern_forest_builder_free(p->forest.labels);
    tern_pmml_emitter_free(p);
    tern_xml_close(p->xml);
    tern_arena_fini(&p->scratch);
}

static enum tern_code load(const struct tern_native_source *source, struct tern_program *program,
                           struct tern_err *err)
{
    struct tern_pmml p = {
        .source = source,
        .program = program,
        .target = TERN_PMML_NONE,
        .number = tern_pmml_no_targets,
    };

    tern_arena_init(&p.scratch, 1u << 14, SCRATCH_MAX);
    enum tern_code code = read_document(&p, err);
    fini(&p);
    return code;
}

/* The root may stand after a declaration and comments; with a prefix only the name tells. */
static int probe(struct tern_str file_name, struct tern_str head)
{
    bool is_named = tern_str_ends(file_name, TERN_STR(".pmml"));
    struct tern_str shown = head.n > 4096 ? tern_str_make(head.p, 4096) : head;

    if (head.n == 0)
        return is_named ? 90 : 0;
    for (size_t at = 0; at < shown.n; at += tern_str_find(tern_str_from(shown, at + 1), '<') + 1) {
        if (tern_str_starts(tern_str_from(shown, at), TERN_STR("<PMML")))
            return 90;
    }
    return is_named ? 50 : 0;
}

const struct tern_native_format tern_pmml = {
    .name = "pmml",
    .help = "PMML",
    .probe = probe,
    .load = load,
};
