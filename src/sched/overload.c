#include "sched/overload.h"

#include <string.h>

static bool is_growing(const struct tern_overload *overload)
{
    return overload->came > overload->left + overload->left / 10 + 1;
}

/* The end of a window. */
static void judge(struct tern_overload *overload)
{
    bool grows = is_growing(overload);

    if (overload->is_on)
        overload->is_on = grows;
    else if (grows && !overload->was_calm)
        overload->is_on = ++overload->n_growing == 2;
    else
        overload->n_growing = 0;
    if (overload->is_on)
        overload->n_growing = 0; /* the next one takes two again */
}

bool tern_overload_came(struct tern_overload *overload, uint64_t now_ns, uint64_t oldest_ns,
                        uint64_t allowed_ns)
{
    bool was_on = overload->is_on;
    uint64_t window_ns =
        allowed_ns > TERN_OVERLOAD_WINDOW_NS / 2 ? 2 * allowed_ns : TERN_OVERLOAD_WINDOW_NS;

    if (now_ns < overload->began_ns)
        now_ns = overload->began_ns; /* loops read the clock before they have their turn */
    if (now_ns - overload->began_ns >= 4 * window_ns)
        memset(overload, 0, sizeof(*overload)); /* nobody came for long */
    else if (now_ns - overload->began_ns >= window_ns)
        judge(overload);
    if (now_ns - overload->began_ns >= window_ns) {
        overload->began_ns = now_ns;
        overload->came = overload->left = 0;
        overload->was_calm = false;
    }
    overload->came++;
    overload->was_calm |= oldest_ns == 0 || now_ns <= oldest_ns + allowed_ns;
    return overload->is_on && !was_on;
}

void tern_overload_left(struct tern_overload *overload, uint32_t n)
{
    overload->left += n;
}
