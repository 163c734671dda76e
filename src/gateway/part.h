/* What a stream keeps for one of its calls: memory of its own, which goes round when the last
 * answer has left, so that a long stream takes no more than a short one. Of one loop and its
 * thread. */
#ifndef TERN_GATEWAY_PART_H
#define TERN_GATEWAY_PART_H

#include "gateway/gateway_int.h"

/* One call of a stream. */
struct gateway_part {
    struct tern_list link; /* stream->parts; loop->parts_free */
    struct gateway_stream *stream;
    struct tern_arena arena;
    struct tern_buf message;  /* what came, out of the exchange's way */
    size_t held;              /* bytes of the body that it came as */
    size_t charged;           /* for the message */
    struct tern_list answers; /* of a decoupled model, not sent yet */
    bool wants_final;         /* the client asked to be told which answer is the last */
    bool emits;               /* it stays open, and answers by gateway_emit */
    bool emit_due;
    bool done;
    enum tern_code code; /* how, when it is done */
    struct gateway_call gc;
};

/* A fresh part for a call of the stream whose exchange's call is `own`. NULL without memory. */
struct gateway_part *gateway_part_take(const struct gateway_call *own);
/* The opposite: it is kept for the next call, or freed. */
void gateway_part_give(struct gateway_part *part);
/* The message is what the framing found in the body, which moves when more comes: it is copied and
 * charged, unless it lies elsewhere already. */
enum tern_code gateway_part_keep_message(struct gateway_part *part, struct tern_err *err);
void gateway_part_fini(struct gateway_loop *loop);

/* Its model answers any number of times. */
TERN_INLINE bool gateway_part_is_decoupled(const struct gateway_part *part)
{
    return part->gc.sink != NULL;
}

#endif
