/* One document model in two forms, JSON text and UBJSON: a strict streaming pull reader with the
 * calls of wire/json.h, and arrays of numbers read at once into memory that grows.
 *
 * Built for model files of hundreds of megabytes: no tree is built, and a reader is a value, so
 * that a loader may keep a copy of it where something stands that it wants to read later
 * (tern_document_hop passes over that quickly). JSON may have NaN, Infinity and -Infinity where
 * numbers stand, as the boosters write them. TERN_TEXT_PAD (simd/numbers.h) readable bytes must
 * follow the text. Errors are INVALID_ARGUMENT and say the position; after one the reader and its
 * copies must not be used again. */
#ifndef TERN_WIRE_DOCUMENT_H
#define TERN_WIRE_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/dtype.h"
#include "base/err.h"
#include "base/str.h"
#include "wire/json.h"
#include "wire/ubjson.h"

struct tern_document {
    bool is_binary; /* UBJSON */
    union {
        struct tern_json json;
        struct tern_ubjson ubjson;
    };
};

/* Whether a text that begins so is UBJSON: an object or array that no JSON text begins like. */
bool tern_document_is_binary(struct tern_str head);

/* The form is found out. Strings with escapes go to the arena, others are slices of the text. */
void tern_document_init(struct tern_document *doc, struct tern_str text, struct tern_arena *arena);

enum tern_json_kind tern_document_peek(struct tern_document *doc);
enum tern_code tern_document_object(struct tern_document *doc, struct tern_err *err);
enum tern_code tern_document_key(struct tern_document *doc, bool *ret_more,
                                 struct tern_str *ret_key, struct tern_err *err);
enum tern_code tern_document_array(struct tern_document *doc, struct tern_err *err);
enum tern_code tern_document_item(struct tern_document *doc, bool *ret_more, struct tern_err *err);
enum tern_code tern_document_string(struct tern_document *doc, struct tern_str *ret,
                                    struct tern_err *err);
enum tern_code tern_document_bool(struct tern_document *doc, bool *ret, struct tern_err *err);
enum tern_code tern_document_number(struct tern_document *doc, struct tern_json_number *ret,
                                    struct tern_err *err);
/* A number that is an integer from min to max. */
enum tern_code tern_document_integer(struct tern_document *doc, int64_t min, int64_t max,
                                     int64_t *ret, struct tern_err *err);
/* Passes over one value and validates it. */
enum tern_code tern_document_skip(struct tern_document *doc, struct tern_err *err);
/* The same, but of a JSON object or array only the end is looked for: whoever hops reads the value
 * later from a copy that was taken before. */
enum tern_code tern_document_hop(struct tern_document *doc, struct tern_err *err);
enum tern_code tern_document_end(struct tern_document *doc, struct tern_err *err);

/* How many bytes lie before the next one. */
size_t tern_document_at(const struct tern_document *doc);

/* "<what was wrong> at byte N ...": for the caller's own expectations. */
enum tern_code tern_document_fail(const struct tern_document *doc, struct tern_err *err,
                                  const char *fmt, ...) TERN_PRINTF(3, 4) TERN_COLD;
#ifdef __clang_analyzer__
#define tern_document_fail(...) ((void)tern_document_fail(__VA_ARGS__), TERN_INVALID_ARGUMENT)
#endif
/* The rule for members that may stand once: `bit` of *seen is the caller's number for the key. */
enum tern_code tern_document_once(const struct tern_document *doc, uint32_t *seen, unsigned bit,
                                  struct tern_str key, struct tern_err *err);

/* ---- arrays of numbers ---- */

struct tern_document_numbers {
    enum tern_dtype dtype; /* BOOL, UINT8, INT32, INT64, FP32, FP64 */
    void *data;            /* owned; aligned for dtype */
    size_t n;
    size_t size; /* bytes of data */
    size_t max;  /* elements; set after init where it is not TERN_DOCUMENT_NUMBERS_MAX */
};

#define TERN_DOCUMENT_NUMBERS_MAX ((size_t)1 << 31)

void tern_document_numbers_init(struct tern_document_numbers *numbers, enum tern_dtype dtype);
void tern_document_numbers_fini(struct tern_document_numbers *numbers);

/* Reads a flat array of numbers in place of what was there; its memory is used again. Integers have
 * to fit (BOOL takes true, false, 0 and 1); a float is the nearest one to the decimal, rounded
 * once. RESOURCE_EXHAUSTED: more than max, or no memory. */
enum tern_code tern_document_numbers(struct tern_document *doc,
                                     struct tern_document_numbers *numbers, struct tern_err *err);

#endif
