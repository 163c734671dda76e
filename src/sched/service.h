/* How long a run of n rows takes: learned for one model version and one shape bucket, from every
 * run. A row is whatever the model's cost is counted in: rows of a batch, or tokens.
 *
 * The median and the 99th percentile are kept at sizes 1, 2, 3, 4, 6, 8, 12, ... that have been
 * measured. Between two of them the time is a straight line; beyond the last, the line goes on,
 * though never steeper than proportional; a longer run never is quicker than a shorter one. One
 * measured size is enough to begin with: half of its time is then taken for the part that does not
 * grow.
 *
 * A quantile moves by a fixed fraction of itself whatever came (Robbins and Monro, 1951), so that a
 * run during which the kernel had given the processor to somebody else moves it no more than any
 * other. What lies outside of all that is usual, and comes twice in a row, is believed at once. Two
 * such runs of different sizes move all sizes: a machine that slows down slows down for all. A size
 * that once seemed slow and is avoided for it fades towards what smaller ones predict.
 *
 * No clock, no allocation, no lock: the owner guards it. */
#ifndef TERN_SCHED_SERVICE_H
#define TERN_SCHED_SERVICE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/compiler.h"

#define TERN_SERVICE_POINTS   32
#define TERN_SERVICE_ROWS_MAX 65536u /* the last size; larger ones go on from there */

struct tern_service_point {
    uint64_t p50_ns, p99_ns;
    uint32_t seen; /* runs of this size; saturates */
};

struct tern_service {
    struct tern_service_point points[TERN_SERVICE_POINTS];
    uint32_t measured;     /* a bit a point */
    uint32_t n_since_pair; /* runs since the last one of more than one row */
    uint32_t odd_point;    /* where the last run was, if it was far from what is usual ... */
    float odd_ratio;       /* ... and by what factor; 1: it was as usual */
    uint32_t n_refused;    /* works since the last run that were refused by prediction */
    bool is_flat_out;      /* more rows in a run bring nothing; see tern_service_gains */
};

_Static_assert(sizeof(struct tern_service) < 1024, "one a bucket: it has to stay small");

/* From one measured run, of the warm-up. */
void tern_service_init(struct tern_service *service, uint32_t rows, uint64_t took_ns);
/* After every run that succeeded. */
void tern_service_learn(struct tern_service *service, uint32_t rows, uint64_t took_ns);

/* Of a run of so many rows, at least 1. Never 0, never falling with rows. */
uint64_t tern_service_p50_ns(const struct tern_service *service, uint32_t rows);
uint64_t tern_service_p99_ns(const struct tern_service *service, uint32_t rows);
/* What a run is given when it has to be over in time: halfway between the two, at most a quarter
 * above the median. By simulation: with the median alone every second batch that is cut by its
 * deadline would be late, with the tail batches are so small that as much is lost; and from a tail
 * of runs that take ten times as long no batch is small enough to be safe. */
uint64_t tern_service_budget_ns(const struct tern_service *service, uint32_t rows);

/* The largest number of rows, at most max, whose budget fits into time_ns; 0: not even one. */
uint32_t tern_service_rows_within(const struct tern_service *service, uint64_t time_ns,
                                  uint32_t max);

/* Whether a run of several rows is worth waiting for them: false when the best size that was
 * measured saves less than a tenth against runs of one row (S50[2] > 1.8 S50[1]), until it saves
 * a fifth again. What nobody tries nobody learns: every few hundred runs the answer is true until
 * one with several rows has been measured. */
bool tern_service_gains(const struct tern_service *service);

/* Work was refused because of what is predicted. When that happened often and nothing has run
 * since, the prediction is in doubt: nobody would ever correct one that refuses everything. */
void tern_service_refused(struct tern_service *service);
bool tern_service_is_in_doubt(const struct tern_service *service);

/* Rows a second of one executor that runs batches of so many, back to back. */
double tern_service_capacity(const struct tern_service *service, uint32_t rows);

/* The straight line a + b n through the medians of 1 and of `rows`. */
void tern_service_line(const struct tern_service *service, uint32_t rows, double *ret_a_ns,
                       double *ret_b_ns);

/* The sizes of the table, for those who print it. */
uint32_t tern_service_point_rows(uint32_t point);

#endif
