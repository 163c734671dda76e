/* Aligned tables for terminals. Rows are collected, then printed with every column as wide as its
 * widest cell. Columns of numbers stand to the right. Colours only when the caller says that a
 * terminal is there. Texts are copied; control bytes in them become '?'. One thread at a time. */
#ifndef TERN_CLI_TABLE_H
#define TERN_CLI_TABLE_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/buf.h"

#define TERN_TABLE_COLUMNS_MAX 16
#define TERN_TABLE_CELL_MAX    100 /* characters; longer ones end in "..." */

enum tern_table_tone {
    TERN_TONE_PLAIN,
    TERN_TONE_GOOD,  /* green */
    TERN_TONE_BAD,   /* red */
    TERN_TONE_QUIET, /* dim */
    TERN_TONE_STRONG,
};

struct tern_table_cell {
    struct tern_str text; /* arena */
    size_t width;         /* in characters */
    enum tern_table_tone tone;
};

struct tern_table_row {
    struct tern_table_row *next;
    struct tern_table_cell cells[TERN_TABLE_COLUMNS_MAX];
};

struct tern_table {
    struct tern_arena *arena; /* borrowed */
    uint32_t columns;
    bool right[TERN_TABLE_COLUMNS_MAX];
    struct tern_table_row *first, *last;
    uint32_t at; /* next cell of the last row */
    bool failed; /* no memory: the table prints what it has */
};

void tern_table_init(struct tern_table *table, struct tern_arena *arena);
/* A column; before the first row. numbers: stands to the right. Columns beyond the maximum are left
 * out. */
void tern_table_column(struct tern_table *table, const char *title, bool numbers);
void tern_table_row(struct tern_table *table);
/* The next cell of the row. */
void tern_table_cell(struct tern_table *table, enum tern_table_tone tone, const char *fmt, ...)
    TERN_PRINTF(3, 4);
/* indent: spaces before each line. */
void tern_table_print(const struct tern_table *table, unsigned indent, bool colour,
                      struct tern_buf *out);
/* "\033[..m" or "" without colours; tern_table_end ends it. */
const char *tern_table_begin(enum tern_table_tone tone, bool colour);
const char *tern_table_end(enum tern_table_tone tone, bool colour);
/* Whether fd is a terminal that wants colours (NO_COLOR is not set, TERM is not "dumb"). */
bool tern_table_colour(int fd);

#endif
