/* What is generated from option tables, so that none of it can drift from what the program does. */
#ifndef TERN_CONF_OPT_DOC_H
#define TERN_CONF_OPT_DOC_H

#include "base/buf.h"
#include "conf/opt.h"

struct tern_opt_doc_style {
    bool colour;    /* bold headings and flags, by terminal escapes */
    bool all;       /* rows marked TERN_OPT_ADVANCED too */
    uint32_t width; /* of a line; 0: 80 */
};

/* Flags with their help, grouped by section and wrapped. */
void tern_opt_doc_help(const struct tern_opt_table *table, const struct tern_opt_doc_style *style,
                       struct tern_buf *out);
/* Words of `text` wrapped at the style's width, each line after `indent` spaces; the cursor stands
 * at `column` of the first line already. Ends with a newline. */
void tern_opt_doc_wrap(struct tern_str text, uint32_t indent, uint32_t column, uint32_t width,
                       struct tern_buf *out);
/* One Markdown table a section. */
void tern_opt_doc_markdown(const struct tern_opt_table *table, struct tern_buf *out);
/* A YAML file in which every option is commented out at its default. */
void tern_opt_doc_sample(const struct tern_opt_table *table, struct tern_buf *out);
/* JSON Schema (2020-12) of the YAML file. */
void tern_opt_doc_schema(const struct tern_opt_table *table, struct tern_buf *out);
/* Every option as it is now, as YAML that reads back, with a comment on where it came from. */
void tern_opt_doc_effective(const struct tern_opt_load *load, struct tern_buf *out);

struct tern_opt_change {
    const struct tern_opt *opt;
    bool needs_restart;
};

/* The options in which two structs of a table differ; at most `max` are written, all are counted.
 */
uint32_t tern_opt_doc_diff(const struct tern_opt_table *table, const void *before,
                           const void *after, struct tern_opt_change *ret_changes, uint32_t max);
/* Copies the options that a running server takes (TERN_OPT_RELOAD). Only those whose value lies in
 * the struct itself have that flag: no texts and no lists. */
void tern_opt_doc_adopt(const struct tern_opt_table *table, void *into, const void *from);

#endif
