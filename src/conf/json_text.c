#include "conf/json_text.h"

void tern_json_text_add(struct tern_buf *out, struct tern_str text)
{
    tern_buf_add_char(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '"' || c == '\\') {
            tern_buf_add_char(out, '\\');
            tern_buf_add_char(out, (char)c);
        } else if (c == '\n') {
            TERN_BUF_ADD_LITERAL(out, "\\n");
        } else if (c < 0x20 || c == 0x7f) { /* YAML refuses the latter as it is */
            tern_buf_printf(out, "\\u%04x", c);
        } else {
            tern_buf_add_char(out, (char)c);
        }
    }
    tern_buf_add_char(out, '"');
}
