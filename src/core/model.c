#include "core/model.h"

#include <stdatomic.h>

const char *tern_model_state_name(enum tern_model_state state)
{
    static const char *const names[] = {
        [TERN_MODEL_UNKNOWN] = "UNKNOWN",
        [TERN_MODEL_LOADING] = "LOADING",
        [TERN_MODEL_READY] = "READY",
        [TERN_MODEL_UNLOADING] = "UNLOADING",
        [TERN_MODEL_UNAVAILABLE] = "UNAVAILABLE",
    };
    return names[state];
}

bool tern_model_name_is_valid(struct tern_str name)
{
    if (name.n == 0 || name.n > TERN_MODEL_NAME_MAX || name.p[0] == '.')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

const struct tern_tensor_spec *tern_model_find_spec(const struct tern_tensor_spec *specs,
                                                    uint32_t n, struct tern_str name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (tern_str_eq(specs[i].name, name))
            return &specs[i];
    }
    return NULL;
}

const struct tern_tensor_spec *tern_model_input(const struct tern_model_info *info,
                                                struct tern_str name)
{
    return tern_model_find_spec(info->inputs, info->n_inputs, name);
}

const struct tern_tensor_spec *tern_model_output(const struct tern_model_info *info,
                                                 struct tern_str name)
{
    return tern_model_find_spec(info->outputs, info->n_outputs, name);
}

const struct tern_model_config_text *tern_model_config_now(const struct tern_model_info *info,
                                                           bool decoupled)
{
    const struct tern_model_config_text *text =
        atomic_load_explicit(&info->config, memory_order_acquire);
    return decoupled && text->decoupled != NULL ? text->decoupled : text;
}
