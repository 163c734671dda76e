/* Options as table rows. One row gives an option its name, and from that name alone come the flag,
 * the environment variable and the place in a YAML file:
 *
 *     http.body_max   --http-body-max   TERN_HTTP_BODY_MAX   http: {body_max: ...}
 *
 * The same rows give the help text, the documentation, the sample file, the JSON schema, the shell
 * completion, the dump of what is in effect, and the difference that a reload has to act on
 * (conf/opt_doc.h).
 *
 * Values go into a plain struct that the caller reads without ceremony. Priority: flag, then
 * environment, then file, then the row's default. A list given by a source of higher priority
 * replaces the one below; within one source repeated flags add up. No source is abandoned at its
 * first mistake: all are collected in a problem list, with place and, for a misspelt name, the
 * nearest one. Strings and arrays lie in the arena of the load. One thread at a time. */
#ifndef TERN_CONF_OPT_H
#define TERN_CONF_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "conf/problem.h"
#include "conf/tree.h"

enum tern_opt_type {                    /* the field of the struct */
                     TERN_OPT_BOOL,     /* bool; as text: true false on off yes no 1 0 */
                     TERN_OPT_UINT,     /* uint64_t */
                     TERN_OPT_SIZE,     /* uint64_t bytes; "64MiB" */
                     TERN_OPT_DURATION, /* uint64_t nanoseconds; "10s" */
                     TERN_OPT_STRING,   /* struct tern_str with a zero after it; empty: not set */
                     TERN_OPT_ENUM,     /* an enum whose values 0, 1, ... are spelt by `values` */
                     TERN_OPT_LIST,     /* struct tern_opt_list; commas separate, flags repeat */
                     TERN_OPT_RECORDS,  /* struct tern_opt_records; see tern_opt_record */
};

#define TERN_OPT_RELOAD   1u /* a running server takes a new value; without it: a restart */
#define TERN_OPT_FLAG     2u /* flag (and environment) only: not in a file */
#define TERN_OPT_ADVANCED 4u /* left out of the short help */
#define TERN_OPT_SECRET   8u /* of a record's text: never shown, only compared */

struct tern_opt;

struct tern_opt_list {
    struct tern_str *items; /* arena; each with a zero after it */
    uint32_t n;
};

struct tern_opt_records {
    void *items; /* arena: an array of record->size structs */
    uint32_t n;
};

/* An option whose every value is a small struct, such as a listener. In a file: a list of maps. As
 * a flag or variable: the first row's value, then `key=value` or a bare key for a bool, separated
 * by commas; a key is a row's name or its last part. A variable separates records by ';'. The items
 * of a list within a record are separated by '+'. */
struct tern_opt_record {
    const struct tern_opt *rows;
    uint32_t n;
    size_t size; /* of one struct */
    bool keeps_place;
    size_t place; /* offset of a struct tern_str that is told where the record was given */
};

struct tern_opt {
    const char *name; /* lower case, '.' between levels, '_' within words */
    enum tern_opt_type type;
    unsigned flags;            /* TERN_OPT_RELOAD ... */
    size_t offset;             /* of the field in the struct */
    const char *preset;        /* the default, as text; NULL: 0, false or empty */
    uint64_t min, max;         /* UINT, SIZE, DURATION; LIST and RECORDS: max is a count (0: 256) */
    const char *const *values; /* ENUM; ends with NULL */
    const struct tern_opt_record *record;
    const char *section; /* heading; rows of one section stand together */
    const char *metavar; /* NULL: by type */
    char letter;         /* the short flag; 0: none */
    const char *help;    /* one or more plain sentences */
};

struct tern_opt_table {
    const struct tern_opt *rows;
    uint32_t n;
    size_t size; /* of the struct that the rows describe */
};

enum tern_opt_origin {
    TERN_OPT_FROM_DEFAULT,
    TERN_OPT_FROM_FILE,
    TERN_OPT_FROM_ENV,
    TERN_OPT_FROM_FLAG,
};

/* One reading of all sources into one struct. */
struct tern_opt_load {
    const struct tern_opt_table *table;
    void *values;                   /* borrowed: the caller's struct */
    struct tern_arena *arena;       /* borrowed */
    struct tern_problems *problems; /* borrowed */
    uint8_t *origins;               /* arena: enum tern_opt_origin, one a row */
    struct tern_str *places;        /* arena: where each was given, one a row; empty: nowhere */
    void *shadow; /* arena: takes values that lost to a source of higher priority, once checked */
};

/* Zeroes the struct and fills in every default. Fails only for want of memory. */
enum tern_code tern_opt_load_init(struct tern_opt_load *load, const struct tern_opt_table *table,
                                  void *values, struct tern_arena *arena,
                                  struct tern_problems *problems, struct tern_err *err);

/* What is left of the command line once the options are taken. */
struct tern_opt_rest {
    struct tern_str *args; /* arena; each with a zero after it */
    uint32_t n;
    bool help; /* -h or --help was among the flags */
};

/* The sources, in any order: priority does not depend on it. argv without the program's name;
 * NULL-terminated environ; a tree read by conf/yaml.h, `file` naming it in messages. */
void tern_opt_read_args(struct tern_opt_load *load, int argc, char *const *argv,
                        struct tern_opt_rest *ret_rest);
void tern_opt_read_env(struct tern_opt_load *load, char *const *environment);
void tern_opt_read_tree(struct tern_opt_load *load, struct tern_str file,
                        const struct tern_tree *root);

/* One value as text, with the same checks. Ignored when a source of higher priority spoke. */
void tern_opt_set(struct tern_opt_load *load, const struct tern_opt *opt,
                  enum tern_opt_origin origin, struct tern_str place, struct tern_str text);

/* One field of a record that is made elsewhere than from its short form: any text, commas too. */
struct tern_opt_field {
    const char *name;
    struct tern_str text;
};

/* Adds one record, as a flag with these fields would. */
void tern_opt_add_record(struct tern_opt_load *load, const struct tern_opt *opt,
                         enum tern_opt_origin origin, struct tern_str place,
                         const struct tern_opt_field *fields, uint32_t n);

/* The struct to write a value of that origin into: the caller's, or the shadow. A list is emptied
 * when the origin's priority is above what was there. */
void *tern_opt_claim(struct tern_opt_load *load, const struct tern_opt *opt,
                     enum tern_opt_origin origin);

/* Where the option was given ("tern.yaml:12:5", "flag --x"), for checks of several options at once;
 * empty when it has its default. */
struct tern_str tern_opt_place_of(const struct tern_opt_load *load, const char *name);
enum tern_opt_origin tern_opt_origin_of(const struct tern_opt_load *load, const char *name);
const struct tern_opt *tern_opt_find(const struct tern_opt_table *table, struct tern_str name);

#define TERN_OPT_HIDDEN "(hidden)"

#define TERN_OPT_NAME_MAX 64 /* with room for "--", "TERN_" and a zero */

/* "--http-body-max", "TERN_HTTP_BODY_MAX"; dst is answered. */
const char *tern_opt_flag(const struct tern_opt *opt, char dst[TERN_OPT_NAME_MAX]);
const char *tern_opt_env(const struct tern_opt *opt, char dst[TERN_OPT_NAME_MAX]);
/* The value now in the struct, in the form that a file or flag accepts; instead of a secret stands
 * TERN_OPT_HIDDEN. */
void tern_opt_print(const struct tern_opt *opt, const void *values, struct tern_buf *out);
/* The same with its secrets, to compare. */
void tern_opt_print_whole(const struct tern_opt *opt, const void *values, struct tern_buf *out);
/* "a size from 1KiB to 1GiB": what the option accepts. */
void tern_opt_print_expected(const struct tern_opt *opt, struct tern_buf *out);

/* The nearest of n candidates within a third of the word's length (edit distance), or NULL.
 * next(user, i) answers candidate i. */
const char *tern_opt_nearest(struct tern_str word, uint32_t n,
                             const char *(*next)(const void *user, uint32_t i, char *scratch),
                             const void *user, char scratch[TERN_OPT_NAME_MAX]);

#endif
