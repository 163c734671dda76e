/* What loaders ask of a .skops file: attributes of objects, and the arrays that they name.
 *
 * Whatever does not fit is INVALID_ARGUMENT and begins with its place: "steps[1][1].coef_: ...".
 * What is answered lies in the scratch arena and is gone when the file has been read. */
#ifndef TERN_ENGINE_NATIVE_SKOPS_READ_H
#define TERN_ENGINE_NATIVE_SKOPS_READ_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/native/sklearn/skops_schema.h"
#include "wire/npy_view.h"
#include "wire/zip.h"

struct tern_skops {
    struct tern_zip zip;
    struct tern_arena *scratch;
    struct tern_skops_node *root;
};

/* Opens the archive and reads its schema. */
enum tern_code tern_skops_open(struct tern_skops *skops, struct tern_str file,
                               struct tern_arena *scratch, struct tern_err *err);

/* "<place>: <what is wrong>" */
enum tern_code tern_skops_fail(const struct tern_skops_node *node, enum tern_code code,
                               struct tern_err *err, const char *fmt, ...)
    TERN_PRINTF(4, 5) TERN_COLD;
#ifdef __clang_analyzer__
#define tern_skops_fail(node, code, err, ...) \
    ((void)tern_skops_fail(node, code, err, __VA_ARGS__), (code))
#endif
/* Puts the node's place before an error that says none. */
void tern_skops_place(const struct tern_skops_node *node, struct tern_err *err) TERN_COLD;

/* ---- objects ---- */

bool tern_skops_is(const struct tern_skops_node *node, const char *name);
/* NULL: there is none of that name. */
const struct tern_skops_node *tern_skops_find(const struct tern_skops_node *node, const char *key);
/* Has to be there, and once. */
enum tern_code tern_skops_want(const struct tern_skops_node *node, const char *key,
                               const struct tern_skops_node **ret, struct tern_err *err);
/* Child i, which exists. Walks: loops go from first to next. */
const struct tern_skops_node *tern_skops_child(const struct tern_skops_node *node, uint32_t i);

/* ---- attributes; a missing one is an error, except for those that come with a default ---- */

bool tern_skops_is_null(const struct tern_skops_node *node); /* also NULL itself */
enum tern_code tern_skops_text(const struct tern_skops *skops, const struct tern_skops_node *node,
                               const char *key, struct tern_str *ret, struct tern_err *err);
/* Which of the names, NULL-terminated; null is the first of them. */
enum tern_code tern_skops_choice(const struct tern_skops *skops, const struct tern_skops_node *node,
                                 const char *key, const char *const *names, uint32_t *ret,
                                 struct tern_err *err);
enum tern_code tern_skops_integer(const struct tern_skops *skops,
                                  const struct tern_skops_node *node, const char *key, int64_t min,
                                  int64_t max, int64_t *ret, struct tern_err *err);
enum tern_code tern_skops_real(const struct tern_skops *skops, const struct tern_skops_node *node,
                               const char *key, double *ret, struct tern_err *err);
/* Without the attribute: false. */
enum tern_code tern_skops_bool(const struct tern_skops *skops, const struct tern_skops_node *node,
                               const char *key, bool *ret, struct tern_err *err);

/* ---- nodes as they are ---- */

enum tern_code tern_skops_node_text(const struct tern_skops *skops,
                                    const struct tern_skops_node *node, struct tern_str *ret,
                                    struct tern_err *err);
enum tern_code tern_skops_node_integer(const struct tern_skops *skops,
                                       const struct tern_skops_node *node, int64_t *ret,
                                       struct tern_err *err);
enum tern_code tern_skops_node_real(const struct tern_skops *skops,
                                    const struct tern_skops_node *node, double *ret,
                                    struct tern_err *err);

/* ---- arrays ---- */

struct tern_skops_reals {
    const double *p; /* C order */
    size_t n;
    int rank;
    int64_t dim[TERN_NPY_RANK_MAX];
};

#define TERN_SKOPS_NUMBERS_MAX ((size_t)1 << 28) /* of one array */

enum tern_code tern_skops_view(const struct tern_skops *skops, const struct tern_skops_node *node,
                               struct tern_npy_view *ret, struct tern_err *err);
/* An array of numbers, a number, or a list of numbers. */
enum tern_code tern_skops_node_reals(const struct tern_skops *skops,
                                     const struct tern_skops_node *node,
                                     struct tern_skops_reals *ret, struct tern_err *err);
/* Of finite numbers; NaN in coefficients would make NaN of every row. */
enum tern_code tern_skops_finite(const struct tern_skops *skops, const struct tern_skops_node *node,
                                 struct tern_skops_reals *ret, struct tern_err *err);
enum tern_code tern_skops_reals(const struct tern_skops *skops, const struct tern_skops_node *node,
                                const char *key, struct tern_skops_reals *ret,
                                struct tern_err *err);
/* The same, and exactly n of them. */
enum tern_code tern_skops_vector(const struct tern_skops *skops, const struct tern_skops_node *node,
                                 const char *key, size_t n, const double **ret,
                                 struct tern_err *err);
/* Texts, of an array of them or of objects. */
enum tern_code tern_skops_texts(const struct tern_skops *skops, const struct tern_skops_node *node,
                                const struct tern_str **ret, size_t *ret_n, struct tern_err *err);

#endif
