/* `tern tune PATH [MODEL]`: which settings serve one model best on this machine.
 *
 * It starts a server of its own for each setting (tune_server.h), loads it as `tern bench` does,
 * and looks for the greatest rate by chance of which 99 % is answered within the SLO. All settings
 * get short looks, the better half longer ones, and so on; the best is at last measured in turns
 * with "nothing configured", and recommended only when it is better by more than the same
 * measurement differs from itself. tune_setting.h: what is tried. tune_rank.h: how it is decided.
 */
#ifndef TERN_CLI_TUNE_H
#define TERN_CLI_TUNE_H

struct tern_command_call;

/* The command `tune`. */
int tern_tune_run(const struct tern_command_call *call);

#endif
