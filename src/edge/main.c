/* The program around one model: rows as CSV from a file or the standard input, predictions as CSV
 * to the standard output; or how long a row takes. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "edge/edge.h"

#define LINE_MAX_BYTES (1u << 20)
#define BENCH_RUNS     20001
#define BENCH_ROWS     1000
#define BENCH_BYTES    ((size_t)16 << 20)

static const struct tern_edge_model *const model = &tern_edge_model;

union number {
    float f32;
    double f64;
    int32_t i32;
    int64_t i64;
    const char *text;
};

/* One row: an array an input, and the answer. */
struct row {
    const void **inputs;
    union number *columns; /* one a column; inputs point into it */
    char *answer;
};

static size_t in_size(const struct tern_edge_port *port)
{
    return port->dtype == TERN_DTYPE_BYTES ? sizeof(char *) : tern_dtype_size(port->dtype);
}

static size_t out_size(void)
{
    return model->output.dtype == TERN_DTYPE_BYTES ? model->text_bytes
                                                   : tern_dtype_size(model->output.dtype);
}

static int row_new(struct row *row)
{
    size_t n_answers = model->output.n;

    row->inputs = malloc(model->n_inputs * sizeof(*row->inputs));
    row->columns = malloc(model->n_columns * sizeof(*row->columns));
    row->answer = malloc(n_answers * out_size());
    if (row->inputs == NULL || row->columns == NULL || row->answer == NULL)
        return -1;
    union number *at = row->columns;
    for (uint32_t i = 0; i < model->n_inputs; i++) {
        row->inputs[i] = at;
        at += model->inputs[i].n;
    }
    return 0;
}

static void row_free(struct row *row)
{
    free((void *)row->inputs);
    free(row->columns);
    free(row->answer);
}

/* ---- CSV ---- */

/* A text up to the next comma, in place; between quotes it may hold commas, and "" is a quote. */
static char *read_text(char *at, union number *value)
{
    char *to = at;
    int is_quoted = *at == '"';

    value->text = at;
    if (!is_quoted) {
        at += strcspn(at, ",");
        return at;
    }
    for (at++; *at != '\0'; at++) {
        if (*at == '"' && *++at != '"')
            break;
        *to++ = *at;
    }
    at += strcspn(at, ",");
    *to = '\0';
    return at;
}

/* Decimal digits; where they are no whole number of that size, nothing is read. */
static char *read_whole(char *at, enum tern_dtype dtype, union number *value)
{
    char *p = at + (*at == '-' || *at == '+');
    int64_t whole = 0, sign = *at == '-' ? -1 : 1;

    if (*p < '0' || *p > '9')
        return at;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, sign * (*p - '0'), &whole))
            return at;
    }
    if (dtype == TERN_DTYPE_INT64)
        value->i64 = whole;
    else if (whole == (int32_t)whole)
        value->i32 = (int32_t)whole;
    else
        return at;
    return p;
}

/* One number of a line. Nothing between two commas is missing, which whole numbers cannot be. */
static char *read_number(char *at, enum tern_dtype dtype, union number *value)
{
    char *p = at + strspn(at, " \t"), *end = p;
    int is_float = dtype == TERN_DTYPE_FP32 || dtype == TERN_DTYPE_FP64;

    if (is_float && (*p == ',' || *p == '\0')) {
        if (dtype == TERN_DTYPE_FP32)
            value->f32 = NAN;
        else
            value->f64 = (double)NAN;
        return p;
    }
    if (dtype == TERN_DTYPE_FP32)
        value->f32 = strtof(p, &end);
    else if (dtype == TERN_DTYPE_FP64)
        value->f64 = strtod(p, &end);
    else
        end = read_whole(p, dtype, value);
    return end == p ? NULL : end + strspn(end, " \t");
}

static int read_input(const struct tern_edge_port *port, char **line, size_t number,
                      uint32_t *column, char *to)
{
    for (uint32_t i = 0; i < port->n; i++, to += in_size(port)) {
        union number value = {.f64 = 0};
        char *end = port->dtype == TERN_DTYPE_BYTES ? read_text(*line, &value)
                                                    : read_number(*line, port->dtype, &value);
        ++*column;
        if (end == NULL || (*end != ',' && *end != '\0')) {
            fprintf(stderr, "line %zu, column %u: expected a number\n", number, *column);
            return -1;
        }
        if (*end == '\0' && *column < model->n_columns) {
            fprintf(stderr, "line %zu: expected %u columns, got %u\n", number, model->n_columns,
                    *column);
            return -1;
        }
        memcpy(to, &value, in_size(port));
        *line = end;
        if (*end == ',')
            *(*line)++ = '\0';
    }
    return 0;
}

/* Texts of the row stay in the line. */
static int read_row(char *line, size_t number, struct row *row)
{
    union number *to = row->columns;
    uint32_t column = 0;

    line[strcspn(line, "\r\n")] = '\0';
    for (uint32_t i = 0; i < model->n_inputs; i++) {
        if (read_input(&model->inputs[i], &line, number, &column, (char *)to) != 0)
            return -1;
        to += model->inputs[i].n;
    }
    if (*line == '\0')
        return 0;
    fprintf(stderr, "line %zu: expected %u columns, got more\n", number, model->n_columns);
    return -1;
}

static void print_text(const char *text)
{
    int is_plain = *text != '\0' && strpbrk(text, ",\"\r\n") == NULL;

    if (is_plain) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

/* Digits that read back as the same number. */
static void print_value(const char *at)
{
    enum tern_dtype dtype = model->output.dtype;
    union number value;

    if (dtype == TERN_DTYPE_BYTES) {
        print_text(at);
        return;
    }
    memcpy(&value, at, tern_dtype_size(dtype));
    if (dtype == TERN_DTYPE_FP32)
        printf("%.9g", (double)value.f32);
    else if (dtype == TERN_DTYPE_FP64)
        printf("%.17g", value.f64);
    else
        printf("%lld", dtype == TERN_DTYPE_INT32 ? (long long)value.i32 : (long long)value.i64);
}

static int predict(struct row *row, size_t number)
{
    if (tern_edge_run(model, row->inputs, 1, row->answer, NULL) != 0) {
        fprintf(stderr, "line %zu: the model does not take this row\n", number);
        return -1;
    }
    for (uint32_t i = 0; i < model->output.n; i++) {
        if (i > 0)
            putchar(',');
        print_value(row->answer + i * out_size());
    }
    putchar('\n');
    return 0;
}

/* Whether a first line says what the columns are called: where there are numbers, it begins with
 * none. */
static int is_names(const char *line)
{
    const char *begin = line + strspn(line, " \t");
    char *end;

    if (model->inputs[0].dtype == TERN_DTYPE_BYTES) {
        const char *name = tern_edge_feature_name(model, 0);
        return name != NULL && strlen(name) == strcspn(begin, ",\r\n") &&
               strncmp(begin, name, strlen(name)) == 0;
    }
    (void)strtod(begin, &end);
    return end == begin && *begin != ',' && *begin != '\0';
}

static int predict_lines(FILE *in, char *line, struct row *row)
{
    size_t number = 0;

    while (fgets(line, LINE_MAX_BYTES, in) != NULL) {
        number++;
        if (line[0] == '\n' || (number == 1 && is_names(line)))
            continue;
        if (read_row(line, number, row) != 0 || predict(row, number) != 0)
            return EXIT_FAILURE;
    }
    return ferror(in) || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- how long it takes ---- */

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Rows that differ from run to run, as a processor's guesses find them outside of a bench. */
static void fill_row(struct row *row, uint64_t *random)
{
    union number *input = row->columns;

    for (uint32_t i = 0; i < model->n_inputs; i++) {
        const struct tern_edge_port *port = &model->inputs[i];
        char *to = (char *)input;
        input += port->n;
        for (uint32_t k = 0; k < port->n; k++, to += in_size(port)) {
            union number value = {.text = "text"};
            *random = *random * 6364136223846793005u + 1442695040888963407u;
            double v = (double)(*random >> 40) * 0x1p-21 - 4;
            if (port->dtype == TERN_DTYPE_FP32)
                value.f32 = (float)v;
            else if (port->dtype == TERN_DTYPE_FP64)
                value.f64 = v;
            else if (port->dtype != TERN_DTYPE_BYTES)
                value.i64 = (int64_t)v;
            memcpy(to, &value, in_size(port));
        }
    }
}

/* The lines of a file, one after another; what does not fit is left out. */
static int read_lines(FILE *in, char *line, char *bytes, char **lines)
{
    char *at = bytes;
    int n = 0;

    for (int first = 1; n < BENCH_ROWS && fgets(line, LINE_MAX_BYTES, in) != NULL; first = 0) {
        size_t size = strlen(line) + 1;
        if (line[0] == '\n' || (first && is_names(line)))
            continue;
        if (size > BENCH_BYTES - (size_t)(at - bytes))
            break;
        lines[n++] = memcpy(at, line, size);
        at += size;
    }
    return n;
}

/* The most memory since the program began: ru_maxrss counts what its parent was, too. */
static long resident_kb(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    long kb = 0;

    if (status == NULL)
        return 0;
    while (fgets(line, sizeof(line), status) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0)
            kb = (long)strtod(line + 6, NULL);
    }
    fclose(status);
    return kb;
}

/* Over the rows of a file, or random ones. */
static int bench(FILE *in, char *line, struct row *row)
{
    static uint64_t took[BENCH_RUNS];
    static char *lines[BENCH_ROWS];
    uint64_t random = 1, nothing = UINT64_MAX;
    char *bytes = in == NULL ? NULL : malloc(BENCH_BYTES);
    int n = 0, code = EXIT_SUCCESS;

    /* What one row takes: the rows of the file are the bench's, not the model's. */
    fill_row(row, &random);
    (void)tern_edge_run(model, row->inputs, 1, row->answer, NULL);
    long kb = resident_kb();
    if (bytes != NULL)
        n = read_lines(in, line, bytes, lines);
    for (int i = 0; i < 100; i++) {
        uint64_t begin = now_ns(), end = now_ns();
        nothing = end - begin < nothing ? end - begin : nothing;
    }
    for (int i = 0; i < BENCH_RUNS && code == EXIT_SUCCESS; i++) {
        if (n == 0)
            fill_row(row, &random);
        else if (read_row(memcpy(line, lines[i % n], strlen(lines[i % n]) + 1), 1, row) != 0)
            code = EXIT_FAILURE;
        uint64_t begin = now_ns();
        if (tern_edge_run(model, row->inputs, 1, row->answer, NULL) != 0)
            code = EXIT_FAILURE;
        uint64_t end = now_ns();
        took[i] = end - begin > nothing ? end - begin - nothing : 0;
    }
    free(bytes);
    if (code != EXIT_SUCCESS) {
        fprintf(stderr, "the model does not take the rows\n");
        return code;
    }
    qsort(took, BENCH_RUNS, sizeof(took[0]), compare);
    printf("p50_ns=%llu p99_ns=%llu rss_kb=%ld\n", (unsigned long long)took[BENCH_RUNS / 2],
           (unsigned long long)took[BENCH_RUNS / 100 * 99], kb);
    return EXIT_SUCCESS;
}

static int usage(const char *name)
{
    fprintf(
        stderr,
        "usage: %s [FILE]           CSV of %u columns in, %u out; without FILE: standard input\n"
        "       %s --bench [FILE]   how long one row takes, of the file or random\n"
        "       %s --names          what the columns are called\n",
        name, model->n_columns, model->output.n, name, name);
    return 2;
}

static int names(void)
{
    printf("%s, version %lld\n", model->name, (long long)model->version);
    for (uint32_t i = 0; i < model->n_columns; i++) {
        const char *name = tern_edge_feature_name(model, i);
        printf("%u %s\n", i, name != NULL ? name : "-");
    }
    return EXIT_SUCCESS;
}

static int run(const char *path, int is_bench, struct row *row)
{
    static char line[LINE_MAX_BYTES];
    FILE *in = path != NULL ? fopen(path, "r") : is_bench ? NULL : stdin;

    if (path != NULL && in == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return EXIT_FAILURE;
    }
    int code = is_bench ? bench(in, line, row) : predict_lines(in, line, row);
    if (path != NULL)
        fclose(in);
    return code;
}

int main(int argc, char **argv)
{
    const char *first = argc > 1 ? argv[1] : NULL;
    int is_bench = first != NULL && strcmp(first, "--bench") == 0;
    struct row row;

    if (argc == 2 && first != NULL && strcmp(first, "--names") == 0)
        return names();
    if (argc > 2 + is_bench || (first != NULL && first[0] == '-' && !is_bench))
        return usage(argv[0]);
    int code = EXIT_FAILURE;
    if (row_new(&row) == 0)
        code = run(argc > 1 + is_bench ? argv[1 + is_bench] : NULL, is_bench, &row);
    row_free(&row);
    return code;
}
