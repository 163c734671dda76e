/* Why requests of a version wait or run as they do, for people: `tern explain-schedule`. */
#ifndef TERN_SCHED_REPORT_H
#define TERN_SCHED_REPORT_H

#include "core/schedule.h"
#include "sched/sched.h"

/* On loop `loop`'s thread: of a model that runs on the loops, what this one learned is told. All of
 * it lies in the arena. */
enum tern_code tern_sched_report(const struct tern_model_version *version, uint32_t loop,
                                 struct tern_arena *arena, struct tern_schedule *ret_report,
                                 struct tern_err *err);

#endif
