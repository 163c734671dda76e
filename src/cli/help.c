#include "cli/help.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "cli/commands.h"
#include "cli/triton_flags.h"
#include "conf/server_options.h"

#define WIDTH_DEFAULT 80u
#define WIDTH_MAX     100u

struct tern_opt_doc_style tern_help_style(FILE *stream)
{
    struct tern_opt_doc_style style = {.width = WIDTH_DEFAULT};
    const char *term = getenv("TERM");
    struct winsize size;
    int fd = fileno(stream);

    if (!isatty(fd))
        return style;
    style.colour = getenv("NO_COLOR") == NULL && (term == NULL || strcmp(term, "dumb") != 0);
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 60)
        style.width = size.ws_col > WIDTH_MAX ? WIDTH_MAX : size.ws_col;
    return style;
}

static void heading(const char *text, const struct tern_opt_doc_style *style, struct tern_buf *out)
{
    tern_buf_printf(out, "\n%s%s%s\n", style->colour ? "\x1b[1m" : "", text,
                    style->colour ? "\x1b[0m" : "");
}

/* Paragraphs, each wrapped. */
static void paragraphs(const char *text, uint32_t indent, const struct tern_opt_doc_style *style,
                       struct tern_buf *out)
{
    struct tern_str rest = tern_str_of(text);
    struct tern_str line;

    while (rest.n > 0 && tern_str_split(&rest, '\n', &line)) {
        tern_buf_printf(out, "%*s", (int)indent, "");
        tern_opt_doc_wrap(line, indent, indent, style->width, out);
    }
}

static void lines(const char *text, const char *prefix, struct tern_buf *out)
{
    struct tern_str rest = tern_str_of(text);
    struct tern_str line;

    while (tern_str_split(&rest, '\n', &line) && line.n > 0)
        tern_buf_printf(out, "%s%.*s\n", prefix, TERN_STR_ARG(line));
}

void tern_help_overview(const char *version, const struct tern_opt_doc_style *style,
                        struct tern_buf *out)
{
    struct tern_str first;
    struct tern_str rest = tern_str_of(version);

    tern_str_split(&rest, '\n', &first);
    tern_buf_printf(out,
                    "%.*s: serves trained models over HTTP and gRPC. One program, nothing to "
                    "configure.\n",
                    TERN_STR_ARG(first));
    heading("Start here", style, out);
    TERN_BUF_ADD_LITERAL(out,
                         "  tern serve examples/models              serve every model of a folder\n"
                         "  tern infer iris examples/data/iris.csv  ask it for predictions\n");
    heading("Commands", style, out);
    for (uint32_t i = 0; i < tern_commands_n; i++) {
        const struct tern_command *c = &tern_commands[i];
        char usage[40];
        snprintf(usage, sizeof(usage), "%s %s", c->name, c->args);
        if (!c->hidden)
            tern_buf_printf(out, "  %-20s  %s\n", usage, c->summary);
    }
    TERN_BUF_ADD_LITERAL(out,
                         "\n`tern help COMMAND` shows its options, `tern help options` all of the "
                         "server's,\n`tern help sample` a commented tern.yaml.\n");
}

static void command_page(const struct tern_command *command, const struct tern_opt_doc_style *style,
                         struct tern_buf *out)
{
    tern_buf_printf(out, "%s.\n\nUsage: tern %s%s%s%s\n", command->summary, command->name,
                    command->args[0] == '\0' ? "" : " ", command->args,
                    command->options == NULL ? "" : " [OPTIONS]");
    if (command->help[0] != '\0') {
        tern_buf_add_char(out, '\n');
        paragraphs(command->help, 0, style, out);
    }
    if (command->examples != NULL) {
        heading("Examples", style, out);
        lines(command->examples, "  ", out);
    }
    if (command->options != NULL)
        tern_opt_doc_help(command->options, style, out);
    if (command->reads_file)
        TERN_BUF_ADD_LITERAL(out, "\n`tern help options` shows the rest: limits and time-outs.\n");
}

/* ---- topics ---- */

static void options_topic(const struct tern_opt_doc_style *style, struct tern_buf *out)
{
    struct tern_opt_doc_style all = *style;

    all.all = true;
    TERN_BUF_ADD_LITERAL(out,
                         "Every option of the server. --http-body-max is also TERN_HTTP_BODY_MAX, "
                         "and in\ntern.yaml  http: {body_max: ...}. Defaults stand in brackets.\n");
    tern_opt_doc_help(&tern_server_options_table, &all, out);
}

static void exit_codes_topic(const struct tern_opt_doc_style *style, struct tern_buf *out)
{
    (void)style;
#define X(name, number, help) tern_buf_printf(out, "%3d  %s\n", number, help);
    TERN_EXITS(X)
#undef X
}

static void sample_topic(const struct tern_opt_doc_style *style, struct tern_buf *out)
{
    (void)style;
    tern_opt_doc_sample(&tern_server_options_table, out);
}

static void schema_topic(const struct tern_opt_doc_style *style, struct tern_buf *out)
{
    (void)style;
    tern_opt_doc_schema(&tern_server_options_table, out);
}

static void triton_topic(const struct tern_opt_doc_style *style, struct tern_buf *out)
{
    tern_triton_flags_help(style, out);
}

struct topic {
    const char *name;
    void (*print)(const struct tern_opt_doc_style *style, struct tern_buf *out);
};

static const struct topic topics[] = {
    {"options", options_topic}, {"exit-codes", exit_codes_topic}, {"sample", sample_topic},
    {"schema", schema_topic},   {"triton", triton_topic},
};

static const char *topic_name(const void *user, uint32_t i, char *scratch)
{
    (void)user;
    (void)scratch;
    return i < tern_commands_n ? tern_commands[i].name : topics[i - tern_commands_n].name;
}

bool tern_help_topic(struct tern_str topic, const struct tern_opt_doc_style *style,
                     struct tern_buf *out)
{
    const struct tern_command *command = tern_command_find(topic);
    char scratch[TERN_OPT_NAME_MAX];

    if (command != NULL) {
        command_page(command, style, out);
        return true;
    }
    for (size_t i = 0; i < TERN_COUNT_OF(topics); i++) {
        if (tern_str_eq(topic, tern_str_of(topics[i].name))) {
            topics[i].print(style, out);
            return true;
        }
    }
    const char *near = tern_opt_nearest(topic, tern_commands_n + (uint32_t)TERN_COUNT_OF(topics),
                                        topic_name, NULL, scratch);
    tern_buf_printf(out, "tern help: no such command or topic: \"%.*s\"%s%s%s\n",
                    TERN_STR_ARG(topic), near == NULL ? "" : ", did you mean ",
                    near == NULL ? "" : near, near == NULL ? "" : "?");
    return false;
}

/* ---- pages of doc/ ---- */

void tern_help_options_page(struct tern_buf *out)
{
    TERN_BUF_ADD_LITERAL(
        out,
        "# Options of the server\n\n"
        "One name, three places. `http.body_max` is the flag `--http-body-max`, the variable\n"
        "`TERN_HTTP_BODY_MAX`, and in `tern.yaml` either of\n\n"
        "```yaml\nhttp:\n  body_max: 64MiB\nhttp.body_max: 64MiB\n```\n\n"
        "A flag wins over a variable, a variable over the file, the file over the default. Sizes "
        "take "
        "`KiB`,\n`MiB`, `GiB` (or `k`, `m`, `g`), times `us`, `ms`, `s`, `m`, `h`. A bool flag "
        "stands "
        "alone;\n`--no-NAME` turns it off. Options marked *reload* take effect on SIGHUP, the "
        "others "
        "at the next start.\nEvery mistake is reported at once, with its place. `tern help sample` "
        "prints a commented\n`tern.yaml`, `tern help schema` its JSON Schema for editors.\n\n"
        "This page is generated from `src/conf/server_options.c`; a test compares the two\n"
        "(`TERN_UPDATE=1 make test-unit` writes it anew).\n");
    tern_opt_doc_markdown(&tern_server_options_table, out);
}

static void command_section(const struct tern_command *c, struct tern_buf *out)
{
    tern_buf_printf(out, "\n# tern %s%s%s\n\n%s.\n", c->name, c->args[0] == '\0' ? "" : " ",
                    c->args, c->summary);
    if (c->help[0] != '\0') {
        struct tern_opt_doc_style style = {.width = 100};
        tern_buf_add_char(out, '\n');
        paragraphs(c->help, 0, &style, out);
    }
    if (c->examples != NULL) {
        TERN_BUF_ADD_LITERAL(out, "\n```sh\n");
        lines(c->examples, "", out);
        TERN_BUF_ADD_LITERAL(out, "```\n");
    }
    if (c->reads_file)
        TERN_BUF_ADD_LITERAL(out, "\nOptions: [options.md](options.md).\n");
    else if (c->options != NULL)
        tern_opt_doc_markdown(c->options, out);
}

void tern_help_commands_page(struct tern_buf *out)
{
    TERN_BUF_ADD_LITERAL(
        out, "# Commands\n\n"
             "Generated from `src/cli/commands_table.c` and `src/cli/client_options.c`; a "
             "test compares\n(`TERN_UPDATE=1 make test-unit` writes it anew).\n\n"
             "| exit status | meaning |\n| --- | --- |\n");
#define X(name, number, help) tern_buf_printf(out, "| %d | %s |\n", number, help);
    TERN_EXITS(X)
#undef X
    for (uint32_t i = 0; i < tern_commands_n; i++) {
        if (!tern_commands[i].hidden)
            command_section(&tern_commands[i], out);
    }
}

void tern_help_triton_page(struct tern_buf *out)
{
    TERN_BUF_ADD_LITERAL(
        out, "# Triton's flags\n\n"
             "What `tern serve --persona triton` does with each ([moving from Triton](triton.md)). "
             "A flag\nwithout effect is accepted, and named in the log at start.\n\n"
             "Generated from `src/cli/triton_flags.c`; a test compares the two\n"
             "(`TERN_UPDATE=1 make test-unit` writes it anew).\n\n");
    tern_triton_flags_page(out);
}
