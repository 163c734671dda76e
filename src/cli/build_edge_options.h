/* Options of `tern build-edge`. */
#ifndef TERN_CLI_BUILD_EDGE_OPTIONS_H
#define TERN_CLI_BUILD_EDGE_OPTIONS_H

#include "cli/client_options.h"

enum tern_edge_kind { TERN_EDGE_BINARY, TERN_EDGE_SHARED, TERN_EDGE_STATIC, TERN_EDGE_SOURCE };

enum tern_edge_target { TERN_EDGE_HERE, TERN_EDGE_X86_64, TERN_EDGE_ARM64 };

enum tern_edge_values { TERN_EDGE_VALUES_FULL, TERN_EDGE_VALUES_HALF };

struct tern_build_edge_options {
    struct tern_str model;
    uint64_t model_version; /* 0: the highest that is served */
    struct tern_str answer; /* which output; empty: the only one that is numbers, or the last */
    enum tern_edge_kind kind;
    enum tern_edge_target target;
    struct tern_str cc;   /* empty: by the target */
    struct tern_str out;  /* folder */
    struct tern_str name; /* empty: the model's */
    uint64_t rows;
    enum tern_edge_values values;
    struct tern_str prune; /* a number; empty: nothing changes */
    uint64_t trees;        /* 0: all */
    struct tern_str data;  /* a file; empty: none */
    enum tern_output_form form;
};

extern const struct tern_opt_table tern_build_edge_options_table;

#endif
