#include "explain/draw.h"

uint64_t tern_draw_next(struct tern_draw *draw)
{
    uint64_t z = draw->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t tern_draw_below(struct tern_draw *draw, uint32_t n)
{
    /* What would make small numbers likelier is drawn again (Lemire 2019). */
    uint64_t product = (tern_draw_next(draw) >> 32) * n;
    uint32_t least = (uint32_t)-n % n;

    while ((uint32_t)product < least)
        product = (tern_draw_next(draw) >> 32) * n;
    return (uint32_t)(product >> 32);
}

double tern_draw_unit(struct tern_draw *draw)
{
    return (double)(tern_draw_next(draw) >> 11) * 0x1p-53;
}

void tern_draw_shuffle(struct tern_draw *draw, uint32_t *rows, uint32_t n)
{
    for (uint32_t i = n; i > 1; i--) {
        uint32_t at = tern_draw_below(draw, i);
        uint32_t row = rows[i - 1];
        rows[i - 1] = rows[at];
        rows[at] = row;
    }
}
