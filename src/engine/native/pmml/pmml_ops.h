/* Operators that only PMML has. Their states live in the program's arena.
 *
 * All fields of a row stand in one matrix [n, columns] of FP64: numbers as they are, a category as
 * its place in the list of its field's categories, NaN where a value is missing. */
#ifndef TERN_ENGINE_NATIVE_PMML_OPS_H
#define TERN_ENGINE_NATIVE_PMML_OPS_H

#include "engine/native/ops/op_keys.h"
#include "engine/native/program.h"
#include "forest/forest.h"

/* ---- fields: what clients send -> the matrix, and which rows are invalid ---- */

enum tern_pmml_treatment {
    TERN_PMML_AS_IS,
    TERN_PMML_AS_MISSING,
    TERN_PMML_AS_VALUE,       /* a value of its own */
    TERN_PMML_RETURN_INVALID, /* such a row has no prediction */
};

/* A range of valid numbers. */
struct tern_pmml_interval {
    double low, high;
    bool low_open, high_open;
};

enum tern_pmml_kind { TERN_PMML_VALID, TERN_PMML_INVALID, TERN_PMML_MISSING };

struct tern_pmml_intake {
    struct tern_str name;
    bool is_text;
    bool is_float; /* numbers are rounded to float first */
    /* Texts: all that the file knows of, FP64 numbers: those that it lists as values. */
    struct tern_op_keys keys;
    const uint8_t *kinds;  /* enum tern_pmml_kind, one a key */
    uint32_t n_categories; /* texts: any other is this one, which nothing is equal to */
    bool is_listed;        /* what is not a key of kind VALID is invalid, unless in an interval */
    const struct tern_pmml_interval *intervals;
    uint32_t n_intervals;
    enum tern_pmml_treatment invalid, missing;
    double invalid_value, missing_value;
};

struct tern_pmml_intakes {
    const struct tern_pmml_intake *fields;
    uint32_t n;
};

/* Inputs: one [n, fields] FP64, or one [n] or [n, 1] a field, FP64 or BYTES. Outputs: [n, fields]
 * FP64; [n] BOOL: whether the row is invalid. */
extern const struct tern_operator tern_pmml_fields_op;

/* ---- formulas: columns that are computed of others ---- */

enum tern_pmml_code {
    TERN_PMML_COLUMN,
    TERN_PMML_NUMBER,
    TERN_PMML_FLOAT,      /* round to float */
    TERN_PMML_TRUNCATE,   /* to a whole number */
    TERN_PMML_IF_MISSING, /* `number` instead of NaN */
    TERN_PMML_IF_ABSENT,  /* a, b -> `number` where b is NaN, else a */
    TERN_PMML_MAP,        /* `set` has n numbers and what they become; any other: `number` */
    TERN_PMML_NORM,       /* `set` has n numbers and what they become; a line between two. Beyond
                             them, by `number`: 0 the line goes on, 1 missing, 2 the last */
    TERN_PMML_ADD,
    TERN_PMML_SUB,
    TERN_PMML_MUL,
    TERN_PMML_DIV,
    TERN_PMML_POW,
    TERN_PMML_EXP,
    TERN_PMML_LN,
    TERN_PMML_LN1P,
    TERN_PMML_EXPM1,
    TERN_PMML_LOG10,
    TERN_PMML_SQRT,
    TERN_PMML_ABS,
    TERN_PMML_FLOOR,
    TERN_PMML_CEIL,
    TERN_PMML_THRESHOLD, /* a > b: 1, else 0 */
    /* Truths are 1, 0, or NaN where they are not known. */
    TERN_PMML_EQUAL,
    TERN_PMML_NOT_EQUAL,
    TERN_PMML_LESS,
    TERN_PMML_LESS_EQUAL,
    TERN_PMML_GREATER,
    TERN_PMML_GREATER_EQUAL,
    TERN_PMML_IS_MISSING,
    TERN_PMML_IS_PRESENT,
    TERN_PMML_NOT,
    TERN_PMML_IN, /* the column is one of the n numbers of `set` */
    TERN_PMML_AND,
    TERN_PMML_OR,
    TERN_PMML_XOR,
    TERN_PMML_SURROGATE, /* the first that is known */
    TERN_PMML_IF,        /* condition, then, else (or missing) */
};

struct tern_pmml_instruction {
    enum tern_pmml_code code;
    uint32_t n; /* what it takes off the stack; COLUMN: which; IN, MAP, NORM: numbers of the set */
    double number;
    const double *set; /* sorted */
};

/* Columns that are added at the end of the matrix, each of what stands before it. */
struct tern_pmml_formulas {
    const struct tern_pmml_instruction *code; /* of all, one after another */
    const uint32_t *ends;                     /* one a formula: where its code ends */
    uint32_t n;
    uint32_t stack; /* the deepest */
};

/* [n, columns] -> [n, columns + formulas] */
extern const struct tern_operator tern_pmml_formulas_op;

/* Some columns, in this order: [n, columns] -> [n, m], FP32 or FP64. */
struct tern_pmml_columns {
    const uint32_t *columns;
    uint32_t n;
};
extern const struct tern_operator tern_pmml_columns_op;

/* ---- answers ---- */

/* Which rows have no prediction: [n, columns] -> [n] BOOL. */
struct tern_pmml_guard {
    const struct tern_forest *forest; /* not 0: none */
    bool always;                      /* also rows in which nothing is missing may have none */
};
extern const struct tern_operator tern_pmml_guard_op;

/* How the scores of a row become probabilities. */
enum tern_pmml_norm {
    TERN_PMML_NORM_NONE,      /* they are */
    TERN_PMML_NORM_PAIR,      /* one score: the first class has it, the second what is left of 1 */
    TERN_PMML_NORM_REST,      /* the last one is what the others leave of 1 */
    TERN_PMML_NORM_SIMPLEMAX, /* divided by their sum */
    TERN_PMML_NORM_VOTES,     /* of a total: what is left are votes for no prediction */
};

struct tern_pmml_classes {
    enum tern_pmml_norm norm;
    double total; /* VOTES */
    uint32_t n;
    const uint32_t *places;       /* one a class: which of the normalized scores is its */
    enum tern_dtype dtype;        /* of labels: INT64 or BYTES */
    const int64_t *ints;          /* one a class */
    const struct tern_str *texts; /* one a class */
};

#define TERN_PMML_NO_LABEL INT64_MIN /* of a row without a prediction; a text is empty */

/* Inputs: scores FP32 or FP64; optional: numbers of the labels [n, 1], and any number of BOOL [n]:
 * rows without a prediction. Outputs: labels [n], probabilities [n, classes] like the scores. */
extern const struct tern_operator tern_pmml_classes_op;

enum tern_pmml_cast { TERN_PMML_CAST_NONE, TERN_PMML_ROUND, TERN_PMML_CEILING, TERN_PMML_DOWN };

struct tern_pmml_number {
    double divisor, factor, constant;
    double low, high; /* infinite: no bound */
    enum tern_pmml_cast cast;
};

/* Inputs: scores FP32 or FP64 [n, 1]; any number of BOOL [n]. Output: the same, NaN where a row has
 * no prediction. */
extern const struct tern_operator tern_pmml_number_op;

#endif
