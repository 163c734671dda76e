/* One value of one option: from text into the field and back. For the files of conf/ only. */
#ifndef TERN_CONF_OPT_VALUE_H
#define TERN_CONF_OPT_VALUE_H

#include "conf/opt.h"

/* Where a value came from, for what is said about it. */
struct tern_opt_value_at {
    struct tern_arena *arena;
    struct tern_problems *problems;
    struct tern_str place;
    const char *subject; /* "http.body_max: ", or "" when the place says it already */
};

/* Lists and records are appended to; the text is split at ',' (a list) or ';' (records). Mistakes
 * go into the problem list and leave the field as it was. */
void tern_opt_value_set(const struct tern_opt *opt, void *base, struct tern_str text,
                        const struct tern_opt_value_at *at);
/* Adds one element to a list, as it stands. */
void tern_opt_value_append(const struct tern_opt *opt, void *base, struct tern_str text,
                           const struct tern_opt_value_at *at);
/* Room for one more record, zeroed and with its defaults; NULL (said in the list) past the maximum.
 */
void *tern_opt_value_record(const struct tern_opt *opt, void *base,
                            const struct tern_opt_value_at *at);
/* One record from "value,key=value,key". */
void tern_opt_value_record_text(const struct tern_opt *opt, void *base, struct tern_str text,
                                const struct tern_opt_value_at *at);
/* One field of a record; the items of a list are split at '+'. */
void tern_opt_value_set_field(const struct tern_opt *row, void *item, struct tern_str text,
                              const struct tern_opt_value_at *at);
/* Empties a list or records before a source of higher priority fills it. */
void tern_opt_value_clear(const struct tern_opt *opt, void *base);

/* Remembers where the option was given, when base is the caller's struct and not the shadow. */
void tern_opt_keep_place(struct tern_opt_load *load, const struct tern_opt *opt, const void *base,
                         struct tern_str place);

#endif
