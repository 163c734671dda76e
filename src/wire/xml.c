/* A piece of the text is handed to expat, whose callbacks queue the events of that piece; they are
 * pulled from there until it is empty. */
#include "wire/xml.h"

#include <expat.h>
#include <limits.h>
#include "base/grow.h"
#include "base/mem.h"

#define PIECE      8192
#define QUEUE_MAX  ((size_t)1 << 22) /* events and attributes of a piece: far above what fits */
#define CHARS_MAX  (2 * TERN_XML_TEXT_MAX)
#define NAME_SHOWN 64

struct span {
    size_t at, n; /* in chars */
};

struct queued {
    enum tern_xml_kind kind;
    uint32_t line;
    struct span name, text;
    size_t first_attribute;
    uint32_t n_attributes;
};

struct named {
    struct span name, value;
};

struct tern_xml {
    XML_Parser parser; /* owned */
    struct tern_str rest;
    struct queued *events; /* owned, as the arrays below */
    size_t n_events, events_cap, next;
    struct named *attributes;
    size_t n_attributes, attributes_cap;
    char *chars;
    size_t n_chars, chars_cap;
    struct span text; /* since the last event */
    struct tern_xml_attribute view[TERN_XML_ATTRIBUTES_MAX];
    uint32_t depth;
    bool is_whole;
    enum tern_code code; /* of a callback */
    struct tern_err err;
};

/* ---- what expat calls ---- */

static void stop(struct tern_xml *xml, enum tern_code code)
{
    xml->code = code;
    (void)XML_StopParser(xml->parser, XML_FALSE);
}

static uint32_t line_of(const struct tern_xml *xml)
{
    XML_Size line = XML_GetCurrentLineNumber(xml->parser);
    return line > UINT32_MAX ? UINT32_MAX : (uint32_t)line;
}

static enum tern_code put(struct tern_xml *xml, struct tern_str s, struct span *ret)
{
    TERN_TRY(tern_grow(&xml->chars, &xml->chars_cap, xml->n_chars, s.n + 1, 1, CHARS_MAX,
                       "characters of XML", &xml->err));
    if (s.n > 0)
        memcpy(xml->chars + xml->n_chars, s.p, s.n);
    *ret = (struct span){xml->n_chars, s.n};
    xml->n_chars += s.n;
    return TERN_OK;
}

static enum tern_code put_name(struct tern_xml *xml, const char *name, struct span *ret)
{
    struct tern_str whole = tern_str_of(name);
    size_t colon = tern_str_find(whole, ':');

    return put(xml, colon < whole.n ? tern_str_from(whole, colon + 1) : whole, ret);
}

static enum tern_code queue(struct tern_xml *xml, enum tern_xml_kind kind, const char *name)
{
    struct queued event = {.kind = kind, .line = line_of(xml), .text = xml->text};

    TERN_TRY(tern_grow(&xml->events, &xml->events_cap, xml->n_events, 1, sizeof(*xml->events),
                       QUEUE_MAX, "events of XML", &xml->err));
    TERN_TRY(put_name(xml, name, &event.name));
    event.first_attribute = xml->n_attributes;
    xml->events[xml->n_events++] = event;
    xml->text = (struct span){xml->n_chars, 0};
    return TERN_OK;
}

static enum tern_code queue_attributes(struct tern_xml *xml, const char *const *pairs)
{
    uint32_t n = 0;

    for (; pairs[2 * (size_t)n] != NULL; n++) {
        struct named row;
        if (n == TERN_XML_ATTRIBUTES_MAX)
            return tern_fail(&xml->err, TERN_RESOURCE_EXHAUSTED,
                             "line %u: an element has more than %d attributes", line_of(xml),
                             TERN_XML_ATTRIBUTES_MAX);
        TERN_TRY(tern_grow(&xml->attributes, &xml->attributes_cap, xml->n_attributes, 1,
                           sizeof(*xml->attributes), QUEUE_MAX, "attributes of XML", &xml->err));
        TERN_TRY(put_name(xml, pairs[2 * (size_t)n], &row.name));
        TERN_TRY(put(xml, tern_str_of(pairs[2 * (size_t)n + 1]), &row.value));
        xml->attributes[xml->n_attributes++] = row;
    }
    xml->events[xml->n_events - 1].n_attributes = n;
    xml->text = (struct span){xml->n_chars, 0};
    return TERN_OK;
}

static void on_begin(void *user, const char *name, const char **pairs)
{
    struct tern_xml *xml = user;
    enum tern_code code = TERN_OK;

    if (xml->depth == TERN_XML_DEPTH_MAX)
        code = tern_fail(&xml->err, TERN_RESOURCE_EXHAUSTED,
                         "line %u: elements are nested deeper than %d", line_of(xml),
                         TERN_XML_DEPTH_MAX);
    xml->depth++;
    if (code == TERN_OK)
        code = queue(xml, TERN_XML_BEGIN, name);
    if (code == TERN_OK)
        code = queue_attributes(xml, pairs);
    if (code != TERN_OK)
        stop(xml, code);
}

static void on_end(void *user, const char *name)
{
    struct tern_xml *xml = user;

    xml->depth--;
    enum tern_code code = queue(xml, TERN_XML_END, name);
    if (code != TERN_OK)
        stop(xml, code);
}

/* A run of text may come in many calls: what stands before it in chars is its beginning. */
static void on_text(void *user, const char *text, int n)
{
    struct tern_xml *xml = user;
    struct span more;
    enum tern_code code = TERN_OK;

    if (xml->text.n + (size_t)n > TERN_XML_TEXT_MAX)
        code =
            tern_fail(&xml->err, TERN_RESOURCE_EXHAUSTED,
                      "line %u: a text is longer than %zu bytes", line_of(xml), TERN_XML_TEXT_MAX);
    if (code == TERN_OK)
        code = put(xml, tern_str_make(text, (size_t)n), &more);
    if (code != TERN_OK)
        stop(xml, code);
    else
        xml->text.n += (size_t)n;
}

static void on_doctype(void *user, const char *name, const char *system_id, const char *public_id,
                       int has_internal)
{
    struct tern_xml *xml = user;

    (void)system_id;
    (void)public_id;
    (void)has_internal;
    stop(xml, tern_fail(&xml->err, TERN_INVALID_ARGUMENT,
                        "line %u: a document type declaration (<!DOCTYPE %.*s>) is not read: "
                        "remove it",
                        line_of(xml), NAME_SHOWN, name));
}

/* ---- life ---- */

enum tern_code tern_xml_open(struct tern_str text, struct tern_xml **ret_xml, struct tern_err *err)
{
    static const XML_Memory_Handling_Suite memory = {tern_mem_alloc, tern_mem_realloc,
                                                     tern_mem_free};
    struct tern_xml *xml = tern_mem_zalloc(1, sizeof(*xml));

    if (xml == NULL)
        return tern_mem_fail(err, "a reader of XML", sizeof(*xml));
    xml->rest = text;
    xml->parser = XML_ParserCreate_MM(NULL, &memory, NULL);
    if (xml->parser == NULL) {
        tern_mem_free(xml);
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "out of memory for a reader of XML");
    }
    XML_SetUserData(xml->parser, xml);
    XML_SetElementHandler(xml->parser, on_begin, on_end);
    XML_SetCharacterDataHandler(xml->parser, on_text);
    XML_SetStartDoctypeDeclHandler(xml->parser, on_doctype);
    *ret_xml = xml;
    return TERN_OK;
}

void tern_xml_close(struct tern_xml *xml)
{
    if (xml == NULL)
        return;
    XML_ParserFree(xml->parser);
    tern_mem_free(xml->events);
    tern_mem_free(xml->attributes);
    tern_mem_free(xml->chars);
    tern_mem_free(xml);
}

/* ---- pulling ---- */

/* Only the text since the last event is still wanted. */
static void empty_queue(struct tern_xml *xml)
{
    if (xml->text.n > 0)
        memmove(xml->chars, xml->chars + xml->text.at, xml->text.n);
    xml->text.at = 0;
    xml->n_chars = xml->text.n;
    xml->n_events = xml->next = 0;
    xml->n_attributes = 0;
}

static enum tern_code parse_error(struct tern_xml *xml, struct tern_err *err)
{
    enum XML_Error error = XML_GetErrorCode(xml->parser);

    if (xml->code != TERN_OK)
        return tern_fail(err, xml->code, "%s", xml->err.text);
    if (error == XML_ERROR_NO_MEMORY)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "out of memory for a reader of XML");
    return tern_fail(err, TERN_INVALID_ARGUMENT, "line %u: no XML: %s", line_of(xml),
                     XML_ErrorString(error));
}

static enum tern_code parse_piece(struct tern_xml *xml, struct tern_err *err)
{
    size_t n = xml->rest.n < PIECE ? xml->rest.n : PIECE;

    empty_queue(xml);
    xml->is_whole = n == xml->rest.n;
    if (XML_Parse(xml->parser, xml->rest.p, (int)n, xml->is_whole) != XML_STATUS_OK)
        return parse_error(xml, err);
    xml->rest = tern_str_from(xml->rest, n);
    return TERN_OK;
}

static struct tern_str slice(const struct tern_xml *xml, struct span span)
{
    return tern_str_make(span.n == 0 ? "" : xml->chars + span.at, span.n);
}

enum tern_code tern_xml_next(struct tern_xml *xml, struct tern_xml_event *ret_event,
                             struct tern_err *err)
{
    while (xml->next == xml->n_events) {
        if (xml->is_whole) {
            *ret_event = (struct tern_xml_event){.kind = TERN_XML_FINISH, .line = line_of(xml)};
            return TERN_OK;
        }
        TERN_TRY(parse_piece(xml, err));
    }
    const struct queued *event = &xml->events[xml->next++];
    for (uint32_t i = 0; i < event->n_attributes; i++) {
        const struct named *row = &xml->attributes[event->first_attribute + i];
        xml->view[i] = (struct tern_xml_attribute){slice(xml, row->name), slice(xml, row->value)};
    }
    *ret_event = (struct tern_xml_event){
        .kind = event->kind,
        .name = slice(xml, event->name),
        .text = slice(xml, event->text),
        .attributes = xml->view,
        .n_attributes = event->n_attributes,
        .line = event->line,
    };
    return TERN_OK;
}

enum tern_code tern_xml_skip(struct tern_xml *xml, struct tern_err *err)
{
    struct tern_xml_event event;
    uint32_t depth = 1;

    while (depth > 0) {
        TERN_TRY(tern_xml_next(xml, &event, err));
        if (event.kind == TERN_XML_FINISH)
            return tern_fail(err, TERN_INTERNAL, "XML ended within an element");
        depth = event.kind == TERN_XML_BEGIN ? depth + 1 : depth - 1;
    }
    return TERN_OK;
}

struct tern_str tern_xml_attribute(const struct tern_xml_event *event, const char *name)
{
    struct tern_str wanted = tern_str_of(name);

    for (uint32_t i = 0; i < event->n_attributes; i++) {
        if (tern_str_eq(event->attributes[i].name, wanted))
            return event->attributes[i].value;
    }
    return tern_str_make(NULL, 0);
}
