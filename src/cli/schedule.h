/* `tern explain-schedule MODEL`: what GET /v2/models/MODEL/schedule answers, for people. */
#ifndef TERN_CLI_SCHEDULE_H
#define TERN_CLI_SCHEDULE_H

struct tern_command_call;

/* The command `explain-schedule`. */
int tern_schedule_run(const struct tern_command_call *call);

#endif
