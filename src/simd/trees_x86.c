#if defined(__x86_64__)
#include <immintrin.h>
#include "simd/kernels_x86.h"
#include "simd/trees_int.h"

#define AVX2 TERN_TARGET("avx2,bmi,bmi2,popcnt,lzcnt")
#define AVX512 \
    TERN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx2,bmi,bmi2,popcnt,lzcnt")

AVX2 static __m256i load32(const uint8_t *p)
{
    return _mm256_load_si256((const __m256i *)(const void *)p);
}

/* ---- ranks ----
 * The pivots say in which segment the value lies, the segment says where. */

AVX512 static uint32_t below_f32(const float *cuts, __m512 x)
{
    return (uint32_t)_mm_popcnt_u32(_mm512_cmp_ps_mask(x, _mm512_loadu_ps(cuts), _CMP_GT_OQ));
}

AVX512 static uint32_t below_f64(const double *cuts, __m512d x)
{
    __mmask8 low = _mm512_cmp_pd_mask(x, _mm512_loadu_pd(cuts), _CMP_GT_OQ);
    __mmask8 high = _mm512_cmp_pd_mask(x, _mm512_loadu_pd(cuts + 8), _CMP_GT_OQ);

    return (uint32_t)_mm_popcnt_u32((uint32_t)low | (uint32_t)high << 8);
}

AVX2 static uint32_t below_f32_avx2(const float *cuts, __m256 x)
{
    int low = _mm256_movemask_ps(_mm256_cmp_ps(x, _mm256_loadu_ps(cuts), _CMP_GT_OQ));
    int high = _mm256_movemask_ps(_mm256_cmp_ps(x, _mm256_loadu_ps(cuts + 8), _CMP_GT_OQ));

    return (uint32_t)_mm_popcnt_u32((uint32_t)low | (uint32_t)high << 8);
}

AVX2 static uint32_t below_f64_avx2(const double *cuts, __m256d x)
{
    uint32_t mask = 0;

    TERN_UNROLL
    for (int i = 0; i < 4; i++) {
        __m256d some = _mm256_loadu_pd(cuts + 4 * i);
        mask |= (uint32_t)_mm256_movemask_pd(_mm256_cmp_pd(x, some, _CMP_GT_OQ)) << 4 * i;
    }
    return (uint32_t)_mm_popcnt_u32(mask);
}

#define RANK_ROW(type, vector, broadcast, below)                                         \
    for (size_t i = 0; i < n; i++) {                                                     \
        const struct tern_rank_column *c = &columns[i];                                  \
        type v = row[c->feature];                                                        \
        vector x = broadcast(v);                                                         \
        uint32_t segment = below(cuts + c->first, x) * TERN_RANK_LANES;                  \
        uint32_t rank = segment + below(cuts + c->first + TERN_RANK_LANES + segment, x); \
        bool is_missing = v != v;                                                        \
        if (TERN_UNLIKELY(c->zero_is_missing))                                           \
            is_missing |= v >= -(type)TERN_RANK_ZERO && v <= (type)TERN_RANK_ZERO;       \
        tern_rank_put(c, is_missing, (uint8_t)rank, ranks, step);                        \
    }

AVX512 void tern_rank_row_f32_avx512(const struct tern_rank_column *columns, size_t n,
                                     const float *cuts, const float *row, uint8_t *ranks,
                                     size_t step){
    RANK_ROW(float, __m512, _mm512_set1_ps, below_f32)}

AVX512
    void tern_rank_row_f64_avx512(const struct tern_rank_column *columns, size_t n,
                                  const double *cuts, const double *row, uint8_t *ranks,
                                  size_t step){RANK_ROW(double, __m512d, _mm512_set1_pd, below_f64)}

AVX2 void tern_rank_row_f32_avx2(const struct tern_rank_column *columns, size_t n,
                                 const float *cuts, const float *row, uint8_t *ranks, size_t step){
    RANK_ROW(float, __m256, _mm256_set1_ps, below_f32_avx2)}

AVX2 void tern_rank_row_f64_avx2(const struct tern_rank_column *columns, size_t n,
                                 const double *cuts, const double *row, uint8_t *ranks, size_t step)
{
    RANK_ROW(double, __m256d, _mm256_set1_pd, below_f64_avx2)
}

/* ---- heads: one row through the top of many trees ---- */

/* The ranks of a row, as table of byte permutations: 64, 128 or 256 of them. */
struct table {
    __m512i part[4];
};

AVX512 static struct table take_ranks(const uint8_t *ranks)
{
    struct table t;

    TERN_UNROLL
    for (int i = 0; i < 4; i++)
        t.part[i] = _mm512_loadu_si512(ranks + 64 * i);
    return t;
}

#define LOOK_UP_1(t, column) _mm512_permutexvar_epi8((column), (t).part[0])
#define LOOK_UP_2(t, column) _mm512_permutex2var_epi8((t).part[0], (column), (t).part[1])
#define LOOK_UP_4(t, column)                                                \
    _mm512_mask_mov_epi8(LOOK_UP_2(t, column), _mm512_movepi8_mask(column), \
                         _mm512_permutex2var_epi8((t).part[2], (column), (t).part[3]))

/* Eight trees at a time: the answers of a tree's 63 nodes are one mask, and the eight masks walk
 * down side by side. Counting from 1 the children of node i are 2i and 2i+1; what is found is
 * counted from 64 on. */
AVX512 TERN_INLINE void descend(const uint64_t answers[8], uint64_t found[8])
{
    const __m512i one = _mm512_set1_epi64(1);
    /* Not by memory: eight small stores cannot be forwarded to one large load. */
    __m512i masks = _mm512_set_epi64(
        (long long)answers[7], (long long)answers[6], (long long)answers[5], (long long)answers[4],
        (long long)answers[3], (long long)answers[2], (long long)answers[1], (long long)answers[0]);
    __m512i at = one;

    masks = _mm512_slli_epi64(masks, 1);
    TERN_UNROLL
    for (int level = 0; level < 6; level++) {
        __m512i answer = _mm512_and_si512(_mm512_srlv_epi64(masks, at), one);
        at = _mm512_add_epi64(_mm512_add_epi64(at, at), answer);
    }
    _mm512_storeu_si512(found, at);
}

/* result: what comes of place `at` of a head. */
#define HEADS(look_up, out, result)                                                         \
    for (size_t i = 0; i < n; i += 8) {                                                     \
        uint64_t answers[8], found[8];                                                      \
        TERN_UNROLL                                                                         \
        for (size_t k = 0; k < 8; k++) {                                                    \
            __m512i rank = look_up(t, _mm512_load_si512(heads[i + k].column));              \
            answers[k] = _mm512_cmpgt_epu8_mask(rank, _mm512_load_si512(heads[i + k].cut)); \
        }                                                                                   \
        descend(answers, found);                                                            \
        TERN_UNROLL                                                                         \
        for (size_t k = 0; k < 8; k++)                                                      \
            (out)[i + k] = result(&heads[i + k], found[k] - 64);                            \
    }

#define HEADS_OF_ANY_WIDTH(out, result)     \
    {                                       \
        struct table t = take_ranks(ranks); \
        if (n_columns <= 64) {              \
            HEADS(LOOK_UP_1, out, result)   \
        } else if (n_columns <= 128) {      \
            HEADS(LOOK_UP_2, out, result)   \
        } else {                            \
            HEADS(LOOK_UP_4, out, result)   \
        }                                   \
    }

#define EXIT(head, at)  ((head)->exit[at])
#define VALUE(head, at) ((head)->value[at])
#define TAIL(head, at)  tern_tree_tail_value(&(head)->tail[at], ranks)

AVX512 void tern_tree_level_heads_avx512(const struct tern_tree_level_head *heads, size_t n,
                                         const uint8_t *ranks, size_t n_columns,
                                         int32_t *exits){HEADS_OF_ANY_WIDTH(exits, EXIT)}

AVX512 void tern_tree_value_heads_avx512(const struct tern_tree_value_head *heads, size_t n,
                                         const uint8_t *ranks, size_t n_columns,
                                         float *values){HEADS_OF_ANY_WIDTH(values, VALUE)}

AVX512 void tern_tree_tail_heads_avx512(const struct tern_tree_tail_head *heads, size_t n,
                                        const uint8_t *ranks, size_t n_columns,
                                        float *values){HEADS_OF_ANY_WIDTH(values, TAIL)}

/* What a pair's nodes drop, in sixteen parts a tree that are to be joined. */
AVX512 TERN_INLINE
    void drop_pair(const struct tern_tree_path_heads *pair, __mmask64 answers, __m512i dropped[2])
{
    TERN_UNROLL
    for (int side = 0; side < 2; side++) {
        __mmask16 low = (__mmask16)(answers >> 32 * side);
        __mmask16 high = (__mmask16)(answers >> (32 * side + 16));
        dropped[side] = _mm512_or_si512(_mm512_maskz_load_epi32(low, pair->drop[side]),
                                        _mm512_maskz_load_epi32(high, pair->drop[side] + 16));
    }
}

/* Eight vectors to eight words: word i joins the parts of vector i. */
AVX512 TERN_INLINE __m256i join_parts(const __m512i v[8])
{
    __m512i two[4], four[2];

    TERN_UNROLL
    for (int i = 0; i < 4; i++)
        two[i] = _mm512_or_si512(_mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]),
                                 _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
    TERN_UNROLL
    for (int i = 0; i < 2; i++)
        four[i] = _mm512_or_si512(_mm512_unpacklo_epi64(two[2 * i], two[2 * i + 1]),
                                  _mm512_unpackhi_epi64(two[2 * i], two[2 * i + 1]));
    __m512i half = _mm512_or_si512(_mm512_shuffle_i64x2(four[0], four[1], 0x88),
                                   _mm512_shuffle_i64x2(four[0], four[1], 0xdd));
    __m512i whole = _mm512_or_si512(half, _mm512_shuffle_i64x2(half, half, 0xb1));
    return _mm512_castsi512_si256(_mm512_shuffle_i64x2(whole, whole, 0x08));
}

/* Four pairs at a time. */
#define PATH_HEADS(look_up)                                                                \
    for (size_t i = 0; i < n; i += 8) {                                                    \
        const struct tern_tree_path_heads *pairs = &heads[i / 2];                          \
        TERN_ALIGNED(32) uint32_t dropped[8];                                              \
        __m512i parts[8];                                                                  \
        TERN_UNROLL                                                                        \
        for (size_t k = 0; k < 4; k++) {                                                   \
            __m512i rank = look_up(t, _mm512_load_si512(pairs[k].column));                 \
            __m512i cut = _mm512_load_si512(pairs[k].cut);                                 \
            drop_pair(&pairs[k], _mm512_cmpgt_epu8_mask(rank, cut), parts + 2 * k);        \
        }                                                                                  \
        _mm256_store_si256((__m256i *)(void *)dropped, join_parts(parts));                 \
        TERN_UNROLL                                                                        \
        for (size_t k = 0; k < 8; k++)                                                     \
            exits[i + k] = ~(int32_t)pairs[k / 2].leaf[k % 2][__builtin_ctz(~dropped[k])]; \
    }

AVX512 void tern_tree_path_heads_avx512(const struct tern_tree_path_heads *heads, size_t n,
                                        const uint8_t *ranks, size_t n_columns, int32_t *exits)
{
    struct table t = take_ranks(ranks);

    if (n_columns <= 64) {
        PATH_HEADS(LOOK_UP_1)
    } else if (n_columns <= 128) {
        PATH_HEADS(LOOK_UP_2)
    } else {
        PATH_HEADS(LOOK_UP_4)
    }
}

/* ---- many rows ---- */

AVX512 void tern_tree_fold_avx512(const struct tern_tree_node *nodes, uint32_t n_nodes,
                                  const uint8_t *tiles, size_t tile_bytes, size_t n_tiles,
                                  uint8_t *stack)
{
    uint8_t *top = stack;

    for (uint32_t i = n_nodes; i-- > 0;) {
        struct tern_tree_sides s = tern_tree_sides_of(&nodes[i], &top, n_tiles * TERN_TREE_TILE);
        __mmask64 has_yes = 0 - (__mmask64)s.yes_waits;
        __mmask64 has_no = 0 - (__mmask64)s.no_waits;
        __m512i yes_leaf = _mm512_set1_epi8((char)s.yes_leaf);
        __m512i no_leaf = _mm512_set1_epi8((char)s.no_leaf);
        __m512i cut = _mm512_set1_epi8((char)nodes[i].cut);
        const uint8_t *column = tiles + (size_t)nodes[i].column * TERN_TREE_TILE;
        for (size_t tile = 0; tile < n_tiles; tile++) {
            size_t at = tile * TERN_TREE_TILE;
            __m512i ranks = _mm512_load_si512(column + tile * tile_bytes);
            __mmask64 is_no = _mm512_cmpgt_epu8_mask(ranks, cut);
            __m512i yes = _mm512_mask_loadu_epi8(yes_leaf, has_yes, s.yes + at);
            __m512i no = _mm512_mask_loadu_epi8(no_leaf, has_no, s.no + at);
            _mm512_store_si512(s.result + at, _mm512_mask_mov_epi8(yes, is_no, no));
        }
    }
}

/* There is no unsigned comparison of bytes: rank > cut is max(rank, cut + 1) == rank. */
AVX2 void tern_tree_fold_avx2(const struct tern_tree_node *nodes, uint32_t n_nodes,
                              const uint8_t *tiles, size_t tile_bytes, size_t n_tiles,
                              uint8_t *stack)
{
    uint8_t *top = stack;

    for (uint32_t i = n_nodes; i-- > 0;) {
        struct tern_tree_sides s = tern_tree_sides_of(&nodes[i], &top, n_tiles * TERN_TREE_TILE);
        __m256i above = _mm256_set1_epi8((char)(nodes[i].cut + 1));
        const uint8_t *column = tiles + (size_t)nodes[i].column * TERN_TREE_TILE;
        TERN_ALIGNED(32) uint8_t yes_room[32];
        TERN_ALIGNED(32) uint8_t no_room[32];
        struct tern_tree_bytes yes =
            tern_tree_bytes_of(s.yes_waits, s.yes, s.yes_leaf, yes_room, 32);
        struct tern_tree_bytes no = tern_tree_bytes_of(s.no_waits, s.no, s.no_leaf, no_room, 32);
        for (size_t at = 0; at < n_tiles * TERN_TREE_TILE; at += 32) {
            __m256i ranks = load32(column + at / TERN_TREE_TILE * tile_bytes + at % TERN_TREE_TILE);
            __m256i is_no = _mm256_cmpeq_epi8(_mm256_max_epu8(ranks, above), ranks);
            __m256i leaf = _mm256_blendv_epi8(load32(yes.p + at * yes.step),
                                              load32(no.p + at * no.step), is_no);
            _mm256_store_si256((__m256i *)(void *)(s.result + at), leaf);
        }
    }
}

/* Up to 64 values fit into registers, where a permutation finds them. */
AVX512 void tern_tree_add_f32_avx512(const float *values, uint32_t n_leaves, const uint8_t *leaf,
                                     float *sums, size_t n)
{
    __m512 v[4];

    if (n_leaves > 64) {
        for (size_t i = 0; i < n; i++)
            sums[i] += values[leaf[i]];
        return;
    }
    TERN_UNROLL
    for (int i = 0; i < 4; i++)
        v[i] = _mm512_loadu_ps(values + 16 * i);
    for (size_t i = 0; i < n; i += 16) {
        __m512i at =
            _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(leaf + i)));
        __m512 found = _mm512_permutex2var_ps(v[0], at, v[1]);
        if (n_leaves > 32) {
            __mmask16 is_high = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
            found = _mm512_mask_mov_ps(found, is_high, _mm512_permutex2var_ps(v[2], at, v[3]));
        }
        _mm512_storeu_ps(sums + i, _mm512_add_ps(_mm512_loadu_ps(sums + i), found));
    }
}
#else
typedef int tern_trees_none; /* ISO C forbids an empty file */
#endif
