/* The program around one model: rows as CSV from a file or the standard input, predictions as CSV
 * to the standard output; or how long a row takes. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include "edge/edge.h"

#define LINE_MAX_BYTES (1u << 20)
#define BENCH_RUNS     20001

static const struct tern_edge_model *const model = &tern_edge_model;

union number {
    float f32;
    double f64;
    int32_t i32;
    int64_t i64;
};

/* One value of a line. Nothing between two commas is missing. */
static int read_value(char **at, union number *value)
{
    char *end = *at, *p = *at + strspn(*at, " \t");
    int is_float = model->in == TERN_DTYPE_FP32;

    if (*p == ',' || *p == '\0') {
        end = p;
        if (is_float)
            value->f32 = NAN;
        else
            value->f64 = (double)NAN;
    } else if (is_float) {
        value->f32 = strtof(p, &end);
    } else {
        value->f64 = strtod(p, &end);
    }
    if (end == p && *p != ',' && *p != '\0')
        return -1;
    end += strspn(end, " \t");
    *at = end;
    return *end == ',' || *end == '\0' ? 0 : -1;
}

static int read_row(char *line, size_t number, char *row)
{
    size_t size = tern_dtype_size(model->in);

    line[strcspn(line, "\r\n")] = '\0';
    for (uint32_t i = 0; i < model->n_features; i++) {
        union number value = {.f64 = 0};
        if (read_value(&line, &value) != 0) {
            fprintf(stderr, "line %zu, column %u: expected a number\n", number, i + 1);
            return -1;
        }
        memcpy(row + i * size, &value, size);
        if (*line == ',')
            line++;
        else if (i + 1 < model->n_features) {
            fprintf(stderr, "line %zu: expected %u columns, got %u\n", number, model->n_features,
                    i + 1);
            return -1;
        }
    }
    if (*line == '\0')
        return 0;
    fprintf(stderr, "line %zu: expected %u columns, got more\n", number, model->n_features);
    return -1;
}

/* Digits that read back as the same number. */
static void print_value(const char *at)
{
    union number value;

    memcpy(&value, at, tern_dtype_size(model->out));
    if (model->out == TERN_DTYPE_FP32)
        printf("%.9g", (double)value.f32);
    else if (model->out == TERN_DTYPE_FP64)
        printf("%.17g", value.f64);
    else
        printf("%lld",
               model->out == TERN_DTYPE_INT32 ? (long long)value.i32 : (long long)value.i64);
}

static int predict(char *row, char *answer)
{
    if (tern_edge_run(model, row, 1, answer, NULL) != 0) {
        fprintf(stderr, "the model could not be run\n");
        return -1;
    }
    for (uint32_t i = 0; i < model->n_outputs; i++) {
        if (i > 0)
            putchar(',');
        print_value(answer + i * tern_dtype_size(model->out));
    }
    putchar('\n');
    return 0;
}

/* Whether a first line says what the columns are called. */
static int is_names(const char *line)
{
    const char *begin = line + strspn(line, " \t");
    char *end;

    (void)strtod(begin, &end);
    return end == begin && *begin != ',' && *begin != '\0';
}

static int predict_lines(FILE *in, char *line, char *row, char *answer)
{
    size_t number = 0;

    while (fgets(line, LINE_MAX_BYTES, in) != NULL) {
        number++;
        if (line[0] == '\n' || (number == 1 && is_names(line)))
            continue;
        if (read_row(line, number, row) != 0 || predict(row, answer) != 0)
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
static void fill_row(char *row, uint64_t *random)
{
    for (uint32_t i = 0; i < model->n_features; i++) {
        union number value;
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        double v = (double)(*random >> 40) * 0x1p-21 - 4;
        if (model->in == TERN_DTYPE_FP32)
            value.f32 = (float)v;
        else
            value.f64 = v;
        memcpy(row + i * tern_dtype_size(model->in), &value, tern_dtype_size(model->in));
    }
}

static int bench(char *row, char *answer)
{
    static uint64_t took[BENCH_RUNS];
    struct rusage usage;
    uint64_t random = 1, nothing = UINT64_MAX;

    for (int i = 0; i < 100; i++) {
        uint64_t begin = now_ns(), end = now_ns();
        nothing = end - begin < nothing ? end - begin : nothing;
    }
    for (int i = 0; i < BENCH_RUNS; i++) {
        fill_row(row, &random);
        uint64_t begin = now_ns();
        if (tern_edge_run(model, row, 1, answer, NULL) != 0)
            return EXIT_FAILURE;
        uint64_t end = now_ns();
        took[i] = end - begin > nothing ? end - begin - nothing : 0;
    }
    qsort(took, BENCH_RUNS, sizeof(took[0]), compare);
    getrusage(RUSAGE_SELF, &usage);
    printf("p50_ns=%llu p99_ns=%llu rss_kb=%ld\n", (unsigned long long)took[BENCH_RUNS / 2],
           (unsigned long long)took[BENCH_RUNS / 100 * 99], usage.ru_maxrss);
    return EXIT_SUCCESS;
}

static int usage(const char *name)
{
    fprintf(stderr,
            "usage: %s [FILE]    CSV of %u columns in, %u out; without FILE: standard input\n"
            "       %s --bench   how long one row takes\n"
            "       %s --names   what the columns are called\n",
            name, model->n_features, model->n_outputs, name, name);
    return 2;
}

static int names(void)
{
    printf("%s, version %lld\n", model->name, (long long)model->version);
    for (uint32_t i = 0; i < model->n_features; i++) {
        const char *name = tern_edge_feature_name(model, i);
        printf("%u %s\n", i, name != NULL ? name : "-");
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static char line[LINE_MAX_BYTES];
    FILE *in = stdin;

    if (argc > 2 || (argc == 2 && argv[1][0] == '-' && strcmp(argv[1], "--bench") != 0 &&
                     strcmp(argv[1], "--names") != 0))
        return usage(argv[0]);
    if (argc == 2 && strcmp(argv[1], "--names") == 0)
        return names();
    char *row = malloc((size_t)model->n_features * 8);
    char *answer = malloc((size_t)model->n_outputs * 8);
    int exit_code = EXIT_FAILURE;
    if (row != NULL && answer != NULL && argc == 2 && strcmp(argv[1], "--bench") == 0) {
        exit_code = bench(row, answer);
    } else if (row != NULL && answer != NULL) {
        if (argc == 2)
            in = fopen(argv[1], "r");
        if (in == NULL)
            fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
        else
            exit_code = predict_lines(in, line, row, answer);
        if (in != NULL && in != stdin)
            fclose(in);
    }
    free(row);
    free(answer);
    return exit_code;
}
