/* Models that take sequences of requests: what stands between the gateway and the scheduler for
 * them.
 *
 * A sequence has an id, begins with a request that says START and ends with one that says END, or
 * when nothing came for it for longer than the model allows. Its requests run one after another, in
 * the order in which they came, on whatever loops they came; different sequences run side by side.
 * A version has slots for so many sequences; others wait in a backlog, in order, until a slot is
 * free, at most until the first deadline of one of their requests. Requests that wait, for their
 * sequence or for a slot, count against the bound of the version's lane.
 *
 * A START for a live sequence begins it anew. When a START is not run (its client left, its
 * deadline passed, the queue was full), neither is what was to follow it.
 *
 * The table of a version is shared by all loops, under a lock of its own. */
#ifndef TERN_SCHED_SEQUENCE_H
#define TERN_SCHED_SEQUENCE_H

#include "core/request.h"
#include "sched/sched.h"

/* For a version with `sequencing`: its table, to version->sequences; and its end, after it came
 * home. The scheduler calls both. */
enum tern_code tern_sequences_new(struct tern_sched *sched, struct tern_model_version *version,
                                  struct tern_err *err);
void tern_sequences_free(struct tern_model_version *version);

/* As tern_sched_submit and tern_sched_cancel, for work of such a version: work->sequence says which
 * one. The run gets the model's control inputs. Memory comes from the run's arena. */
void tern_sequence_submit(struct tern_sched *sched, struct tern_work *work);
void tern_sequence_cancel(struct tern_sched *sched, struct tern_work *work);

/* Whether each sequence has a row of one instance's runs (sched/sequence_direct.c); else requests
 * of different sequences are batched as any others are. */
bool tern_sequence_is_direct(const struct tern_model_version *version);

/* Requests that wait here now, and sequences that have a slot. Any thread. */
uint32_t tern_sequences_held(const struct tern_model_version *version);
uint32_t tern_sequences_live(const struct tern_model_version *version);

#endif
