/* Text as a JSON string (RFC 8259), for what is generated: schemas and configurations. */
#ifndef TERN_CONF_JSON_TEXT_H
#define TERN_CONF_JSON_TEXT_H

#include "base/buf.h"
#include "base/str.h"

/* With the quotes. The text must be UTF-8. */
void tern_json_text_add(struct tern_buf *out, struct tern_str text);

#endif
