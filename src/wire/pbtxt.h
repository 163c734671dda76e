/* A pull reader of protobuf text format (https://protobuf.dev/reference/protobuf/textformat-spec/),
 * the language of config.pbtxt. It knows no schema: the caller asks for one event after another and
 * gives them meaning. No recursion; nesting is bounded by TERN_PBTXT_DEPTH_MAX.
 *
 * Understood: comments, both quotes, escapes and adjacent strings, decimal, hexadecimal, octal and
 * real numbers, identifiers, `f: 1`, `f { }`, `f: { }`, `f < >`, `f: [1, 2]`, `f [{ }, { }]`, and
 * ',' or ';' after a field. Not understood: extension and Any names in brackets.
 *
 * One thread at a time. The text is borrowed until the last event. */
#ifndef TERN_WIRE_PBTXT_H
#define TERN_WIRE_PBTXT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define TERN_PBTXT_DEPTH_MAX 32

enum tern_pbtxt_kind {
    TERN_PBTXT_SCALAR,        /* name (empty inside a list), value */
    TERN_PBTXT_MESSAGE_BEGIN, /* name (empty inside a list) */
    TERN_PBTXT_MESSAGE_END,
    TERN_PBTXT_LIST_BEGIN, /* name */
    TERN_PBTXT_LIST_END,
    TERN_PBTXT_END, /* of the text */
};

enum tern_pbtxt_value {
    TERN_PBTXT_STRING,  /* decoded; may hold any byte */
    TERN_PBTXT_INTEGER, /* as decimal digits, with '-' when negative, whatever base it came in */
    TERN_PBTXT_REAL,    /* as it came, without a final f; also inf and nan, with '-' */
    TERN_PBTXT_WORD,    /* true, an enum's name */
};

struct tern_pbtxt_event {
    enum tern_pbtxt_kind kind;
    enum tern_pbtxt_value value;
    struct tern_str name;
    struct tern_str text; /* of the value: the text itself, or the arena when it was decoded */
    uint32_t name_line, name_column;
    uint32_t line, column; /* of the value, or of the bracket; from 1 */
};

struct tern_pbtxt {
    struct tern_str text;
    struct tern_arena *arena; /* borrowed: for decoded strings */
    size_t at;
    size_t line_start; /* offset of the current line */
    uint32_t line;
    uint32_t depth;
    char closers[TERN_PBTXT_DEPTH_MAX]; /* of what is open; see in_list */
    bool has_content;                   /* something stands before this place in what is open */
};

void tern_pbtxt_init(struct tern_pbtxt *reader, struct tern_str text, struct tern_arena *arena);
/* The next event. A failure ends the reading; its place is in line and column of the event, its
 * text in err. */
enum tern_code tern_pbtxt_next(struct tern_pbtxt *reader, struct tern_pbtxt_event *ret_event,
                               struct tern_err *err);

#endif
