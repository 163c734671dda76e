/* Where log lines go. Two sinks behind base/log.h's one:
 *
 * - the ring: any thread copies its line into a ring of bytes without a lock (a compare-and-swap
 *   reserves the place, a store of the length publishes it); one writer thread takes what is there
 *   and writes it with one write(2). A producer makes a system call only to wake a writer that is
 *   asleep, at most once in TERN_LOGSINK_NAP_MS. When the ring is full the line is dropped and
 *   counted, never waited for; the writer then reports how many were lost, in a line of its own.
 * - direct: each line is one write(2) by the caller. For the supervising parent and the commands.
 */
#ifndef TERN_OS_LOGSINK_H
#define TERN_OS_LOGSINK_H

#include <stdint.h>
#include "base/err.h"
#include "base/log.h"

#define TERN_LOGSINK_NAP_MS    5
#define TERN_LOGSINK_RING_MIN  (64u * 1024)
#define TERN_LOGSINK_RING_MAX  (64u * 1024 * 1024)
#define TERN_LOGSINK_RING_SIZE (1024u * 1024) /* a good default: some 4,000 lines */

struct tern_logsink;

/* Starts the writer thread (with all signals blocked). ring_bytes: rounded up to a power of two.
 * The fd stays the caller's. Make it after fork: threads do not survive one. */
enum tern_code tern_logsink_open(int fd, uint32_t ring_bytes, enum tern_log_format format,
                                 struct tern_logsink **ret_sink, struct tern_err *err);
/* Writes what is in the ring, stops the thread. No producer may be left. */
void tern_logsink_close(struct tern_logsink *sink);
struct tern_log_sink tern_logsink_port(struct tern_logsink *sink);
/* Waits until every line logged before this call was written (or could not be). */
void tern_logsink_flush(struct tern_logsink *sink);
/* Lines lost so far because the ring was full. Any thread. */
uint64_t tern_logsink_dropped(const struct tern_logsink *sink);

struct tern_log_sink tern_logsink_direct(int fd);

#endif
