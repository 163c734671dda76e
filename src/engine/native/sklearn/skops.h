/* Models of scikit-learn as skops.io.dump saves them: estimators and pipelines, read without
 * Python. Which classes there are says the table in sklearn.c. */
#ifndef TERN_ENGINE_NATIVE_SKOPS_H
#define TERN_ENGINE_NATIVE_SKOPS_H

#include "engine/native/format.h"

extern const struct tern_native_format tern_skops_format;

#endif
