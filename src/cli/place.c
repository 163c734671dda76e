#include "cli/place.h"

#include "core/model.h"
#include "os/file.h"

#define LOCAL_SERVER TERN_STR("http://127.0.0.1:8080")

static bool is_url(struct tern_str text)
{
    return tern_str_starts(text, TERN_STR("http://")) ||
           tern_str_starts(text, TERN_STR("https://")) || tern_str_starts(text, TERN_STR("unix:"));
}

enum tern_code tern_place_find(const struct tern_command_call *call, struct tern_str *model,
                               struct tern_place *place, struct tern_err *err)
{
    struct tern_file_info info;
    uint32_t at = 0;

    /* An existing file is the model, unless --model says that it can only be the data. */
    if (call->n_args > 0 && place->url.n == 0 && is_url(call->args[0])) {
        place->url = call->args[at++];
    } else if (place->url.n > 0 && call->n_args > 0 && model->n == 0 &&
               (call->n_args == 2 || place->data != NULL)) {
        *model = call->args[at++];
    } else if (place->url.n == 0 && call->n_args > 0 &&
               tern_file_stat(call->args[0].p, &info, NULL) == TERN_OK &&
               !(model->n > 0 && info.is_regular && call->n_args == 1)) {
        place->path = call->args[at++].p;
    } else if (place->url.n == 0) {
        place->url = LOCAL_SERVER;
        place->named = model->n == 0 && call->n_args > 0;
        if (place->named)
            *model = call->args[at++];
        if (model->n > 0 && !tern_model_name_is_valid(*model))
            return tern_fail(err, TERN_NOT_FOUND,
                             "%s: no such file or folder, and no name of a model either", model->p);
    }
    if (at < call->n_args && place->data == NULL)
        place->data = call->args[at++].p;
    if (at < call->n_args)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "'%s' is one argument too many",
                         call->args[at].p);
    return TERN_OK;
}
