/* UBJSON (https://ubjson.org, draft 12) as XGBoost writes it: a strict pull reader over one
 * contiguous text, in the manner of wire/json.h.
 *
 * Read are objects without a count, arrays of any kind ("[...]", "[#L<n>...", "[$<type>#L<n>..."),
 * keys and strings with a 64-bit length, and the scalars Z T F i U I l L d D S, big-endian. Not
 * read are no-ops, characters, high-precision numbers, typed objects: nobody writes them here.
 * Everything is checked, also what is skipped; depth is at most TERN_UBJSON_DEPTH_MAX. Errors are
 * INVALID_ARGUMENT and say the position; after one the reader must not be used again.
 *
 * A reader is a value: a copy of it reads the same text again from where it stood. */
#ifndef TERN_WIRE_UBJSON_H
#define TERN_WIRE_UBJSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "wire/json.h"

#define TERN_UBJSON_DEPTH_MAX 32

/* An open object or array. */
struct tern_ubjson_level {
    char type;     /* of each item of a typed array, else 0 */
    bool object;   /* else an array */
    bool counted;  /* `left` items follow and no closing marker */
    uint64_t left; /* items */
};

struct tern_ubjson {
    const char *p;
    const char *begin; /* borrowed, as long as it is read */
    const char *end;
    int depth;
    struct tern_ubjson_level levels[TERN_UBJSON_DEPTH_MAX];
};

/* A whole array of numbers where it lies. */
struct tern_ubjson_numbers {
    char type;         /* i U I l L d D */
    const char *bytes; /* big-endian, not aligned */
    size_t n;          /* elements */
};

void tern_ubjson_init(struct tern_ubjson *ubjson, struct tern_str text);

/* The kinds are JSON's. */
enum tern_json_kind tern_ubjson_peek(const struct tern_ubjson *ubjson);
enum tern_code tern_ubjson_object(struct tern_ubjson *ubjson, struct tern_err *err);
enum tern_code tern_ubjson_key(struct tern_ubjson *ubjson, bool *ret_more, struct tern_str *ret_key,
                               struct tern_err *err);
enum tern_code tern_ubjson_array(struct tern_ubjson *ubjson, struct tern_err *err);
enum tern_code tern_ubjson_item(struct tern_ubjson *ubjson, bool *ret_more, struct tern_err *err);
enum tern_code tern_ubjson_string(struct tern_ubjson *ubjson, struct tern_str *ret,
                                  struct tern_err *err);
enum tern_code tern_ubjson_bool(struct tern_ubjson *ubjson, bool *ret, struct tern_err *err);
/* NaN and infinities are doubles. */
enum tern_code tern_ubjson_number(struct tern_ubjson *ubjson, struct tern_json_number *ret,
                                  struct tern_err *err);
/* If the next value is a typed array of numbers, passes over it and answers where it lies; else
 * *ret_typed is false and nothing was read. */
enum tern_code tern_ubjson_typed(struct tern_ubjson *ubjson, bool *ret_typed,
                                 struct tern_ubjson_numbers *ret, struct tern_err *err);
enum tern_code tern_ubjson_skip(struct tern_ubjson *ubjson, struct tern_err *err);
/* Nothing may follow. */
enum tern_code tern_ubjson_end(struct tern_ubjson *ubjson, struct tern_err *err);

/* Element i of such an array, or what a marker says at p. */
struct tern_json_number tern_ubjson_read(char type, const char *p);
/* Bytes of a number of that type; 0 for what is none. */
size_t tern_ubjson_size(char type);

enum tern_code tern_ubjson_fail(const struct tern_ubjson *ubjson, struct tern_err *err,
                                const char *fmt, ...) TERN_PRINTF(3, 4) TERN_COLD;
#ifdef __clang_analyzer__
#define tern_ubjson_fail(...) ((void)tern_ubjson_fail(__VA_ARGS__), TERN_INVALID_ARGUMENT)
#endif

#endif
