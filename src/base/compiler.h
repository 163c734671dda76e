/* The only place where compiler extensions are spelled. gcc >= 10 and clang >= 11. */
#ifndef TERN_BASE_COMPILER_H
#define TERN_BASE_COMPILER_H

#define TERN_PRINTF(fmt_index, first) __attribute__((format(printf, fmt_index, first)))
#define TERN_MUST_USE                 __attribute__((warn_unused_result))
#define TERN_COLD                     __attribute__((cold))
#define TERN_INLINE                   static inline __attribute__((always_inline))
#define TERN_ALIGNED(n)               __attribute__((aligned(n)))
#define TERN_LIKELY(x)                __builtin_expect(!!(x), 1)
#define TERN_UNLIKELY(x)              __builtin_expect(!!(x), 0)

/* Instructions that a function may use beyond the base architecture; see simd/simd.h. */
#define TERN_TARGET(features) __attribute__((target(features)))
/* A large local buffer that is written before it is read: not zeroed on entry. */
#define TERN_UNINITIALIZED __attribute__((uninitialized))

/* For large buffers that are written before they are read: they stay out of the zeroing of locals
 * (-ftrivial-auto-var-init). */
#ifdef __has_attribute
#if __has_attribute(uninitialized)
#define TERN_UNINITIALIZED __attribute__((uninitialized))
#endif
#endif
#ifndef TERN_UNINITIALIZED
#define TERN_UNINITIALIZED
#endif

/* Before a loop of a few rounds whose values belong into registers. */
#ifdef __clang__
#define TERN_UNROLL _Pragma("unroll")
#else
#define TERN_UNROLL _Pragma("GCC unroll 16")
#endif

#define TERN_CACHE_LINE 64

/* From a pointer to an embedded member to the struct that holds it. */
#define TERN_CONTAINER_OF(ptr, type, member) \
    ((type *)(void *)((char *)(ptr) - __builtin_offsetof(type, member)))

#define TERN_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
