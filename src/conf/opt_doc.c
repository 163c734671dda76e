#include "conf/opt_doc.h"

#include <string.h>

#include <stdio.h>

#define HELP_COLUMN 34u

/* ---- help ---- */

void tern_opt_doc_wrap(struct tern_str text, uint32_t indent, uint32_t column, uint32_t width,
                       struct tern_buf *out)
{
    struct tern_str word;
    bool line_has_words = false;

    while (tern_str_split(&text, ' ', &word)) {
        if (word.n == 0)
            continue;
        if (line_has_words && column + 1 + word.n > width) {
            tern_buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
            line_has_words = false;
        }
        if (line_has_words) {
            tern_buf_add_char(out, ' ');
            column++;
        }
        tern_buf_add_str(out, word);
        column += (uint32_t)word.n;
        line_has_words = true;
    }
    tern_buf_add_char(out, '\n');
}

static const char *metavar_of(const struct tern_opt *opt)
{
    static const char *const names[] = {
        [TERN_OPT_BOOL] = "",         [TERN_OPT_UINT] = "N",       [TERN_OPT_SIZE] = "SIZE",
        [TERN_OPT_DURATION] = "TIME", [TERN_OPT_STRING] = "TEXT",  [TERN_OPT_ENUM] = "",
        [TERN_OPT_LIST] = "LIST",     [TERN_OPT_RECORDS] = "LIST",
    };
    return opt->metavar != NULL ? opt->metavar : names[opt->type];
}

/* " SIZE", " none|poll|explicit", or nothing for a bool. */
static void print_argument(const struct tern_opt *opt, struct tern_buf *out)
{
    const char *metavar = metavar_of(opt);

    if (opt->type == TERN_OPT_BOOL)
        return;
    tern_buf_add_char(out, ' ');
    if (metavar[0] != '\0' || opt->type != TERN_OPT_ENUM) {
        tern_buf_add_str(out, tern_str_of(metavar));
        return;
    }
    for (uint32_t i = 0; opt->values[i] != NULL; i++)
        tern_buf_printf(out, "%s%s", i == 0 ? "" : "|", opt->values[i]);
}

static bool is_on(const struct tern_opt *opt)
{
    return opt->type == TERN_OPT_BOOL && opt->preset != NULL && strcmp(opt->preset, "true") == 0;
}

/* The flag of a row as help shows it; answers its width on the screen. */
static uint32_t print_flag(const struct tern_opt *opt, bool colour, struct tern_buf *out)
{
    char flag[TERN_OPT_NAME_MAX];
    size_t escapes = colour ? strlen("\x1b[36m\x1b[0m") : 0;
    size_t start = out->n;

    if (opt->letter != 0)
        tern_buf_printf(out, "  %s-%c, ", colour ? "\x1b[36m" : "", opt->letter);
    else
        tern_buf_printf(out, "      %s", colour ? "\x1b[36m" : "");
    tern_opt_flag(opt, flag);
    tern_buf_printf(out, "--%s%s%s", is_on(opt) ? "[no-]" : "", flag + 2, colour ? "\x1b[0m" : "");
    print_argument(opt, out);
    return (uint32_t)(out->n - start - escapes);
}

static void print_help_text(const struct tern_opt *opt, struct tern_buf *text)
{
    tern_buf_add_str(text, tern_str_of(opt->help));
    if (opt->preset != NULL && opt->preset[0] != '\0' && opt->type != TERN_OPT_BOOL)
        tern_buf_printf(text, " [%s]", opt->preset);
}

static void print_row(const struct tern_opt *opt, const struct tern_opt_doc_style *style,
                      uint32_t width, struct tern_buf *out)
{
    struct tern_buf text;
    uint32_t column = print_flag(opt, style->colour, out);

    tern_buf_init(&text, 4096);
    print_help_text(opt, &text);
    if (column + 2 > HELP_COLUMN)
        tern_buf_printf(out, "\n%*s", (int)HELP_COLUMN, "");
    else
        tern_buf_printf(out, "%*s", (int)(HELP_COLUMN - column), "");
    tern_opt_doc_wrap(tern_buf_str(&text), HELP_COLUMN, HELP_COLUMN, width, out);
    tern_buf_fini(&text);
}

void tern_opt_doc_help(const struct tern_opt_table *table, const struct tern_opt_doc_style *style,
                       struct tern_buf *out)
{
    const char *section = NULL;

    for (uint32_t i = 0; i < table->n; i++) {
        const struct tern_opt *opt = &table->rows[i];
        if ((opt->flags & TERN_OPT_ADVANCED) != 0 && !style->all)
            continue;
        if (section == NULL || strcmp(section, opt->section) != 0) {
            section = opt->section;
            tern_buf_printf(out, "\n%s%s%s\n", style->colour ? "\x1b[1m" : "", section,
                            style->colour ? "\x1b[0m" : "");
        }
        print_row(opt, style, style->width == 0 ? 80 : style->width, out);
    }
}

/* ---- Markdown ---- */

static void add_cell(struct tern_str text, struct tern_buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '|')
            tern_buf_add_char(out, '\\');
        tern_buf_add_char(out, text.p[i]);
    }
}

static void print_markdown_row(const struct tern_opt *opt, const char *prefix, struct tern_buf *out)
{
    const char *preset = opt->preset == NULL ? "" : opt->preset;
    struct tern_buf expected;

    tern_buf_init(&expected, 1024);
    tern_opt_print_expected(opt, &expected);
    tern_buf_printf(out, "| `%s%s` | ", prefix, opt->name);
    if (opt->type == TERN_OPT_BOOL)
        tern_buf_add_str(out, is_on(opt) ? TERN_STR("`true`") : TERN_STR("`false`"));
    else if (preset[0] != '\0')
        tern_buf_printf(out, "`%s`", preset);
    TERN_BUF_ADD_LITERAL(out, " | ");
    add_cell(tern_buf_str(&expected), out);
    tern_buf_printf(out, " | %s | ", (opt->flags & TERN_OPT_RELOAD) != 0 ? "yes" : "");
    add_cell(tern_str_of(opt->help), out);
    TERN_BUF_ADD_LITERAL(out, " |\n");
    tern_buf_fini(&expected);
}

void tern_opt_doc_markdown(const struct tern_opt_table *table, struct tern_buf *out)
{
    const char *section = NULL;

    for (uint32_t i = 0; i < table->n; i++) {
        const struct tern_opt *opt = &table->rows[i];
        if (section == NULL || strcmp(section, opt->section) != 0) {
            section = opt->section;
            tern_buf_printf(out,
                            "\n## %s\n\n| option | default | accepts | reload | meaning |\n"
                            "| --- | --- | --- | --- | --- |\n",
                            section);
        }
        print_markdown_row(opt, "", out);
        for (uint32_t j = 0; opt->record != NULL && j < opt->record->n; j++) {
            char prefix[TERN_OPT_NAME_MAX + 4];
            snprintf(prefix, sizeof(prefix), "%s[].", opt->name);
            print_markdown_row(&opt->record->rows[j], prefix, out);
        }
    }
}

/* ---- difference ---- */

uint32_t tern_opt_doc_diff(const struct tern_opt_table *table, const void *before,
                           const void *after, struct tern_opt_change *ret_changes, uint32_t max)
{
    struct tern_buf was, is;
    uint32_t n = 0;

    tern_buf_init(&was, 1u << 20);
    tern_buf_init(&is, 1u << 20);
    for (uint32_t i = 0; i < table->n; i++) {
        const struct tern_opt *opt = &table->rows[i];
        tern_buf_clear(&was);
        tern_buf_clear(&is);
        tern_opt_print_whole(opt, before, &was);
        tern_opt_print_whole(opt, after, &is);
        /* Without memory to compare, a change is what must not be missed. */
        if (!was.failed && !is.failed && tern_str_eq(tern_buf_str(&was), tern_buf_str(&is)))
            continue;
        if (n < max)
            ret_changes[n] = (struct tern_opt_change){opt, (opt->flags & TERN_OPT_RELOAD) == 0};
        n++;
    }
    tern_buf_fini(&was);
    tern_buf_fini(&is);
    return n;
}

static size_t scalar_size(const struct tern_opt *opt)
{
    switch (opt->type) {
    case TERN_OPT_BOOL:
        return sizeof(bool);
    case TERN_OPT_UINT:
    case TERN_OPT_SIZE:
    case TERN_OPT_DURATION:
        return sizeof(uint64_t);
    case TERN_OPT_ENUM:
        return sizeof(int);
    case TERN_OPT_STRING:
    case TERN_OPT_LIST:
    case TERN_OPT_RECORDS:
        break;
    }
    return 0;
}

void tern_opt_doc_adopt(const struct tern_opt_table *table, void *into, const void *from)
{
    for (uint32_t i = 0; i < table->n; i++) {
        const struct tern_opt *opt = &table->rows[i];
        if ((opt->flags & TERN_OPT_RELOAD) != 0)
            memcpy((char *)into + opt->offset, (const char *)from + opt->offset, scalar_size(opt));
    }
}
