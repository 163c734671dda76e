/* The command line: what runs, with which options, and how mistakes end. */
// covers: cli/client_options cli/commands_table cli/complete cli/help cli/infer_options
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>
#include <sys/wait.h>

#include "cli/client_options.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/help.h"
#include "conf/server_options.h"
#include "harness/golden.h"

/* What the last run was given. */
static struct seen {
    int runs;
    struct tern_server_options serve;
    struct tern_bench_options bench;
    char first_arg[64];
    enum tern_opt_origin timeout_origin;
} seen;

static int run_serve(const struct tern_command_call *call)
{
    seen.runs++;
    seen.serve = *(const struct tern_server_options *)call->options;
    snprintf(seen.first_arg, sizeof(seen.first_arg), "%s", call->args[0].p);
    return TERN_EXIT_OK;
}

static int run_bench(const struct tern_command_call *call)
{
    seen.runs++;
    seen.bench = *(const struct tern_bench_options *)call->options;
    seen.timeout_origin = tern_opt_origin_of(call->load, "timeout");
    return TERN_EXIT_UNREACHABLE;
}

/* Runs in an empty folder, with stdout and stderr in a file that `printed` reads. */
static char folder[] = "/tmp/tern_commands_XXXXXX";
static char output_path[64];
static char printed[1 << 16];

static int run_in(char *const *environment, int argc, const char *const *argv)
{
    static const struct tern_command_row rows[] = {{"serve", run_serve}, {"bench", run_bench}};
    const struct tern_commands_program program = {rows, 2, "tern 0.0.0\nengines: none"};
    char *copy[16] = {NULL};

    for (int i = 0; i < argc; i++)
        copy[i] = (char *)(uintptr_t)argv[i];
    fflush(NULL);
    int out = dup(1), err = dup(2), here = open(".", O_RDONLY);
    FILE *f = fopen(output_path, "w+");
    assert_non_null(f);
    assert_int_equal(chdir(folder), 0);
    dup2(fileno(f), 1);
    dup2(fileno(f), 2);
    seen = (struct seen){0};
    int status = tern_commands_main(&program, argc, copy, environment);
    fflush(NULL);
    dup2(out, 1);
    dup2(err, 2);
    assert_int_equal(fchdir(here), 0);
    rewind(f);
    printed[fread(printed, 1, sizeof(printed) - 1, f)] = '\0';
    fclose(f);
    close(out);
    close(err);
    close(here);
    return status;
}

#define RUN_IN(environment, ...)                                                     \
    run_in(environment, (int)TERN_COUNT_OF(((const char *[]){"tern", __VA_ARGS__})), \
           (const char *[]){"tern", __VA_ARGS__})
static char *no_environment[] = {NULL};
#define RUN(...) RUN_IN(no_environment, __VA_ARGS__)

static void a_command_gets_its_options(void **state)
{
    (void)state;
    assert_int_equal(RUN("serve", "models", "--listen", "127.0.0.1:0", "--no-supervise"), 0);
    assert_int_equal(seen.runs, 1);
    assert_string_equal(seen.first_arg, "models");
    assert_false(seen.serve.supervise);
    assert_int_equal(seen.serve.http.body_max, 64u << 20);

    char rate[] = "TERN_RATE=50", timeout[] = "TERN_TIMEOUT=2s";
    char *environment[] = {rate, timeout, NULL};
    assert_int_equal(RUN_IN(environment, "bench", "iris", "-c", "4", "--rate=70"),
                     TERN_EXIT_UNREACHABLE);
    assert_int_equal(seen.bench.rate, 70);
    assert_int_equal(seen.bench.connections, 4);
    assert_int_equal(seen.bench.timeout_ns, 2000000000u);
    assert_int_equal(seen.timeout_origin, TERN_OPT_FROM_ENV);
}

static void tern_yaml_is_read_when_it_is_there(void **state)
{
    char path[64];
    (void)state;
    snprintf(path, sizeof(path), "%s/tern.yaml", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("http:\n  body_max: 2MiB\n  uri_maxx: 1\n", f);
    fclose(f);
    assert_int_equal(RUN("serve", "models"), TERN_EXIT_USAGE);
    assert_int_equal(seen.runs, 0);
    assert_string_equal(printed,
                        "tern serve: tern.yaml:3:3: no such option: http.uri_maxx, did you mean "
                        "http.uri_max?\n`tern help serve` lists the options.\n");
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("http:\n  body_max: 2MiB\n", f);
    fclose(f);
    assert_int_equal(RUN("serve", "models"), TERN_EXIT_OK);
    assert_int_equal(seen.serve.http.body_max, 2u << 20);
    assert_string_equal(seen.serve.config.p, "tern.yaml");
    unlink(path);
    assert_int_equal(RUN("serve", "models", "--config", "missing.yaml"), TERN_EXIT_USAGE);
    assert_non_null(strstr(printed, "tern serve: missing.yaml: "));
}

static void mistakes_end_with_usage(void **state)
{
    (void)state;
    assert_int_equal(RUN("sevre", "models"), TERN_EXIT_USAGE);
    assert_string_equal(printed, "tern: no such command: \"sevre\", did you mean `tern serve`?\n"
                                 "`tern help` lists the commands.\n");
    assert_int_equal(RUN("examples/models"), TERN_EXIT_USAGE);
    assert_non_null(strstr(printed, "did you mean `tern serve examples/models`?"));
    assert_int_equal(RUN("serve"), TERN_EXIT_USAGE);
    assert_non_null(strstr(printed, "tern serve: needs PATH...; usage: tern serve PATH...\n"));
    assert_int_equal(RUN("bench", "a", "b"), TERN_EXIT_USAGE);
    assert_non_null(strstr(printed, "too many arguments, first \"b\""));
    assert_int_equal(RUN("bench", "m", "--rat", "5"), TERN_EXIT_USAGE);
    assert_non_null(strstr(printed, "flag --rat: no such option, did you mean --rate?"));
    assert_int_equal(RUN("version", "--x"), TERN_EXIT_USAGE);
    assert_int_equal(RUN("help", "nothing-like-it"), TERN_EXIT_USAGE);
    assert_int_equal(RUN("completion", "fish"), TERN_EXIT_USAGE);
    assert_int_equal(seen.runs, 0);
}

static void help_and_version_need_nothing(void **state)
{
    static const char *const alone[] = {"tern"};
    (void)state;
    assert_int_equal(run_in(no_environment, 1, alone), TERN_EXIT_OK);
    assert_non_null(strstr(printed, "serve PATH"));
    assert_int_equal(RUN("--version"), TERN_EXIT_OK);
    assert_string_equal(printed, "tern 0.0.0\nengines: none\n");
    assert_int_equal(RUN("serve", "--help"), TERN_EXIT_OK);
    assert_non_null(strstr(printed, "Usage: tern serve PATH... [OPTIONS]"));
    assert_null(strstr(printed, "--http-uri-max"));
    assert_int_equal(RUN("help", "options"), TERN_EXIT_OK);
    assert_non_null(strstr(printed, "--http-uri-max SIZE"));
    /* Every line fits a terminal; nothing is coloured in a file. */
    for (const char *line = printed; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        assert_non_null(end);
        assert_in_range(end - line, 0, 80);
        line = end + 1;
    }
    assert_null(strchr(printed, 0x1b));
    assert_int_equal(RUN("help", "exit-codes"), TERN_EXIT_OK);
    assert_non_null(strstr(printed, "  3  the server cannot be reached"));
}

static void config_prints_what_is_in_effect(void **state)
{
    char loops[] = "TERN_LOOPS=3";
    char *environment[] = {loops, NULL};
    (void)state;
    assert_int_equal(RUN_IN(environment, "config", "--http-body-max", "2m"), TERN_EXIT_OK);
    assert_non_null(strstr(printed, "\nloops: 3  # environment\n"));
    assert_non_null(strstr(printed, "\nhttp.body_max: 2MiB  # flag\n"));
    assert_non_null(strstr(printed, "\nrequest.timeout: 1m\n"));
}

static void pages_are_current(void **state)
{
    struct tern_buf out;
    (void)state;
    tern_buf_init(&out, 1u << 20);
    tern_help_options_page(&out);
    golden_check("doc/options.md", &out);
    tern_buf_clear(&out);
    tern_help_commands_page(&out);
    golden_check("doc/commands.md", &out);
    tern_buf_fini(&out);
}

/* Sources the script in a real bash and asks it to complete `words`, the last one unfinished. */
static const char *completed(const char *script, const char *words)
{
    static char answer[4096];
    char command[512];
    int fds[2];

    snprintf(command, sizeof(command),
             "source %s; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _tern; "
             "echo \"${COMPREPLY[@]}\"",
             script, words);
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        close(fds[0]);
        execlp("bash", "bash", "--norc", "-u", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    size_t n = 0;
    for (ssize_t got = 1; got > 0; n += (size_t)got)
        got = read(fds[0], answer + n, sizeof(answer) - 1 - n);
    close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    answer[n] = '\0';
    return answer;
}

static void bash_completes(void **state)
{
    char path[80];
    struct tern_buf out;
    (void)state;
    snprintf(path, sizeof(path), "%s/completion", folder);
    tern_buf_init(&out, 1u << 20);
    tern_complete_bash(&out);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fwrite(out.p, 1, out.n, f);
    fclose(f);
    tern_buf_fini(&out);
    assert_string_equal(completed(path, "tern s"), "serve\n");
    assert_string_equal(completed(path, "tern serve --http-body-m"), "--http-body-max\n");
    assert_string_equal(completed(path, "tern serve --no-su"), "--no-supervise\n");
    assert_string_equal(completed(path, "tern serve models --log-format ''"), "auto text json\n");
    assert_string_equal(completed(path, "tern serve --log-format = t"), "text\n");
    assert_string_equal(completed(path, "tern bench iris --rat"), "--rate\n");
    assert_string_equal(completed(path, "tern help exi"), "exit-codes\n");
    assert_string_equal(completed(path, "tern serve exam"), "\n");
    unlink(path);
}

static int group_setup(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(output_path, sizeof(output_path), "%s/output", folder);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    unlink(output_path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_gets_its_options),
        cmocka_unit_test(tern_yaml_is_read_when_it_is_there),
        cmocka_unit_test(mistakes_end_with_usage),
        cmocka_unit_test(help_and_version_need_nothing),
        cmocka_unit_test(config_prints_what_is_in_effect),
        cmocka_unit_test(pages_are_current),
        cmocka_unit_test(bash_completes),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
