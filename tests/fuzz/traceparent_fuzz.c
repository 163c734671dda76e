/* Headers that a client chooses: what is accepted formats back to something accepted, and log lines
 * made of them stay one line. */
#include <stdint.h>
#include <stdlib.h>
#include "base/log.h"
#include "core/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_line(void *self, struct tern_str line)
{
    (void)self;
    if (line.n == 0 || line.n > TERN_LOG_LINE_MAX || tern_str_find(line, '\n') != line.n - 1)
        abort();
    for (size_t i = 0; i + 1 < line.n; i++) {
        if ((unsigned char)line.p[i] < 0x20 || line.p[i] == 0x7f)
            abort();
    }
    if (!tern_str_is_utf8(line))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_str text = tern_str_make((const char *)data, size);
    struct tern_trace_ids ids = {{1, 2, 3, 4}};
    struct tern_trace trace;
    struct tern_trace again;
    char out[TERN_TRACE_PARENT_LEN + 1];

    bool ok = tern_trace_parse(text, &trace);
    tern_trace_begin(&trace, text, &ids);
    tern_trace_format(&trace, out);
    if (!tern_trace_parse(tern_str_of(out), &again))
        abort();
    if (ok && memcmp(again.trace_id, trace.trace_id, sizeof(again.trace_id)) != 0)
        abort();
    (void)tern_trace_state_is_ok(text);
    (void)tern_trace_request_id_is_ok(text);
    for (int f = 0; f < 2; f++) {
        struct tern_log log;
        tern_log_init(&log, (struct tern_log_sink){one_line, NULL}, TERN_LOG_INFO,
                      f == 0 ? TERN_LOG_TEXT : TERN_LOG_JSON, false);
        tern_log_info(&log, "fuzz", "a header", TERN_KV_STR("value", text),
                      TERN_KV_STR("again", text), TERN_KV_U64("n", size));
    }
    return 0;
}
