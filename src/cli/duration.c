#include "cli/duration.h"

#include <stddef.h>
#include <stdio.h>
#include "base/compiler.h"

const char *tern_duration_print(uint64_t ns, char dst[TERN_DURATION_MAX])
{
    static const struct {
        double ns;
        const char *name;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}};
    double v = (double)ns;

    for (size_t i = 0; i < TERN_COUNT_OF(units); i++) {
        if (v < units[i].ns)
            continue;
        v /= units[i].ns;
        (void)snprintf(dst, TERN_DURATION_MAX, "%.*f%s",
                       v < 10    ? 2
                       : v < 100 ? 1
                                 : 0,
                       v, units[i].name);
        return dst;
    }
    (void)snprintf(dst, TERN_DURATION_MAX, "%lluns", (unsigned long long)ns);
    return dst;
}
