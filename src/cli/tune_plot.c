#include "cli/tune_plot.h"

#include <math.h>
#include <string.h>
#include "cli/duration.h"

#define WIDTH  64
#define HEIGHT 14

struct canvas {
    char cells[HEIGHT][WIDTH + 1];
    double most_rate;
    double low, high; /* logarithms of the p99 */
};

char tern_tune_letter(uint32_t setting)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return letters[setting % (sizeof(letters) - 1)];
}

static void measure(struct canvas *c, const struct tern_tune_point *points, uint32_t n,
                    uint64_t slo_ns)
{
    c->low = INFINITY;
    c->high = slo_ns > 0 ? log((double)slo_ns) : -INFINITY;
    c->most_rate = 1;
    for (uint32_t i = 0; i < n; i++) {
        double p99 = log((double)points[i].p99_ns + 1);
        c->low = fmin(c->low, p99);
        c->high = fmax(c->high, p99);
        c->most_rate = fmax(c->most_rate, points[i].rate);
    }
    c->low = fmin(c->low, c->high - 0.1);
}

/* 0 is the upper line. */
static uint32_t line_of(const struct canvas *c, double p99_log)
{
    double share = (c->high - p99_log) / (c->high - c->low);

    return share <= 0 ? 0 : share >= 1 ? HEIGHT - 1 : (uint32_t)(share * (HEIGHT - 1) + 0.5);
}

static void draw(struct canvas *c, const struct tern_tune_point *points, uint32_t n)
{
    for (int marks = 0; marks < 2; marks++) { /* letters over dots */
        for (uint32_t i = 0; i < n; i++) {
            uint32_t x = (uint32_t)(points[i].rate / c->most_rate * (WIDTH - 1));
            uint32_t y = line_of(c, log((double)points[i].p99_ns + 1));
            if (points[i].on_front == (marks == 1))
                c->cells[y][x] = marks == 1 ? tern_tune_letter(points[i].setting) : '.';
        }
    }
}

static size_t width_of(const char *cells)
{
    size_t n = WIDTH;

    while (n > 0 && cells[n - 1] == ' ')
        n--;
    return n;
}

void tern_tune_plot(const struct tern_tune_point *points, uint32_t n, uint64_t slo_ns,
                    struct tern_buf *out)
{
    struct canvas c;
    char text[TERN_DURATION_MAX];

    if (n < 2)
        return;
    measure(&c, points, n, slo_ns);
    memset(c.cells, ' ', sizeof(c.cells));
    uint32_t slo_line = slo_ns > 0 ? line_of(&c, log((double)slo_ns)) : HEIGHT;
    if (slo_line < HEIGHT)
        memset(c.cells[slo_line], '-', WIDTH);
    draw(&c, points, n);
    tern_buf_printf(out, "%10s\n", "p99");
    for (uint32_t y = 0; y < HEIGHT; y++) {
        double p99 = exp(c.high - (c.high - c.low) * y / (HEIGHT - 1));
        bool labelled = y % 3 == 0 || y + 1 == HEIGHT;
        tern_buf_printf(out, "%10s |%.*s%s\n",
                        labelled ? tern_duration_print((uint64_t)p99, text) : "",
                        (int)width_of(c.cells[y]), c.cells[y], y == slo_line ? " slo" : "");
    }
    tern_buf_printf(out, "%10s +", "");
    for (uint32_t x = 0; x < WIDTH; x++)
        tern_buf_add_char(out, '-');
    tern_buf_printf(out, "\n%10s 0%*.0f requests/s\n", "", WIDTH, c.most_rate);
}
