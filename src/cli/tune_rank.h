/* How `tern tune` looks for the greatest rate and chooses among settings. Pure: no clock, no
 * chance, no memory of its own. */
#ifndef TERN_CLI_TUNE_RANK_H
#define TERN_CLI_TUNE_RANK_H

#include <stdbool.h>
#include <stdint.h>

#define TERN_TUNE_REPEATS_MAX 8u
#define TERN_TUNE_NOISE       0.03 /* what is less is no reason to configure anything */

/* The greatest rate that is kept up with, from a guess in both directions, then by halving the
 * ratio between what was kept and what was not. */
struct tern_tune_search {
    double guess;
    double step;    /* near enough: ceiling / floor; above 1 */
    double floor;   /* greatest rate that was kept; 0: none yet */
    double ceiling; /* least rate that was not; 0: none yet */
    uint32_t looks;
};

void tern_tune_search_init(struct tern_tune_search *search, double guess, double step);
/* The next rate to try; 0: `floor` is the answer (0: it keeps up with nothing). */
double tern_tune_search_next(const struct tern_tune_search *search);
void tern_tune_search_tell(struct tern_tune_search *search, double rate, bool kept);

/* Leaves the `keep` best alive, and number `always` in any case. Greater scores are better; of
 * equal ones the first. Answers how many are. */
uint32_t tern_tune_halve(const double *scores, bool *alive, uint32_t n, uint32_t always,
                         uint32_t keep);

/* One load that was answered. */
struct tern_tune_point {
    double rate;
    uint64_t p99_ns;
    uint32_t setting;
    bool on_front; /* no other has a greater rate at no larger p99 */
};

void tern_tune_front(struct tern_tune_point *points, uint32_t n);

/* What two settings that were measured in turns say. */
struct tern_tune_verdict {
    double base, other; /* medians of the scores */
    double gain;        /* other / base - 1 */
    double spread;      /* the larger of both: (most - least) / median */
    bool is_noise;      /* the gain is no more than the spread, or than TERN_TUNE_NOISE */
};

/* n: at least 1, at most TERN_TUNE_REPEATS_MAX. */
struct tern_tune_verdict tern_tune_judge(const double *base, const double *other, uint32_t n);

#endif
