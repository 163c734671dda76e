/* Options of the commands that only talk to a server: models, bench. Times in nanoseconds, sizes
 * in bytes; the rows and their help are in client_options.c. */
#ifndef TERN_CLI_CLIENT_OPTIONS_H
#define TERN_CLI_CLIENT_OPTIONS_H

#include "conf/opt.h"

enum tern_output_form {
    TERN_OUTPUT_FORM_TABLE,
    TERN_OUTPUT_FORM_JSON,
};

struct tern_models_options {
    struct tern_str url;
    uint64_t timeout_ns;
    enum tern_output_form form;
    struct tern_opt_list load;
    struct tern_opt_list unload;
    bool config; /* print the configuration of the models named */
};

struct tern_schedule_options {
    struct tern_str url;
    uint64_t timeout_ns;
    uint64_t model_version;
    enum tern_output_form form;
};

struct tern_bench_options {
    struct tern_str url;
    uint64_t timeout_ns;
    uint64_t model_version;
    struct tern_str data;     /* file of rows; empty: made from the metadata */
    uint64_t rate;            /* requests a second; 0: closed loop */
    bool poisson;             /* arrivals by chance, `rate` on average */
    uint64_t seed;            /* of that chance */
    uint64_t connections;     /* opened at the start */
    uint64_t connections_max; /* open loop: so many when no one is free; less: only those */
    uint64_t threads;
    uint64_t batch;
    uint64_t requests;    /* measured; 0: until the duration is over */
    uint64_t duration_ns; /* 0: until that many requests are done */
    uint64_t warmup_ns;
    uint64_t slo_ns;        /* answers after it are late; 0: none is */
    uint64_t interval_ns;   /* of the report's slices; 0: none */
    uint64_t spin_ns;       /* waited busily before a request is due */
    uint64_t tolerance_ppm; /* of real outputs, in millionths; 0: as the data file says */
    uint64_t pid;           /* of the server; 0: not known */
    bool binary;
    enum tern_output_form form;
};

extern const struct tern_opt_table tern_models_options_table;
extern const struct tern_opt_table tern_schedule_options_table;
extern const struct tern_opt_table tern_bench_options_table;

#endif
