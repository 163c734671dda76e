/* Shared by the two parts of a connection: conn.c (life, reading, time) and conn_write.c. */
#ifndef TERN_NET_CONN_INT_H
#define TERN_NET_CONN_INT_H

#include "net/conn.h"

/* conn.c: what the loop watches follows from the state; call after changing it. */
void tern_conn_watch(struct tern_conn *conn);
/* The timer fires at due_ns or earlier. */
void tern_conn_arm(struct tern_conn *conn, uint64_t due_ns);

/* conn_write.c: sends from the queue until the kernel is full. */
void tern_conn_flush(struct tern_conn *conn);
void tern_conn_drop_queue(struct tern_conn *conn);

#endif
