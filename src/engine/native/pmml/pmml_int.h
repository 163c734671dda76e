/* What the files of the PMML loader share: the document as it is read, and what is known by then.
 *
 * Functions that read an element are called with its BEGIN in p->event and return with its END
 * there. What is remembered lies in the scratch arena, which is gone after load, or in arrays that
 * fini frees. */
#ifndef TERN_ENGINE_NATIVE_PMML_INT_H
#define TERN_ENGINE_NATIVE_PMML_INT_H

#include "engine/native/format.h"
#include "engine/native/ops/ops.h"
#include "engine/native/pmml/pmml_ops.h"
#include "forest/builder.h"
#include "wire/xml.h"

#define TERN_PMML_FIELDS_MAX ((size_t)1 << 20)
#define TERN_PMML_PARTS_MAX  ((size_t)1 << 27) /* of anything else */
#define TERN_PMML_NONE       UINT32_MAX

/* ---- names, numbered as they come ---- */

struct tern_pmml_names {
    struct tern_str *names; /* owned; texts in the scratch arena */
    size_t n, cap;
    uint32_t *slots; /* owned: number + 1; 0: free */
    size_t n_slots;
};

/* ---- fields ---- */

enum tern_pmml_type {
    TERN_PMML_TYPE_DOUBLE,
    TERN_PMML_TYPE_FLOAT,
    TERN_PMML_TYPE_INTEGER,
    TERN_PMML_TYPE_BOOLEAN, /* 1 and 0 */
    TERN_PMML_TYPE_STRING,
};

struct tern_pmml_field {
    struct tern_str name;
    enum tern_pmml_type type;
    bool is_categorical;
    bool is_input; /* has an intake: intakes[column] */
    bool is_copy;  /* another field owns its categories */
    uint32_t line;
    uint32_t column;                    /* NONE: of the target, or not used */
    struct tern_pmml_names *categories; /* of texts */
    /* Listed values in the order of the file: texts, and what they are. */
    struct tern_str *values;
    uint8_t *kinds;
    size_t n_values, values_cap, kinds_cap;
    bool has_valid; /* some of them are VALID */
    struct tern_pmml_interval *intervals;
    size_t n_intervals, intervals_cap;
};

/* ---- predicates ---- */

enum tern_pmml_predicate { TERN_PMML_ALWAYS, TERN_PMML_NEVER, TERN_PMML_ASKS };

/* A predicate as a node of a forest asks it. */
struct tern_pmml_test {
    enum tern_pmml_predicate kind;
    enum tern_forest_test test;
    bool is_turned;     /* it is true where the test is not */
    bool knows_missing; /* it is known of missing values, too: they fail the test */
    uint32_t column;
    double threshold;
    uint32_t set;
    /* Predicates with the same number, not 0, are unknown for the same rows. */
    uint64_t unknown;
    /* Of a surrogate: a hash of its parts, and of their opposites; else 0. */
    uint64_t parts, opposites;
};

/* ---- models ---- */

/* A forest that is being made of the trees of one or more models. */
struct tern_pmml_forest {
    struct tern_forest_builder *builder; /* owned */
    /* The same trees, of which each leaf says whether there is a prediction (0) or not (1). */
    struct tern_forest_builder *guard; /* owned */
    /* (one tree of classes) The number of the class that each leaf says itself. */
    struct tern_forest_builder *labels; /* owned, or NULL */
    bool has_guard, guards_always, has_labels;
    bool is_vector; /* leaves are a value for each class */
    bool is_vote;   /* of which one is 1 */
    bool abstains;  /* trees without a prediction vote for none */
    bool is_float;
    bool rounds_input;  /* to float */
    bool sums;          /* else the trees are averaged */
    uint32_t n_outputs; /* of builder */
    /* Of the trees that are added next. */
    uint32_t output;
    double factor; /* of their values */
};

struct tern_pmml_weight {
    uint32_t table, term;
    double weight;
};

struct tern_pmml_regression {
    struct tern_pmml_names keys; /* of terms */
    uint32_t *terms;             /* columns of the matrix, or scores of a chain; owned */
    size_t terms_cap;
    struct tern_pmml_weight *weights; /* owned */
    size_t n_weights, weights_cap;
    struct tern_pmml_table {
        double intercept;
        uint32_t class; /* NONE: the target is a number */
    } * tables;         /* owned */
    size_t n_tables, tables_cap;
    enum tern_link link;
    enum tern_pmml_norm norm;
};

struct tern_pmml_node;

struct tern_pmml {
    const struct tern_native_source *source;
    struct tern_program *program;
    struct tern_xml *xml; /* owned */
    struct tern_xml_event event;
    struct tern_arena scratch;

    struct tern_pmml_names field_names; /* numbers of fields */
    struct tern_pmml_field *fields;     /* owned */
    size_t fields_cap;
    uint32_t target;                  /* NONE: no model has named it yet */
    struct tern_pmml_intake *intakes; /* owned; arena's in the program */
    size_t n_intakes, intakes_cap;
    uint32_t n_columns; /* of the matrix, so far */

    struct tern_pmml_instruction *code; /* owned */
    size_t n_code, code_cap;
    uint32_t *ends; /* owned */
    size_t n_ends, ends_cap;
    uint32_t stack_max;

    struct tern_pmml_forest forest;
    struct tern_pmml_names scores; /* of a chain: what its models' outputs are called */
    struct tern_pmml_regression regression;
    struct tern_pmml_number number; /* of the whole */
    bool is_classification;
    bool has_regression, is_segmented, is_chain;
    bool is_weighted;               /* scores are to be divided by the weights of the trees */
    double total;                   /* of those weights */
    struct tern_pmml_names classes; /* of the target */

    /* Of the tree that is being read; owned. */
    struct tern_pmml_node *nodes;
    size_t n_nodes, nodes_cap;
    double *values; /* rows of scores */
    size_t n_values, values_cap;
    struct tern_pmml_emitter *emitter;
};

/* ---- pmml.c: the document ---- */

/* The next BEGIN among the children of an element; *ret_more is false at the element's END.
 * Extensions are passed over. */
enum tern_code tern_pmml_child(struct tern_pmml *p, bool *ret_more, struct tern_err *err);
bool tern_pmml_is(const struct tern_pmml *p, const char *element);
/* Of an element without children that matter. */
enum tern_code tern_pmml_skip(struct tern_pmml *p, struct tern_err *err);
/* An attribute; empty without it. */
struct tern_str tern_pmml_get(const struct tern_pmml *p, const char *name);
bool tern_pmml_has(const struct tern_pmml *p, const char *name);
enum tern_code tern_pmml_want(const struct tern_pmml *p, const char *name, struct tern_str *ret,
                              struct tern_err *err);
/* Which of the names, NULL-terminated, an attribute is; `otherwise` without it. What is none of
 * them is UNIMPLEMENTED. */
enum tern_code tern_pmml_choice(const struct tern_pmml *p, const char *name,
                                const char *const *names, uint32_t otherwise, uint32_t *ret,
                                struct tern_err *err);
/* An attribute that is a number; `otherwise` without it. */
enum tern_code tern_pmml_number(const struct tern_pmml *p, const char *name, double otherwise,
                                double *ret, struct tern_err *err);
/* A text as a number, rounded once to what the type has. NaN and infinities (INF) are numbers. */
bool tern_pmml_parse(struct tern_str text, enum tern_pmml_type type, double *ret);
/* "line 12: Node: ...": of the element in p->event. */
enum tern_code tern_pmml_fail(const struct tern_pmml *p, enum tern_code code, struct tern_err *err,
                              const char *fmt, ...) TERN_PRINTF(4, 5) TERN_COLD;
#ifdef __clang_analyzer__
#define tern_pmml_fail(p, code, ...) ((void)tern_pmml_fail(p, code, __VA_ARGS__), (code))
#endif
/* The element in p->event is not served. */
enum tern_code tern_pmml_refuse(const struct tern_pmml *p, const char *advice,
                                struct tern_err *err) TERN_COLD;
#ifdef __clang_analyzer__
#define tern_pmml_refuse(...) ((void)tern_pmml_refuse(__VA_ARGS__), TERN_UNIMPLEMENTED)
#endif

/* The number of a name, which is added when it is new and `adds`; else NONE. */
enum tern_code tern_pmml_names_find(struct tern_pmml *p, struct tern_pmml_names *names,
                                    struct tern_str name, bool adds, uint32_t *ret,
                                    struct tern_err *err);

/* ---- pmml_fields.c ---- */

enum tern_code tern_pmml_read_dictionary(struct tern_pmml *p, struct tern_err *err);
/* Of the outermost model: which fields are inputs. Of those within: what they must not say. */
enum tern_code tern_pmml_read_schema(struct tern_pmml *p, bool is_outermost, struct tern_err *err);
/* The field that an attribute names, which has a column. */
enum tern_code tern_pmml_field_of(struct tern_pmml *p, const char *attribute,
                                  const struct tern_pmml_field **ret, struct tern_err *err);
/* A value of that field, as its column has it. */
enum tern_code tern_pmml_value_of(struct tern_pmml *p, const struct tern_pmml_field *field,
                                  struct tern_str text, double *ret, struct tern_err *err);
/* A field that the document computes. */
enum tern_code tern_pmml_add_field(struct tern_pmml *p, const struct tern_pmml_field *field,
                                   struct tern_err *err);
/* Whether rows can be used as they come: numbers, and nothing is done to them. */
bool tern_pmml_is_plain(const struct tern_pmml *p);
bool tern_pmml_all_float(const struct tern_pmml *p);

/* ---- pmml_formula.c ---- */

/* TransformationDictionary and LocalTransformations. */
enum tern_code tern_pmml_read_transformations(struct tern_pmml *p, struct tern_err *err);
enum tern_code tern_pmml_emit(struct tern_pmml *p, enum tern_pmml_code code, uint32_t n,
                              double number, struct tern_err *err);
/* The code since the last formula is a column. */
enum tern_code tern_pmml_end_formula(struct tern_pmml *p, uint32_t *ret_column,
                                     struct tern_err *err);

/* The code since the last formula is of no use. */
void tern_pmml_drop_formula(struct tern_pmml *p);

/* ---- pmml_table.c ---- */

/* MapValues and NormContinuous, as code. */
enum tern_code tern_pmml_read_map(struct tern_pmml *p, struct tern_err *err);
enum tern_code tern_pmml_read_norm(struct tern_pmml *p, struct tern_err *err);

/* ---- pmml_predicate.c ---- */

bool tern_pmml_is_predicate(const struct tern_pmml *p);
enum tern_code tern_pmml_read_predicate(struct tern_pmml *p, struct tern_pmml_test *ret,
                                        struct tern_err *err);
/* Whether b is true where a is false, and unknown where a is. */
bool tern_pmml_is_opposite(const struct tern_pmml_test *a, const struct tern_pmml_test *b);

/* ---- pmml_tree.c, pmml_emit.c ---- */

enum tern_pmml_missing {
    TERN_PMML_MISSING_NONE,
    TERN_PMML_MISSING_LAST,
    TERN_PMML_MISSING_NULL,
    TERN_PMML_MISSING_DEFAULT,
};

struct tern_pmml_strategy {
    enum tern_pmml_missing missing;
    bool returns_last; /* where no child's predicate is true */
};

struct tern_pmml_node {
    struct tern_pmml_test test;
    bool has_predicate;
    uint32_t parent, first_child, last_child, next; /* NONE: none */
    uint32_t row;                                   /* of values; NONE: it has no score */
    uint32_t label;                                 /* class that its score names */
    uint64_t id, default_id;                        /* hashes; 0: none */
    uint32_t default_child;
    double cover; /* negative: not known */
};

/* Of the model that is being read. */
struct tern_pmml_context {
    bool is_outermost;
    bool names_score; /* its Output says what a chain calls its score */
    double weight;
    struct tern_pmml_number *number; /* what its Targets say */
};

/* A TreeModel, into p->forest. */
enum tern_code tern_pmml_read_tree(struct tern_pmml *p, const struct tern_pmml_context *context,
                                   struct tern_err *err);
/* The tree in p->nodes. */
enum tern_code tern_pmml_emit_tree(struct tern_pmml *p, const struct tern_pmml_strategy *strategy,
                                   struct tern_err *err);
void tern_pmml_emitter_free(struct tern_pmml *p);

/* ---- pmml_regression.c ---- */

/* A RegressionModel; the predictors of a chain's are p->scores. */
enum tern_code tern_pmml_read_regression(struct tern_pmml *p,
                                         const struct tern_pmml_context *context,
                                         struct tern_err *err);
/* The scores of the model, which reads the matrix or the scores of a chain: *value, and how they
 * become probabilities. */
enum tern_code tern_pmml_make_regression(struct tern_pmml *p, uint32_t *value,
                                         struct tern_err *err);

/* ---- pmml_models.c ---- */

extern const struct tern_pmml_number tern_pmml_no_targets;
/* The factor of a target that may be in the leaves of its trees: nothing is done before it. */
double tern_pmml_folded(const struct tern_pmml_number *number);

/* The classes of the target are known from here on: its MiningSchema was read. */
enum tern_code tern_pmml_find_classes(struct tern_pmml *p, struct tern_err *err);
/* The model that p->event begins. */
enum tern_code tern_pmml_read_model(struct tern_pmml *p, struct tern_err *err);
/* The next child of a model that its kind knows; *ret_more is false at the model's end. What models
 * of every kind have (MiningSchema, Output, Targets, ...) is read on the way. */
enum tern_code tern_pmml_part(struct tern_pmml *p, const struct tern_pmml_context *context,
                              bool *ret_more, struct tern_err *err);
/* The target and its classes are known. */
enum tern_code tern_pmml_begin_forest(struct tern_pmml *p, enum tern_forest_combine combine,
                                      struct tern_err *err);
/* The forests, if they are begun, know so many columns and outputs. */
enum tern_code tern_pmml_widen(struct tern_pmml *p, uint32_t n_columns, uint32_t n_outputs,
                               struct tern_err *err);
/* Which class of the target a text is. */
enum tern_code tern_pmml_class_of(struct tern_pmml *p, struct tern_str text, uint32_t *ret,
                                  struct tern_err *err);

/* ---- pmml_program.c ---- */

enum tern_code tern_pmml_make_program(struct tern_pmml *p, struct tern_err *err);

#endif
