/* Durations for people. */
#ifndef TERN_CLI_DURATION_H
#define TERN_CLI_DURATION_H

#include <stdint.h>

#define TERN_DURATION_MAX 32

/* "51.3us": three digits. Answers dst. */
const char *tern_duration_print(uint64_t ns, char dst[TERN_DURATION_MAX]);

#endif
