#include "net/h2_mem.h"

#include <string.h>
#include "base/mem.h"
#include "base/num.h"

#define CLASS_MIN  64u
#define CLASS_NONE TERN_H2_MEM_CLASSES

/* Before each block: nghttp2 does not tell the size when it frees. Keeps malloc's alignment. */
struct tern_h2_mem_head {
    TERN_ALIGNED(16) size_t room;
    struct tern_h2_mem_head *next; /* while free */
};

void tern_h2_mem_init(struct tern_h2_mem *mem)
{
    *mem = (struct tern_h2_mem){.kept = 0};
}

void tern_h2_mem_trim(struct tern_h2_mem *mem)
{
    for (size_t c = 0; c < TERN_H2_MEM_CLASSES; c++) {
        while (mem->free[c] != NULL) {
            struct tern_h2_mem_head *head = mem->free[c];
            mem->free[c] = head->next;
            tern_mem_free(head);
        }
    }
    mem->kept = 0;
}

void tern_h2_mem_fini(struct tern_h2_mem *mem)
{
    tern_h2_mem_trim(mem);
}

/* The least c with size <= CLASS_MIN << c. */
static size_t class_of(size_t size)
{
    size_t above = size > CLASS_MIN ? (size - 1) / CLASS_MIN : 0;
    size_t c = above == 0 ? 0 : 64 - (size_t)__builtin_clzll(above);

    return c < CLASS_NONE ? c : CLASS_NONE;
}

static void *take(size_t size, void *user)
{
    struct tern_h2_mem *mem = user;
    size_t c = class_of(size);
    struct tern_h2_mem_head *head;
    size_t total;

    if (c < CLASS_NONE && mem->free[c] != NULL) {
        head = mem->free[c];
        mem->free[c] = head->next;
        mem->kept -= head->room;
        return head + 1;
    }
    size_t room = c < CLASS_NONE ? (size_t)CLASS_MIN << c : size;
    if (tern_num_add(room, sizeof(*head), &total))
        return NULL;
    head = tern_mem_alloc(total);
    if (head == NULL)
        return NULL;
    head->room = room;
    return head + 1;
}

static void give(void *p, void *user)
{
    struct tern_h2_mem *mem = user;

    if (p == NULL)
        return;
    struct tern_h2_mem_head *head = (struct tern_h2_mem_head *)p - 1;
    size_t c = class_of(head->room);
    if (c == CLASS_NONE || head->room > TERN_H2_MEM_KEPT_MAX - mem->kept) {
        tern_mem_free(head);
        return;
    }
    head->next = mem->free[c];
    mem->free[c] = head;
    mem->kept += head->room;
}

static void *take_zeroed(size_t count, size_t size, void *user)
{
    size_t n;

    if (tern_num_mul(count, size, &n))
        return NULL;
    void *p = take(n, user);
    if (p != NULL)
        memset(p, 0, n);
    return p;
}

static void *resize(void *p, size_t size, void *user)
{
    if (p == NULL)
        return take(size, user);
    struct tern_h2_mem_head *head = (struct tern_h2_mem_head *)p - 1;
    if (size <= head->room)
        return p;
    size_t old = head->room;
    void *fresh = take(size, user);
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, p, old);
    give(p, user);
    return fresh;
}

nghttp2_mem tern_h2_mem_hooks(struct tern_h2_mem *mem)
{
    return (nghttp2_mem){mem, take, give, take_zeroed, resize};
}
