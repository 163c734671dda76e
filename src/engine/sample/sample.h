/* Triton's sample models, which clients are tried against: an engine without model files. The
 * configuration names the backend and gives the inputs and outputs; the folder of a version may be
 * empty.
 *
 *   identity  as many outputs as inputs; each output is the input that stands in its place. The
 *             parameter execute_delay_ms (or _us) makes a run take so long, execute_row_delay_us
 *             longer for each row (the first dimension of the first input): a model of known
 *             cost. execute_delay_kind is sleep, like a device, or spin, like the CPU.
 *             With instance_wise_delay_multiplier m the first instance takes that
 *             long, the k-th after it m k times as long.
 *   square    decoupled. Input INT32 with one element n, output INT32: n answers, each n.
 *   repeat    decoupled or not. Inputs IN INT32 [n], DELAY UINT32 [n], WAIT UINT32 [1]; outputs OUT
 * INT32 and, if there is one, IDX UINT32: n answers, the i-th DELAY[i] milliseconds after the one
 * before, with IN[i] and i. A run takes at least WAIT milliseconds. Not decoupled: the first of the
 * answers, after DELAY[0].
 *
 *   iterative_sequence  counts down, as Triton's model of that name does: input INPUT INT32 with
 * one element a row, output OUTPUT INT32. The first run gives one less than the input, the next one
 * two less, and so on until 0. Decoupled: each is an answer; else the last is. Needs
 * sequence_batching { iterative_sequence: true }. Takes the delays of identity.
 *
 * A delay ends at once when the run is cancelled. */
#ifndef TERN_ENGINE_SAMPLE_SAMPLE_H
#define TERN_ENGINE_SAMPLE_SAMPLE_H

#include "core/engine.h"

extern const struct tern_engine_ops tern_sample_identity;
extern const struct tern_engine_ops tern_sample_square;
extern const struct tern_engine_ops tern_sample_repeat;
extern const struct tern_engine_ops tern_sample_countdown;

#endif
