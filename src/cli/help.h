/* Help texts: the overview, a page a command, and the topics that are generated from the tables. */
#ifndef TERN_CLI_HELP_H
#define TERN_CLI_HELP_H

#include <stdbool.h>
#include <stdio.h>
#include "base/buf.h"
#include "conf/opt_doc.h"

/* Colours only on a terminal that wants them (NO_COLOR, TERM=dumb say no); its width, at most 100.
 */
struct tern_opt_doc_style tern_help_style(FILE *stream);
void tern_help_overview(const char *version, const struct tern_opt_doc_style *style,
                        struct tern_buf *out);
/* A command or a topic; false with a suggestion in out when it is neither. */
bool tern_help_topic(struct tern_str topic, const struct tern_opt_doc_style *style,
                     struct tern_buf *out);

/* doc/options.md, doc/commands.md and doc/triton-flags.md. */
void tern_help_options_page(struct tern_buf *out);
void tern_help_commands_page(struct tern_buf *out);
void tern_help_triton_page(struct tern_buf *out);

#endif
