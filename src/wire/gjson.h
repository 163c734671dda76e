/* Paths into a JSON document, and whether they lead anywhere: the part of GJSON
 * (https://github.com/tidwall/gjson, SYNTAX.md) that the conditions of KServe's InferenceGraph use.
 *
 *     a.b.0          members and elements; * and ? in a key stand for anything, \ takes a meaning
 * away a.#            how many elements; a.#.b: an array of each element's b a.#(b==1)      the
 * first element for which that is true; a.#(...)#: all of them
 *     == != < <= > >= % !%   (% compares with a pattern); without one: b is there; b may be any
 * path |              begins anew on what was found, where "." would go on with each element
 *     @this, [@this] the document, the document in an array
 *
 * Everything else that GJSON has (other modifiers, several paths at once, literals, lines, ~) is
 * refused by name when a path is compiled. A compiled path is immutable. */
#ifndef TERN_WIRE_GJSON_H
#define TERN_WIRE_GJSON_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define TERN_GJSON_PATH_MAX  1024 /* bytes */
#define TERN_GJSON_DEPTH_MAX 8    /* queries and collections within each other */

struct tern_gjson;

/* The path and its texts lie in the arena. INVALID_ARGUMENT says what stands there and where. */
enum tern_code tern_gjson_compile(struct tern_str path, struct tern_arena *arena,
                                  const struct tern_gjson **ret_gjson, struct tern_err *err);

/* What the path leads to in the document, as text of the document or of the arena. TERN_TEXT_PAD
 * readable bytes must follow the document. INVALID_ARGUMENT: it is no JSON. */
enum tern_code tern_gjson_find(const struct tern_gjson *gjson, struct tern_str document,
                               struct tern_arena *arena, bool *ret_found,
                               struct tern_str *ret_value, struct tern_err *err);

/* Whether text is what the pattern says: * any bytes, ? one character, \ the next byte itself. */
bool tern_gjson_matches(struct tern_str pattern, struct tern_str text);

#endif
