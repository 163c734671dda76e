/* Triton's command line as data: each of its flags, and what becomes of it here. A row is all there
 * is to a flag: it is read by cli/persona_triton.c, shown by `tern serve --persona triton --help`
 * and printed into doc/triton-flags.md. */
#ifndef TERN_CLI_TRITON_FLAGS_H
#define TERN_CLI_TRITON_FLAGS_H

#include <stdint.h>
#include "base/buf.h"
#include "conf/opt_doc.h"

enum tern_triton_kind {
    TERN_TRITON_ALONE,  /* takes no value */
    TERN_TRITON_BOOL,   /* true, false, 1 or 0; may stand alone for true */
    TERN_TRITON_NUMBER, /* a decimal integer, perhaps below zero */
    TERN_TRITON_TEXT,
};

enum tern_triton_take {
    TERN_TRITON_OPTION,     /* is the option of ours, the value with `unit` behind it */
    TERN_TRITON_OPTION_NOT, /* is the opposite of a bool of ours */
    TERN_TRITON_COUNT,      /* is an option of ours, where 0 and not -1 has no end */
    TERN_TRITON_PERIOD,     /* is an option of ours, unless it is 0 */
    TERN_TRITON_REPOSITORY, /* is an argument of `serve` */
    TERN_TRITON_ALLOW,      /* whether the port `door` is opened, */
    TERN_TRITON_ADDRESS,    /* where, */
    TERN_TRITON_PORT,       /* and on which number */
    TERN_TRITON_TLS,        /* TLS of the port `door` */
    TERN_TRITON_TLS_MUTUAL,
    TERN_TRITON_TLS_CERT,
    TERN_TRITON_TLS_KEY,
    TERN_TRITON_TLS_ROOT,
    TERN_TRITON_RESTRICT, /* APIs:KEY=VALUE, for the dialects of `door` */
    TERN_TRITON_REDIS,    /* a field of the one cache.redis */
    TERN_TRITON_LOG_VERBOSE,
    TERN_TRITON_LOG_INFO,
    TERN_TRITON_LOG_WARNING,
    TERN_TRITON_LOG_FORMAT,
    TERN_TRITON_IGNORE, /* accepted, without effect; told in the log at start */
    TERN_TRITON_REFUSE, /* an error, unless the value is `harmless` */
};

enum tern_triton_door {
    TERN_TRITON_HTTP,
    TERN_TRITON_GRPC,
    TERN_TRITON_METRICS,
    TERN_TRITON_DOORS,
};

struct tern_triton_flag {
    const char *name; /* without "--" */
    /* The flag's value is KEY=VALUE, and this row is about that key. Rows of one flag with keys
     * stand before the one without, which takes any other key. */
    const char *key;
    enum tern_triton_kind kind;
    enum tern_triton_take take;
    const char *option; /* ours */
    const char *unit;   /* "s": what the number counts */
    enum tern_triton_door door;
    const char *harmless; /* REFUSE: a value that asks for nothing */
    const char *help;     /* what it does here, or why it does nothing; a sentence */
};

extern const struct tern_triton_flag tern_triton_flags[];
extern const uint32_t tern_triton_flags_n;

/* The row of a flag and of the key that its value begins with; NULL when there is none. *ret_known:
 * the flag exists. */
const struct tern_triton_flag *tern_triton_flag_find(struct tern_str name, struct tern_str value,
                                                     bool *ret_known);

/* What a person on a terminal reads, and the Markdown table of doc/triton-flags.md. */
void tern_triton_flags_help(const struct tern_opt_doc_style *style, struct tern_buf *out);
void tern_triton_flags_page(struct tern_buf *out);

#endif
