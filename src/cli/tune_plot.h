/* Rate against p99 in characters: what was measured of all settings, the best compromises marked by
 * the letters of their settings. Pure. */
#ifndef TERN_CLI_TUNE_PLOT_H
#define TERN_CLI_TUNE_PLOT_H

#include "base/buf.h"
#include "cli/tune_rank.h"

/* 'a' to 'z', then 'A' to 'Z'. */
char tern_tune_letter(uint32_t setting);

/* The rate goes to the right, the p99 up by its logarithm. slo_ns: a line; 0: none. Nothing for
 * fewer than two points. */
void tern_tune_plot(const struct tern_tune_point *points, uint32_t n, uint64_t slo_ns,
                    struct tern_buf *out);

#endif
