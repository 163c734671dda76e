/* How many connections each client network holds, over all loops: a table of counters indexed by a
 * seeded hash of the address. Two networks may share a counter, which can only make the cap
 * stricter for both; with caps in the hundreds that needs an attacker in the same slot, whom the
 * seed hides. Lock-free, any thread. */
#ifndef TERN_NET_PEERS_H
#define TERN_NET_PEERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TERN_PEERS_SLOTS 16384u

struct tern_peers {
    uint64_t seed;
    _Atomic uint32_t max; /* connections a network */
    _Atomic uint32_t counts[TERN_PEERS_SLOTS];
};

/* Counts one more for `network` (tern_sock_addr_network) and answers its slot; false over the cap,
 * then nothing was counted. */
bool tern_peers_enter(struct tern_peers *peers, uint64_t network, uint32_t *ret_slot);
void tern_peers_leave(struct tern_peers *peers, uint32_t slot);

#endif
