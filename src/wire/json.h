/* JSON (RFC 8259): a strict pull reader over one contiguous text, and a writer into a buffer.
 *
 * The reader builds no tree and does not recurse: the caller asks for what it expects, in the order
 * of the text, and gets slices of it. Only strings that carry escapes are copied (into the arena).
 * Everything is validated, also what is skipped: grammar, UTF-8, escapes with paired surrogates, a
 * nesting depth of at most depth_max, nothing after the value. Errors are
 * INVALID_ARGUMENT and say the position. After an error the reader must not be used again.
 * TERN_TEXT_PAD (simd/numbers.h) readable bytes must follow the text, for the number kernels.
 *
 *     TERN_TRY(tern_json_object(&json, err));
 *     while (true) {
 *         TERN_TRY(tern_json_key(&json, &more, &key, err));
 *         if (!more)
 *             break;
 *         ... read or skip exactly one value ...
 *     }
 *     TERN_TRY(tern_json_end(&json, err));
 */
#ifndef TERN_WIRE_JSON_H
#define TERN_WIRE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define TERN_JSON_DEPTH_DEFAULT 100
#define TERN_JSON_DEPTH_MAX     1000 /* what depth_max may be */

enum tern_json_kind {
    TERN_JSON_NONE, /* the end of the text, or a byte that no value starts with */
    TERN_JSON_NULL,
    TERN_JSON_BOOL,
    TERN_JSON_NUMBER,
    TERN_JSON_STRING,
    TERN_JSON_ARRAY,
    TERN_JSON_OBJECT,
};

struct tern_json {
    const char *p;            /* next byte */
    const char *begin;        /* borrowed from the caller's text, as long as it is read */
    const char *end;          /* one past the last byte; nothing is read there */
    struct tern_arena *arena; /* borrowed: where unescaped strings go */
    int depth;                /* open objects and arrays */
    int depth_max;            /* TERN_JSON_DEPTH_DEFAULT unless set after init */
    bool fresh;               /* the innermost one was opened and nothing was read from it */
    /* NaN, Infinity and -Infinity are numbers, too, as Python and XGBoost write them; false unless
     * set after init. */
    bool non_finite;
};

enum tern_json_number_kind {
    TERN_JSON_INT64,
    TERN_JSON_UINT64, /* only above INT64_MAX */
    TERN_JSON_DOUBLE, /* a fraction, an exponent, or an integer beyond 64 bits */
};

struct tern_json_number {
    enum tern_json_number_kind kind;
    union {
        int64_t int64;
        uint64_t uint64;
        double real;
    };
};

void tern_json_init(struct tern_json *json, struct tern_str text, struct tern_arena *arena);

/* What the next value is, after white space. */
enum tern_json_kind tern_json_peek(struct tern_json *json);

enum tern_code tern_json_object(struct tern_json *json, struct tern_err *err);
/* The next key of the innermost object; *ret_more is false when the object was closed instead. */
enum tern_code tern_json_key(struct tern_json *json, bool *ret_more, struct tern_str *ret_key,
                             struct tern_err *err);
enum tern_code tern_json_array(struct tern_json *json, struct tern_err *err);
/* Whether the innermost array has a next value; when not, it was closed. */
enum tern_code tern_json_item(struct tern_json *json, bool *ret_more, struct tern_err *err);

/* A slice of the text, or of the arena when it had escapes. */
enum tern_code tern_json_string(struct tern_json *json, struct tern_str *ret, struct tern_err *err);
enum tern_code tern_json_bool(struct tern_json *json, bool *ret, struct tern_err *err);
enum tern_code tern_json_null(struct tern_json *json, struct tern_err *err);
/* A double beyond the range of binary64 is refused. */
enum tern_code tern_json_number(struct tern_json *json, struct tern_json_number *ret,
                                struct tern_err *err);
/* Passes over one value of any kind, validating it. */
enum tern_code tern_json_skip(struct tern_json *json, struct tern_err *err);
/* Only white space may follow. */
enum tern_code tern_json_end(struct tern_json *json, struct tern_err *err);

/* "<what was wrong> at byte N (line L, column C), got 'x'": for the caller's own expectations. */
enum tern_code tern_json_fail(const struct tern_json *json, struct tern_err *err, const char *fmt,
                              ...) TERN_PRINTF(3, 4) TERN_COLD;
#ifdef __clang_analyzer__
#define tern_json_fail(...) ((void)tern_json_fail(__VA_ARGS__), TERN_INVALID_ARGUMENT)
#endif
/* The rule for members that may stand once: `bit` of *seen is the caller's number for the key. */
enum tern_code tern_json_once(const struct tern_json *json, uint32_t *seen, unsigned bit,
                              struct tern_str key, struct tern_err *err);

/* Writes s as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so that the
 * document stays valid whatever an error text or a label carries. */
void tern_json_add_string(struct tern_buf *buf, struct tern_str s);

#endif
