/* XML as a stream of events that are pulled one by one: a thin wrap of libexpat. The text is
 * complete and in memory; no tree is built.
 *
 * What a data format has no use for is refused: document type declarations, and with them entities
 * other than the five of XML and characters by number, so that nothing is loaded from elsewhere and
 * nothing expands. Comments, processing instructions and prefixes of names mean nothing here: names
 * are what stands after the colon. Texts are UTF-8 whatever the file's encoding (UTF-8, UTF-16,
 * ISO-8859-1, US-ASCII). Errors are INVALID_ARGUMENT and begin with "line N: ", or
 * RESOURCE_EXHAUSTED; after one only close may follow. One thread at a time. */
#ifndef TERN_WIRE_XML_H
#define TERN_WIRE_XML_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

#define TERN_XML_DEPTH_MAX      5000
#define TERN_XML_ATTRIBUTES_MAX 256                /* of an element */
#define TERN_XML_TEXT_MAX       ((size_t)64 << 20) /* between two events */

enum tern_xml_kind {
    TERN_XML_BEGIN, /* of an element */
    TERN_XML_END,   /* of an element; that of an empty one comes, too */
    TERN_XML_FINISH /* of the document; comes again and again */
};

struct tern_xml_attribute {
    struct tern_str name, value;
};

/* Slices hold until the next event is pulled. */
struct tern_xml_event {
    enum tern_xml_kind kind;
    struct tern_str name;
    struct tern_str text; /* what stands between the event before and this one */
    const struct tern_xml_attribute *attributes; /* BEGIN */
    uint32_t n_attributes;
    uint32_t line;
};

struct tern_xml;

/* The text is borrowed until close. */
enum tern_code tern_xml_open(struct tern_str text, struct tern_xml **ret_xml, struct tern_err *err);
void tern_xml_close(struct tern_xml *xml); /* NULL is fine */
enum tern_code tern_xml_next(struct tern_xml *xml, struct tern_xml_event *ret_event,
                             struct tern_err *err);
/* After a BEGIN: passes over the element, with all that it holds, to its END. */
enum tern_code tern_xml_skip(struct tern_xml *xml, struct tern_err *err);

/* The value of an attribute; p is NULL without it. */
struct tern_str tern_xml_attribute(const struct tern_xml_event *event, const char *name);

#endif
