/* Any bytes as XML: events are nested and end, or there is a reason. An element can be passed over
 * exactly where it can be read. */
#include <stdint.h>
#include <stdlib.h>
#include "wire/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How many elements stand in the document's; -1: it is none. */
static int64_t walk(struct tern_str text, bool skips, struct tern_err *err)
{
    struct tern_xml *xml;
    struct tern_xml_event event;
    int64_t depth = 0, n = 0;
    enum tern_code code = tern_xml_open(text, &xml, err);

    if (code != TERN_OK)
        abort();
    while ((code = tern_xml_next(xml, &event, err)) == TERN_OK && event.kind != TERN_XML_FINISH) {
        depth += event.kind == TERN_XML_BEGIN ? 1 : -1;
        if (depth < 0 || (event.n_attributes > 0 && event.kind != TERN_XML_BEGIN))
            abort();
        n += event.kind == TERN_XML_BEGIN && depth == 2;
        if (event.kind == TERN_XML_BEGIN && depth == 2 && skips) {
            if ((code = tern_xml_skip(xml, err)) != TERN_OK)
                break;
            depth--;
        }
    }
    if (code == TERN_OK && depth != 0)
        abort();
    tern_xml_close(xml);
    return code == TERN_OK ? n : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_str text = tern_str_make((const char *)data, size);
    struct tern_err err = {.text = ""};
    int64_t n = walk(text, false, &err);

    if (n < 0 && err.text[0] == '\0')
        abort();
    if (walk(text, true, NULL) != n)
        abort();
    return 0;
}
