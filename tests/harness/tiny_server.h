/* A tiny HTTP server inside a test: one model, "double" (x FP32 [-1,2] -> y FP32 [-1,2], twice x),
 * in the Open Inference Protocol, JSON and binary. It misbehaves on demand. One thread for each
 * connection, blocking; the knobs are atomics and may change at any time. */
#ifndef TERN_HARNESS_TINY_SERVER_H
#define TERN_HARNESS_TINY_SERVER_H

#include <stdatomic.h>
#include <stdint.h>

struct tiny_server {
    int listen_fd;
    uint16_t port;
    char url[64];
    atomic_int infers;      /* answered so far */
    atomic_int wrong_from;  /* answers from this number on are wrong; -1: never */
    atomic_int fail_from;   /* ... have status 503 */
    atomic_int close_every; /* every n-th answer says Connection: close; 0: none */
    atomic_int drop_at;     /* this request gets no answer, the connection ends; -1: none */
    atomic_int stall_at;    /* before this answer everything stands still for stall_ms */
    atomic_int stall_ms;
    atomic_int jitter;     /* 1: values differ in the last bits from answer to answer */
    atomic_int chunked;    /* 1: answers are chunked */
    atomic_int plain_list; /* 1: no repository index, only GET /v2/models */
};

void tiny_server_start(struct tiny_server *server);
/* Ends the connections too; *server is not looked at after. */
void tiny_server_stop(struct tiny_server *server);

#endif
