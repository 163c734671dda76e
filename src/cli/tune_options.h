/* Options of `tern tune`; times in nanoseconds. */
#ifndef TERN_CLI_TUNE_OPTIONS_H
#define TERN_CLI_TUNE_OPTIONS_H

#include "cli/client_options.h"

struct tern_tune_options {
    uint64_t slo_ns;      /* 0: made from what one request takes */
    uint64_t rate;        /* compare at this rate; 0: look for the greatest */
    uint64_t duration_ns; /* of the longest looks */
    bool quick;
    struct tern_str data;
    uint64_t batch;
    bool binary;
    uint64_t tolerance_ppm;
    uint64_t seed;
    uint64_t instances; /* most that are tried; 0: by the processors */
    uint64_t timeout_ns;
    struct tern_str library;
    enum tern_output_form form;
};

extern const struct tern_opt_table tern_tune_options_table;

#endif
