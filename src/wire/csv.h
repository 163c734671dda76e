/* CSV (RFC 4180) as a pull reader, strict: every record has as many fields as the first, quotes
 * stand around a whole field, quotes inside are doubled, a line ends in LF or CRLF. Blank lines
 * between records and a UTF-8 byte order mark at the start are passed over. Errors are
 * INVALID_ARGUMENT and say the line. After an error the reader must not be used again.
 *
 *     while (true) {
 *         TERN_TRY(tern_csv_next(&csv, &more, err));
 *         if (!more)
 *             break;
 *         ... csv.fields[0 .. csv.n_fields) ...
 *     }
 */
#ifndef TERN_WIRE_CSV_H
#define TERN_WIRE_CSV_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define TERN_CSV_FIELDS_MAX 65536 /* of one record */

struct tern_csv_field {
    struct tern_str text; /* a slice of the file; of the arena when it had doubled quotes */
    bool quoted;
};

struct tern_csv {
    const char *p, *end;      /* borrowed */
    struct tern_arena *arena; /* borrowed */
    char separator;
    uint32_t line;                 /* of the record that was read, from 1 */
    uint32_t next_line;            /* of p */
    uint32_t n_fields;             /* 0: no record was read yet */
    uint32_t cap_fields;           /* of the array */
    struct tern_csv_field *fields; /* the record that was read; arena */
};

/* separator: ',' or what the file uses instead (';', a tab). */
void tern_csv_init(struct tern_csv *csv, struct tern_str text, char separator,
                   struct tern_arena *arena);
/* The next record, in csv->fields. *ret_more is false at the end of the text. */
enum tern_code tern_csv_next(struct tern_csv *csv, bool *ret_more, struct tern_err *err);
/* Whether the record looks like names of columns: none of its fields is a number, and none is
 * empty. */
bool tern_csv_is_header(const struct tern_csv *csv);
/* The separator that the first line uses most, of ',' ';' and tab; ',' when it has none. */
char tern_csv_guess_separator(struct tern_str text);
/* A decimal number as spreadsheets and numpy write it: sign, digits, fraction, exponent, and with
 * `special` also nan, inf and infinity in any case. False for anything else. */
bool tern_csv_number(struct tern_str text, bool special, double *ret);

#endif
