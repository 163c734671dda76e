/* Whether more comes than can be answered, for good: what tells an overload from a burst, and from
 * many clients who each wait for their answer before they ask again.
 *
 * Requests without a deadline of their own are never refused for taking long, until this says so;
 * then they have the time that an answer usually may take (tern_policy_slo_ns), and what waited
 * longer is refused. Looked at in windows: overload begins when during two in a row somebody always
 * had waited too long and a tenth more came than was answered. A burst is over in the first;
 * clients in a closed loop cannot ask for more than is answered. It ends with a window in which
 * about as much was answered as came.
 *
 * The idea of judging a standing queue by time and not by length is CoDel's (Nichols, Jacobson
 * 2012). No clock, no lock: the owner guards it. */
#ifndef TERN_SCHED_OVERLOAD_H
#define TERN_SCHED_OVERLOAD_H

#include <stdbool.h>
#include <stdint.h>

#define TERN_OVERLOAD_WINDOW_NS UINT64_C(250000000) /* at least; or twice the time allowed */

struct tern_overload {
    uint64_t began_ns;   /* of the window; 0: there was none yet */
    uint64_t came, left; /* in it */
    bool was_calm;       /* at some moment of it nobody had waited too long */
    uint32_t n_growing;  /* windows in a row */
    bool is_on;
};

/* A request came, refused or not. oldest_ns: since when the oldest waits; 0: nobody does. True when
 * overload begins with it. */
bool tern_overload_came(struct tern_overload *overload, uint64_t now_ns, uint64_t oldest_ns,
                        uint64_t allowed_ns);
/* So many were answered by a run. */
void tern_overload_left(struct tern_overload *overload, uint32_t n);

#endif
