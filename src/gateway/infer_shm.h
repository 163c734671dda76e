/* Tensors of an inference request that lie in registered regions of shared memory. */
#ifndef TERN_GATEWAY_INFER_SHM_H
#define TERN_GATEWAY_INFER_SHM_H

#include "core/proto.h"
#include "gateway/regions.h"

struct tern_infer_shm_use;

/* The regions that one call holds; zeroed at first. They are let go when the call's arena is reset,
 * because an answer may be sent from them. */
struct tern_infer_shm_uses {
    struct tern_infer_shm_use *first; /* arena */
};

/* Points the request's inputs at the regions they name, and holds the regions of its outputs.
 * Where a client could hurt us by changing a value after it was checked (lengths of strings,
 * indices, truth values) the tensor is copied; floats and pixels are used where they lie. */
enum tern_code tern_infer_shm_begin(struct tern_regions *regions, struct tern_call *call,
                                    struct tern_infer_shm_uses *uses, struct tern_err *err);
/* After the run: writes outputs to their regions, and fails when a region that was used is not what
 * it was. What the engine left in a region and the answer carries is copied out of it. */
enum tern_code tern_infer_shm_end(struct tern_call *call, const struct tern_infer_shm_uses *uses,
                                  struct tern_err *err);

#endif
