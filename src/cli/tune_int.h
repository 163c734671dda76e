/* What the parts of `tern tune` share: what was tried and what came of it. */
#ifndef TERN_CLI_TUNE_INT_H
#define TERN_CLI_TUNE_INT_H

#include <stdio.h>
#include "cli/bench_data.h"
#include "cli/tune_options.h"
#include "cli/tune_rank.h"
#include "cli/tune_server.h"
#include "cli/tune_setting.h"

#define TERN_TUNE_POINTS_MAX 2048u

/* One load. */
struct tern_tune_look {
    double rate;     /* that was asked for */
    double answered; /* share of it, however late */
    double in_time;
    uint64_t p50_ns, p99_ns;
    double rows_a_run; /* 0: there was none */
    double cpu;        /* of all processors: 0 to 1 */
    uint64_t memory_bytes;
};

struct tern_tune_candidate {
    struct tern_tune_setting setting;
    char name[TERN_TUNE_NAME_MAX];
    char why[512];              /* it cannot be used; empty: it can */
    double score;               /* the rate, or what a p99 is worth; more is better */
    bool is_rough;              /* at least so much: it was worse than others anyway */
    struct tern_tune_look look; /* at that rate */
    double finals[TERN_TUNE_REPEATS_MAX];
};

struct tern_tune {
    const struct tern_tune_options *options;
    struct tern_tune_model model;
    struct tern_tune_server server;
    struct tern_bench_data data;
    struct tern_bench_result *result; /* of one load; owned */
    json_t *base;                     /* owned */
    uint64_t slo_ns;
    uint32_t cores;
    uint64_t single_p50_ns; /* of one request alone */
    struct tern_tune_candidate candidates[TERN_TUNE_SETTINGS_MAX];
    bool alive[TERN_TUNE_SETTINGS_MAX];
    uint32_t n;
    uint32_t n_tried; /* of the candidates */
    struct tern_tune_point points[TERN_TUNE_POINTS_MAX];
    uint32_t n_points;
    double lag_share; /* of the SLO that the generator itself was late by, at its worst */

    uint32_t best; /* besides the first; 0: there is none */
    uint32_t n_finals;
    struct tern_tune_verdict verdict; /* of best against the first; when n_finals > 0 */

    uint64_t began_ns;
    bool stopped; /* Ctrl-C */
};

/* ---- tune_measure.c ---- */

/* Starts the server with the candidate's configuration. An error of the configuration is the
 * candidate's (`why`). */
enum tern_code tern_tune_use(struct tern_tune *tune, uint32_t candidate, struct tern_err *err);
/* A load of the server that runs: `rate` by chance, or as much as that many connections bring
 * (rate 0). Looks at tune->stopped afterwards. */
enum tern_code tern_tune_load(struct tern_tune *tune, double rate, uint32_t connections,
                              uint64_t duration_ns, uint64_t seed, struct tern_tune_look *ret,
                              struct tern_err *err);
/* Sets the candidate's score by looks of that length. bar: once it is known to be less, that is
 * enough. */
enum tern_code tern_tune_measure(struct tern_tune *tune, uint32_t candidate, double guess,
                                 double step, double bar, uint64_t duration_ns, uint64_t seed,
                                 struct tern_err *err);
/* Notices a Ctrl-C that came while no load ran. */
bool tern_tune_stopped(struct tern_tune *tune);

/* ---- tune_report.c ---- */

void tern_tune_print(struct tern_tune *tune, FILE *out);

#endif
