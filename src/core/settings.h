/* Settings that clients read and change while the server runs: those of traces and of the log. An
 * update carries the ones to change, an answer all of them; the lists lie in the call's arena. */
#ifndef TERN_CORE_SETTINGS_H
#define TERN_CORE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

#define TERN_SETTINGS_MAX       32 /* of one request */
#define TERN_SETTING_VALUES_MAX 16 /* of one setting */

enum tern_setting_kind {
    TERN_SETTING_BOOL,
    TERN_SETTING_NUMBER,
    TERN_SETTING_TEXT, /* one or more texts; numbers among the trace settings are texts too */
};

struct tern_setting {
    struct tern_str key;
    enum tern_setting_kind kind;
    bool clear; /* update: what holds without this setting holds again (JSON: null) */
    bool list;  /* TEXT: JSON writes an array also when there is one value */
    bool boolean;
    uint64_t number;
    const struct tern_str *values; /* TEXT */
    uint32_t n;
};

struct tern_settings {
    struct tern_setting *rows;
    uint32_t n;
};

#endif
