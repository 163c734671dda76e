/* What the registry's loader needs when a command loads a model in its own process, without a
 * server around it: one instance, no loops, no log. */
#ifndef TERN_CLI_OFFLINE_H
#define TERN_CLI_OFFLINE_H

#include "base/log.h"
#include "registry/registry.h"

struct tern_offline {
    struct tern_registry_settings settings;
    const char *path;
    struct tern_log log;
};

/* Also tells the ONNX engine where its library is (empty: the usual places). The struct must not
 * move while models loaded with it are alive. Policy NULL: the latest version. */
enum tern_code tern_offline_init(struct tern_offline *offline, const char *path,
                                 struct tern_str onnxruntime,
                                 const struct tern_version_policy *policy, struct tern_err *err);

/* Which versions the model's configuration or the policy chooses: one flag each of
 * model->versions. Answers how many through ret_n. */
enum tern_code tern_offline_choose(const struct tern_offline *offline,
                                   const struct tern_found_model *model, struct tern_arena *arena,
                                   bool **ret_served, uint32_t *ret_n, struct tern_err *err);

#endif
