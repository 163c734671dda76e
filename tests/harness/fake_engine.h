/* An engine for tests. A model is a small text file called *.fake:
 *
 *     fake            the first word of the file
 *     slow            a run takes at least a millisecond, so it never stays on a loop
 *     crawling        a run takes at least 12 milliseconds
 *     gated           each run waits in fake_engine_wait_entered / fake_engine_open
 *     broken          load fails
 *     failing         every run fails (the warm-up too)
 *     picky           a run with a negative number fails
 *     counting        each value is greater by the number of the request's parameters
 *
 * A decoupled one answers as often as its first number says: 0, 1, 2, ...; each answer has as many
 * MiB as the second one says, or one value; four values when the third one is not zero.
 *
 * Its one input is FP32 x [-1,4], its one output FP32 y [-1,4] = 2 * x. */
#ifndef TERN_TESTS_FAKE_ENGINE_H
#define TERN_TESTS_FAKE_ENGINE_H

#include "core/engine.h"

extern const struct tern_engine_ops fake_engine;

/* Loads less unloads, instances made less freed: zero when nothing leaks. */
int fake_engine_loaded(void);
int fake_engine_instances(void);
/* How often a model was loaded in all. */
int fake_engine_loads(void);
/* Gated runs: waits until `n` runs stand at the gate; lets `n` of them through (the gate counts
 * what it may still let through). Warm-up passes freely: arm the gate first. */
void fake_engine_gate(bool armed);
void fake_engine_wait_entered(int n);
void fake_engine_open(int n);

#endif
