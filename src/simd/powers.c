#include "simd/powers.h"

const struct tern_power tern_powers[TERN_POWERS_MAX - TERN_POWERS_MIN + 1] = {
#include "simd/powers_table.h"
};
