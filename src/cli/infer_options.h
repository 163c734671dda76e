/* Options of `tern infer`; times in nanoseconds. */
#ifndef TERN_CLI_INFER_OPTIONS_H
#define TERN_CLI_INFER_OPTIONS_H

#include "conf/opt.h"

enum tern_infer_form {
    TERN_INFER_FORM_TABLE,
    TERN_INFER_FORM_JSON,
    TERN_INFER_FORM_NPY,
};

struct tern_infer_options {
    struct tern_str url;
    uint64_t timeout_ns;
    struct tern_str model;
    uint64_t model_version; /* 0: the highest that is served */
    struct tern_str library;
    struct tern_str data;
    uint64_t batch; /* rows a request; 0: as many as the model takes */
    enum tern_infer_form form;
    uint64_t limit; /* rows of the table; 0: all */
};

extern const struct tern_opt_table tern_infer_options_table;

#endif
