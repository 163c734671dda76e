/* Options of `tern explain`; times in nanoseconds. */
#ifndef TERN_CLI_EXPLAIN_OPTIONS_H
#define TERN_CLI_EXPLAIN_OPTIONS_H

#include "cli/client_options.h"
#include "conf/opt.h"

struct tern_explain_options {
    struct tern_str url;
    uint64_t timeout_ns;
    struct tern_str model;
    uint64_t model_version; /* 0: the highest that is served */
    struct tern_str library;
    struct tern_str data;
    struct tern_str method;
    struct tern_str background; /* a file, "zeros", or empty: the model's own */
    uint64_t nsamples;          /* 0: decided */
    uint64_t seed;
    bool interactions;
    struct tern_str output_name; /* of the model; empty: decided */
    enum tern_output_form form;
    struct tern_str class_; /* which element of the output is shown; empty: the largest */
    uint64_t top;           /* features; 0: all */
    uint64_t limit;         /* rows; 0: all */
};

extern const struct tern_opt_table tern_explain_options_table;

#endif
