/* What `tern tune` compares: settings of one model, as changes to its configuration. Pure. */
#ifndef TERN_CLI_TUNE_SETTING_H
#define TERN_CLI_TUNE_SETTING_H

#include <jansson.h>
#include "base/buf.h"

#define TERN_TUNE_SETTINGS_MAX 48u
#define TERN_TUNE_NAME_MAX     96u

enum tern_tune_batching {
    TERN_TUNE_UNSAID, /* the server decides */
    TERN_TUNE_ALONE,  /* one request a run */
    TERN_TUNE_DYNAMIC,
};

/* All zero: nothing is configured. */
struct tern_tune_setting {
    bool as_configured; /* what the repository says now; the rest is zero */
    enum tern_tune_batching batching;
    uint32_t preferred; /* DYNAMIC: preferred_batch_size; 0: none */
    uint64_t delay_us;  /* DYNAMIC: max_queue_delay_microseconds */
    uint32_t instances; /* 0: unsaid */
    uint32_t threads;   /* intra_op_thread_count; 0: unsaid */
    uint64_t slo_ns;    /* the parameter `slo`; 0: unsaid */
};

/* What there is to set. */
struct tern_tune_model {
    const json_t *base; /* the configuration, {} for none */
    uint32_t max_rows;  /* of a batch; 1: it cannot be batched */
    uint32_t instances; /* most that are tried */
    uint32_t threads;   /* most that are tried; 0: the engine has no threads to choose */
    uint64_t slo_ns;    /* that answers have to keep */
    bool says_batches;  /* base has a max_batch_size above 0 */
    bool is_configured; /* base has any of what is tried */
};

/* From base: says_batches and is_configured. */
void tern_tune_model_read(struct tern_tune_model *model, const json_t *base);

/* What is tried at first: the first is "nothing configured", then what is configured, if any. */
uint32_t tern_tune_grid(const struct tern_tune_model *model, bool quick,
                        struct tern_tune_setting dst[TERN_TUNE_SETTINGS_MAX]);
/* Both at once; false when they speak of the same thing, or one says nothing. */
bool tern_tune_join(const struct tern_tune_setting *a, const struct tern_tune_setting *b,
                    struct tern_tune_setting *ret_both);
bool tern_tune_setting_is(const struct tern_tune_setting *a, const struct tern_tune_setting *b);

/* "batches of 8, delay 2 ms, 2 instances" */
void tern_tune_setting_name(const struct tern_tune_setting *setting, char dst[TERN_TUNE_NAME_MAX]);
/* The lines for config.pbtxt; none for "nothing configured". */
void tern_tune_setting_lines(const struct tern_tune_model *model,
                             const struct tern_tune_setting *setting, struct tern_buf *out);
/* The whole configuration: base without what is tried, and with what the setting says. NULL: no
 * memory. The caller's. */
json_t *tern_tune_setting_apply(const struct tern_tune_model *model,
                                const struct tern_tune_setting *setting);

#endif
