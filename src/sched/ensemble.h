/* Ensembles: a request to one is a graph of requests to other models. Tensors are passed by
 * reference from step to step and never copied; steps that do not depend on each other run at the
 * same time; a step whose outputs nobody wants is not run. Short steps run on the loop, one after
 * another, as any short run does. Steps behind one that answers any number of times run once for
 * each of its answers (sched/ensemble_flow.c); the request's own then go to the sink of its run.
 *
 * All steps of a request run the versions that were served when it began. Each is submitted as a
 * work of its own, with the request's priority, deadline, parameters and sequence, and passes all
 * the stages of the scheduler. Everything happens on the request's loop. */
#ifndef TERN_SCHED_ENSEMBLE_H
#define TERN_SCHED_ENSEMBLE_H

#include "sched/sched.h"

/* What a version that is an ensemble needs, to version->ensemble; and its end, after it came home.
 * The scheduler calls both. */
enum tern_code tern_ensemble_add(struct tern_model_version *version, struct tern_err *err);
void tern_ensemble_remove(struct tern_model_version *version);

/* As tern_sched_submit and tern_sched_cancel, for work of such a version. Its outputs are those of
 * its steps; what they lie in goes with the run's arena. */
void tern_ensemble_submit(struct tern_sched *sched, struct tern_work *work);
void tern_ensemble_cancel(struct tern_sched *sched, struct tern_work *work);

/* For sched/cache: mixes into the seed of a question which models the loop would ask now. False:
 * the answer is not to be remembered. */
bool tern_ensemble_mix(const struct tern_work *work, uint64_t seed[2]);

#endif
