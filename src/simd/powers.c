#include "simd/powers.h"

const struct tern_power tern_powers[TERN_POWERS_MAX - TERN_POWERS_MIN + 1] = {
#define TERN_POWERS_WIDE
#include "simd/powers_table.h"
#undef TERN_POWERS_WIDE
};

const double tern_powers_negative[2][TERN_POWERS_NEGATIVE_COUNT] = {
#define TERN_POWERS_NEGATIVE
#include "simd/powers_table.h"
#undef TERN_POWERS_NEGATIVE
};
