/* The program: its commands, and what runs each. `serve` puts the server together, in
 * cli/serve_open.c; read that file from its end for what the server is made of. */
#include "base/compiler.h"
#include "base/version.h"
#include "cli/check.h"
#include "cli/bench.h"
#include "cli/build_edge.h"
#include "cli/commands.h"
#include "cli/explain.h"
#include "cli/infer.h"
#include "cli/models.h"
#include "cli/schedule.h"
#include "cli/serve.h"
#include "cli/tune.h"

extern char **environ;

int main(int argc, char **argv)
{
    static const struct tern_command_row rows[] = {
        {"serve", tern_serve_run},           {"check", tern_check_run},
        {"infer", tern_infer_run},           {"explain", tern_explain_run},
        {"models", tern_models_run},         {"explain-schedule", tern_schedule_run},
        {"bench", tern_bench_run},           {"tune", tern_tune_run},
        {"build-edge", tern_build_edge_run},
    };
    const struct tern_commands_program program = {
        .rows = rows,
        .n = TERN_COUNT_OF(rows),
        .version = "tern " TERN_VERSION " (" TERN_PLATFORM ")",
    };
    return tern_commands_main(&program, argc, argv, environ);
}
