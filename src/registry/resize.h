/* A version in service gets more or fewer instances, because nothing but instance_group of its
 * configuration changed: the model is not loaded anew, and its requests go on meanwhile. */
#ifndef TERN_REGISTRY_RESIZE_H
#define TERN_REGISTRY_RESIZE_H

#include "registry/version.h"

/* Whether the files (and the load's configuration) differ from those of the live version in that
 * alone: then does it, and *ret_done says so; false: it has to be loaded. Fails when it would have
 * been enough, but an instance cannot be made; then nothing changed. On a load thread; the version
 * does not retire meanwhile, and nobody else calls this for it. Groups with a rate limiter, models
 * that take sequences and decoupled ones are always loaded. */
enum tern_code tern_resize(struct tern_model_version *live, const struct tern_version_load *load,
                           bool *ret_done, struct tern_err *err);

#endif
