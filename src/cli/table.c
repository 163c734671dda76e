#include "cli/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GAP 2 /* spaces between columns */

void tern_table_init(struct tern_table *table, struct tern_arena *arena)
{
    *table = (struct tern_table){.arena = arena};
    tern_table_row(table); /* the titles */
}

void tern_table_row(struct tern_table *table)
{
    struct tern_table_row *row = tern_arena_zalloc(table->arena, 1, sizeof(*row));

    table->at = 0;
    if (row == NULL) {
        table->failed = true;
        return;
    }
    if (table->last == NULL)
        table->first = row;
    else
        table->last->next = row;
    table->last = row;
}

/* A copy without control bytes, cut to TERN_TABLE_CELL_MAX characters. */
static void fill(struct tern_table *table, struct tern_table_cell *cell, struct tern_str text)
{
    char *copy = tern_arena_alloc(table->arena, 1, text.n + 3);
    size_t n = 0, width = 0;

    if (copy == NULL) {
        table->failed = true;
        return;
    }
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool begins = (c & 0xc0) != 0x80; /* a character, in UTF-8 */
        if (begins && width == TERN_TABLE_CELL_MAX) {
            for (int dot = 0; dot < 3; dot++)
                copy[n++] = '.';
            width += 3;
            break;
        }
        width += begins;
        copy[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    cell->text = tern_str_make(copy, n);
    cell->width = width;
}

void tern_table_column(struct tern_table *table, const char *title, bool numbers)
{
    if (table->columns == TERN_TABLE_COLUMNS_MAX || table->failed)
        return;
    struct tern_table_cell *cell = &table->first->cells[table->columns];
    fill(table, cell, tern_str_of(title));
    cell->tone = TERN_TONE_QUIET;
    table->right[table->columns++] = numbers;
}

void tern_table_cell(struct tern_table *table, enum tern_table_tone tone, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    if (table->failed || table->at == table->columns)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    struct tern_table_cell *cell = &table->last->cells[table->at++];
    fill(table, cell, tern_str_of(text));
    cell->tone = tone;
}

const char *tern_table_begin(enum tern_table_tone tone, bool colour)
{
    static const char *const codes[] = {
        [TERN_TONE_PLAIN] = "",        [TERN_TONE_GOOD] = "\033[32m",  [TERN_TONE_BAD] = "\033[31m",
        [TERN_TONE_QUIET] = "\033[2m", [TERN_TONE_STRONG] = "\033[1m",
    };
    return colour ? codes[tone] : "";
}

const char *tern_table_end(enum tern_table_tone tone, bool colour)
{
    return colour && tone != TERN_TONE_PLAIN ? "\033[0m" : "";
}

static void add_spaces(struct tern_buf *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tern_buf_add_char(out, ' ');
}

static void print_row(const struct tern_table *table, const struct tern_table_row *row,
                      const size_t *widths, bool colour, struct tern_buf *out)
{
    uint32_t used = table->columns;

    while (used > 0 && row->cells[used - 1].width == 0)
        used--; /* no spaces at the end of a line */
    for (uint32_t i = 0; i < used; i++) {
        const struct tern_table_cell *cell = &row->cells[i];
        size_t pad = widths[i] - cell->width;
        if (i > 0)
            add_spaces(out, GAP);
        if (table->right[i])
            add_spaces(out, pad);
        tern_buf_add_str(out, tern_str_of(tern_table_begin(cell->tone, colour)));
        tern_buf_add_str(out, cell->text);
        tern_buf_add_str(out, tern_str_of(tern_table_end(cell->tone, colour)));
        if (!table->right[i] && i + 1 < used)
            add_spaces(out, pad);
    }
    tern_buf_add_char(out, '\n');
}

void tern_table_print(const struct tern_table *table, unsigned indent, bool colour,
                      struct tern_buf *out)
{
    size_t widths[TERN_TABLE_COLUMNS_MAX] = {0};

    for (const struct tern_table_row *row = table->first; row != NULL; row = row->next) {
        for (uint32_t i = 0; i < table->columns; i++)
            widths[i] = row->cells[i].width > widths[i] ? row->cells[i].width : widths[i];
    }
    for (const struct tern_table_row *row = table->first; row != NULL; row = row->next) {
        add_spaces(out, indent);
        print_row(table, row, widths, colour, out);
    }
}

bool tern_table_colour(int fd)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return isatty(fd) == 1 && (no == NULL || no[0] == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0;
}
