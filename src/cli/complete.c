#include "cli/complete.h"

#include "cli/commands.h"

static void add_flags(const struct tern_opt_table *table, struct tern_buf *out)
{
    char flag[TERN_OPT_NAME_MAX];

    for (uint32_t i = 0; i < table->n; i++) {
        const struct tern_opt *opt = &table->rows[i];
        tern_buf_printf(out, "%s ", tern_opt_flag(opt, flag));
        if (opt->type == TERN_OPT_BOOL && opt->preset != NULL && strcmp(opt->preset, "true") == 0)
            tern_buf_printf(out, "--no-%s ", flag + 2);
    }
    TERN_BUF_ADD_LITERAL(out, "--help");
}

/* A case arm for each command: its flags. */
static void add_commands(struct tern_buf *out)
{
    for (uint32_t i = 0; i < tern_commands_n; i++) {
        const struct tern_command *c = &tern_commands[i];
        if (c->options == NULL)
            continue;
        tern_buf_printf(out, "    %s) flags='", c->name);
        add_flags(c->options, out);
        TERN_BUF_ADD_LITERAL(out, "' ;;\n");
    }
}

/* A case arm for each flag of a command that takes one of a few words. */
static void add_values(struct tern_buf *out)
{
    char flag[TERN_OPT_NAME_MAX];

    for (uint32_t i = 0; i < tern_commands_n; i++) {
        const struct tern_opt_table *table = tern_commands[i].options;
        for (uint32_t j = 0; table != NULL && j < table->n; j++) {
            const struct tern_opt *opt = &table->rows[j];
            if (opt->type != TERN_OPT_ENUM)
                continue;
            tern_buf_printf(out, "    %s:%s) words='", tern_commands[i].name,
                            tern_opt_flag(opt, flag));
            for (uint32_t v = 0; opt->values[v] != NULL; v++)
                tern_buf_printf(out, "%s%s", v == 0 ? "" : " ", opt->values[v]);
            TERN_BUF_ADD_LITERAL(out, "' ;;\n");
        }
    }
}

void tern_complete_bash(struct tern_buf *out)
{
    TERN_BUF_ADD_LITERAL(out, "# Completion of tern for bash: source <(tern completion bash)\n"
                              "_tern() {\n"
                              "    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}\n"
                              "    local previous=${COMP_WORDS[COMP_CWORD-1]} flags='' words=''\n"
                              "    COMPREPLY=()\n"
                              "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
                              "        words='");
    for (uint32_t i = 0; i < tern_commands_n; i++)
        tern_buf_printf(out, "%s%s", i == 0 ? "" : " ", tern_commands[i].name);
    TERN_BUF_ADD_LITERAL(out,
                         "'\n"
                         "    fi\n"
                         "    # --flag=word comes as three words\n"
                         "    if [ \"$word\" = = ]; then word=''; fi\n"
                         "    if [ \"$previous\" = = ]; then previous=${COMP_WORDS[COMP_CWORD-2]}; "
                         "fi\n"
                         "    case $command in\n");
    add_commands(out);
    TERN_BUF_ADD_LITERAL(out, "    esac\n    case $command:$previous in\n");
    add_values(out);
    TERN_BUF_ADD_LITERAL(out, "    help:*) words='options exit-codes sample schema ");
    for (uint32_t i = 0; i < tern_commands_n; i++)
        tern_buf_printf(out, "%s%s", i == 0 ? "" : " ", tern_commands[i].name);
    TERN_BUF_ADD_LITERAL(out,
                         "' ;;\n"
                         "    completion:*) words=bash ;;\n"
                         "    esac\n"
                         "    if [ -n \"$words\" ]; then\n"
                         "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
                         "    elif [[ $word == -* ]]; then\n"
                         "        mapfile -t COMPREPLY < <(compgen -W \"$flags\" -- \"$word\")\n"
                         "    fi\n"
                         "}\n"
                         "complete -o default -F _tern tern\n");
}
