#include "explain/plan.h"

#include <math.h>
#include <string.h>
#include "base/hash.h"
#include "explain/draw.h"

#define USUAL_SAMPLES 2048
#define ALL_SETS_MAX  30 /* features: with more, 2^m sets are out of reach anyway */

/* ---- sets ---- */

static uint64_t *set_of(const struct tern_plan *plan, uint32_t i)
{
    return plan->sets + (size_t)i * plan->words;
}

static void add_feature(uint64_t *set, uint32_t feature)
{
    set[feature / 64] |= UINT64_C(1) << (feature % 64);
}

uint32_t tern_plan_absent(const struct tern_plan *plan, uint32_t i, uint32_t *features)
{
    const uint64_t *set = set_of(plan, i);
    uint32_t n = 0;

    for (uint32_t f = 0; f < plan->m; f++) {
        features[n] = f;
        n += (set[f / 64] >> (f % 64) & 1) == 0;
    }
    return n;
}

static enum tern_code take_memory(struct tern_plan *plan, uint32_t m, uint64_t n,
                                  struct tern_arena *arena, struct tern_err *err)
{
    *plan = (struct tern_plan){.m = m, .words = (m + 63) / 64};
    plan->sets = tern_arena_zalloc(arena, n, plan->words * sizeof(*plan->sets));
    plan->weights = tern_arena_zalloc(arena, n, sizeof(*plan->weights));
    if (plan->sets == NULL || plan->weights == NULL)
        return tern_arena_fail(arena, err, "the coalitions of an explanation");
    return TERN_OK;
}

/* ---- KernelSHAP ---- */

uint64_t tern_plan_kernel_size(uint32_t m, uint64_t nsamples)
{
    uint64_t wanted = nsamples > 0 ? nsamples : 2 * (uint64_t)m + USUAL_SAMPLES;
    uint64_t all = m <= ALL_SETS_MAX ? (UINT64_C(1) << m) - 2 : UINT64_MAX;

    return wanted < all ? wanted : all;
}

static double choose(uint32_t m, uint32_t s)
{
    double c = 1;

    for (uint32_t i = 1; i <= s; i++)
        c = c * (m - s + i) / i;
    return round(c);
}

/* The complement of the last set, as one more. */
static void add_complement(struct tern_plan *plan)
{
    const uint64_t *set = set_of(plan, plan->n - 1);
    uint64_t *other = set_of(plan, plan->n);

    for (uint32_t w = 0; w < plan->words; w++)
        other[w] = ~set[w];
    if (plan->m % 64 != 0)
        other[plan->words - 1] &= (UINT64_C(1) << (plan->m % 64)) - 1;
    plan->weights[plan->n] = plan->weights[plan->n - 1];
    plan->n++;
}

/* All sets of size s, and their complements. */
static void add_all(struct tern_plan *plan, uint32_t s, bool is_paired, double weight,
                    uint32_t *members)
{
    for (uint32_t i = 0; i < s; i++)
        members[i] = i;
    for (;;) {
        for (uint32_t i = 0; i < s; i++)
            add_feature(set_of(plan, plan->n), members[i]);
        plan->weights[plan->n++] = weight;
        if (is_paired)
            add_complement(plan);
        uint32_t last = s;
        while (last > 0 && members[last - 1] == plan->m - s + last - 1)
            last--;
        if (last == 0)
            return;
        members[last - 1]++;
        for (uint32_t i = last; i < s; i++)
            members[i] = members[i - 1] + 1;
    }
}

/* Sizes 1 ... sizes; those up to `paired` stand for the complements' sizes, too. */
struct sizes {
    uint32_t n, paired;
    double *share;    /* of the kernel, [s - 1] */
    uint32_t n_whole; /* of which there are all sets */
};

static void weigh_sizes(struct sizes *sizes, uint32_t m)
{
    double sum = 0;

    for (uint32_t s = 1; s <= sizes->n; s++) {
        sizes->share[s - 1] = (m - 1.0) / ((double)s * (m - s)) * (s <= sizes->paired ? 2 : 1);
        sum += sizes->share[s - 1];
    }
    for (uint32_t s = 0; s < sizes->n; s++)
        sizes->share[s] /= sum;
}

/* Size by size from the outside as long as a size's share of the samples is enough for all of it.
 */
static void add_whole_sizes(struct tern_plan *plan, struct sizes *sizes, uint64_t nsamples,
                            uint32_t *scratch)
{
    double left = 1;

    for (uint32_t s = 1; s <= sizes->n; s++) {
        bool is_paired = s <= sizes->paired;
        double sets = choose(plan->m, s) * (is_paired ? 2 : 1);
        double share = sizes->share[s - 1] / left;
        double room = (double)(nsamples - plan->n);
        if (room < sets || room * share < sets * (1 - 1e-8))
            return;
        add_all(plan, s, is_paired, sizes->share[s - 1] / sets, scratch);
        sizes->n_whole = s;
        left -= sizes->share[s - 1];
    }
}

/* Where drawn sets are found again: open addressing. */
struct seen {
    uint32_t *slots; /* index + 1; 0: free */
    uint32_t mask;
};

/* The slot of the plan's set, or the free one where it belongs. */
static uint32_t *find_slot(const struct tern_plan *plan, const struct seen *seen,
                           const uint64_t *set)
{
    size_t size = plan->words * sizeof(*set);
    uint64_t at = tern_hash_bytes(tern_str_make((const char *)set, size), 0);

    for (;; at++) {
        uint32_t *slot = &seen->slots[at & seen->mask];
        if (*slot == 0 || memcmp(set_of(plan, *slot - 1), set, size) == 0)
            return slot;
    }
}

/* The size of a set that is to be drawn: each as often as its share of what is left. A pair counts
 * for two. */
static uint32_t draw_size(const struct sizes *sizes, struct tern_draw *draw)
{
    double sum = 0;

    for (uint32_t s = sizes->n_whole + 1; s <= sizes->n; s++)
        sum += sizes->share[s - 1] / (s <= sizes->paired ? 2 : 1);
    double at = tern_draw_unit(draw) * sum;
    for (uint32_t s = sizes->n_whole + 1; s < sizes->n; s++) {
        at -= sizes->share[s - 1] / (s <= sizes->paired ? 2 : 1);
        if (at < 0)
            return s;
    }
    return sizes->n;
}

static void draw_set(struct tern_plan *plan, uint32_t size, struct tern_draw *draw,
                     uint32_t *features)
{
    uint64_t *set = set_of(plan, plan->n);

    memset(set, 0, plan->words * sizeof(*set));
    for (uint32_t i = 0; i < size; i++) { /* the first steps of a shuffle */
        uint32_t at = i + tern_draw_below(draw, plan->m - i);
        uint32_t feature = features[at];
        features[at] = features[i];
        features[i] = feature;
        add_feature(set, feature);
    }
}

/* Draws until there are nsamples different sets; one that comes again counts more instead. */
static void draw_sets(struct tern_plan *plan, const struct sizes *sizes, uint64_t nsamples,
                      const struct seen *seen, struct tern_draw *draw, uint32_t *features)
{
    uint64_t tries = 4 * (nsamples - plan->n);

    for (uint32_t i = 0; i < plan->m; i++)
        features[i] = i;
    while (plan->n < nsamples && tries-- > 0) {
        uint32_t size = draw_size(sizes, draw);
        bool is_paired = size <= sizes->paired;
        draw_set(plan, size, draw, features);
        uint32_t *slot = find_slot(plan, seen, set_of(plan, plan->n));
        if (*slot == 0) {
            *slot = plan->n + 1;
            plan->weights[plan->n++] = 1;
            if (is_paired && plan->n < nsamples)
                add_complement(plan);
        } else {
            uint32_t at = *slot - 1;
            plan->weights[at]++;
            if (is_paired && at + 1 < plan->n)
                plan->weights[at + 1]++; /* its complement stands behind it */
        }
    }
}

static enum tern_code add_drawn(struct tern_plan *plan, const struct sizes *sizes,
                                uint64_t nsamples, uint64_t seed, uint32_t *scratch,
                                struct tern_arena *arena, struct tern_err *err)
{
    uint32_t first = plan->n, slots = 16;
    struct tern_draw draw = {seed};
    double left = 0, drawn = 0;

    if (plan->n >= nsamples || sizes->n_whole == sizes->n)
        return TERN_OK;
    while (slots < 2 * (nsamples - plan->n))
        slots *= 2;
    const struct seen seen = {tern_arena_zalloc(arena, slots, sizeof(uint32_t)), slots - 1};
    if (seen.slots == NULL)
        return tern_arena_fail(arena, err, "the coalitions of an explanation");
    draw_sets(plan, sizes, nsamples, &seen, &draw, scratch);
    for (uint32_t s = sizes->n_whole; s < sizes->n; s++)
        left += sizes->share[s];
    for (uint32_t i = first; i < plan->n; i++)
        drawn += plan->weights[i];
    for (uint32_t i = first; i < plan->n; i++)
        plan->weights[i] *= left / drawn;
    return TERN_OK;
}

enum tern_code tern_plan_kernel(struct tern_plan *plan, uint32_t m, uint64_t nsamples,
                                uint64_t seed, struct tern_arena *arena, struct tern_err *err)
{
    uint64_t n = tern_plan_kernel_size(m, nsamples);
    struct sizes sizes = {.n = m / 2, .paired = (m - 1) / 2};

    /* One more: where a set is drawn before it is known to be new. */
    TERN_TRY(take_memory(plan, m, n + 1, arena, err));
    sizes.share = tern_arena_zalloc(arena, sizes.n, sizeof(*sizes.share));
    uint32_t *scratch = tern_arena_zalloc(arena, m, sizeof(*scratch));
    if (sizes.share == NULL || scratch == NULL)
        return tern_arena_fail(arena, err, "the coalitions of an explanation");
    weigh_sizes(&sizes, m);
    add_whole_sizes(plan, &sizes, n, scratch);
    return add_drawn(plan, &sizes, n, seed, scratch, arena, err);
}

/* ---- orders ---- */

static void add_order(struct tern_plan *plan, const uint32_t *order, bool is_back)
{
    uint32_t m = plan->m;

    for (uint32_t i = 1; i < m; i++) {
        uint64_t *set = set_of(plan, plan->n++);
        if (i > 1)
            memcpy(set, set - plan->words, plan->words * sizeof(*set));
        add_feature(set, is_back ? order[m - i] : order[i - 1]);
    }
}

enum tern_code tern_plan_orders(struct tern_plan *plan, uint32_t m, uint32_t n_orders,
                                uint64_t seed, struct tern_arena *arena, struct tern_err *err)
{
    struct tern_draw draw = {seed};

    TERN_TRY(take_memory(plan, m, (uint64_t)n_orders * 2 * (m - 1), arena, err));
    plan->orders = tern_arena_zalloc(arena, (size_t)n_orders * m, sizeof(*plan->orders));
    if (plan->orders == NULL)
        return tern_arena_fail(arena, err, "the orders of an explanation");
    plan->n_orders = n_orders;
    for (uint32_t o = 0; o < n_orders; o++) {
        uint32_t *order = plan->orders + (size_t)o * m;
        for (uint32_t i = 0; i < m; i++)
            order[i] = i;
        tern_draw_shuffle(&draw, order, m);
        add_order(plan, order, false);
        add_order(plan, order, true);
    }
    return TERN_OK;
}
