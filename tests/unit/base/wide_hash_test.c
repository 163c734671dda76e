/* A hash is tested by what it tells apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "base/wide_hash.h"

#define BYTES 300

static const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

static void hash(const uint64_t k[2], const void *p, size_t n, uint64_t ret[4])
{
    struct tern_wide_hash h;

    tern_wide_hash_init(&h, k);
    tern_wide_hash_add(&h, p, n);
    tern_wide_hash_end(&h, ret);
}

/* No word of one is the same word of the other: what a changed bit has to do. */
static void assert_apart(const uint64_t a[4], const uint64_t b[4])
{
    for (int i = 0; i < 4; i++)
        assert_true(a[i] != b[i]);
}

static void test_pieces_of_any_size_are_one_message(void **state)
{
    unsigned char bytes[BYTES];
    uint64_t whole[4], parts[4];
    (void)state;

    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (unsigned char)(i * 7);
    hash(key, bytes, BYTES, whole);
    for (size_t piece = 1; piece <= BYTES; piece++) {
        struct tern_wide_hash h;
        tern_wide_hash_init(&h, key);
        for (size_t at = 0; at < BYTES; at += piece)
            tern_wide_hash_add(&h, bytes + at, BYTES - at < piece ? BYTES - at : piece);
        tern_wide_hash_add(&h, NULL, 0);
        tern_wide_hash_end(&h, parts);
        assert_memory_equal(parts, whole, sizeof(whole));
    }
}

static void test_every_bit_of_message_and_key_counts(void **state)
{
    unsigned char bytes[BYTES] = {0};
    uint64_t whole[4], other[4];
    (void)state;

    hash(key, bytes, BYTES, whole);
    for (size_t bit = 0; bit < (size_t)8 * BYTES; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        hash(key, bytes, BYTES, other);
        assert_apart(whole, other);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (int bit = 0; bit < 128; bit++) {
        uint64_t k[2] = {key[0], key[1]};
        k[bit / 64] ^= UINT64_C(1) << bit % 64;
        hash(k, bytes, BYTES, other);
        assert_apart(whole, other);
    }
}

static void test_zeros_at_the_end_are_not_padding(void **state)
{
    unsigned char zeros[BYTES] = {0};
    uint64_t sums[BYTES][4];
    (void)state;

    for (size_t n = 0; n < BYTES; n++)
        hash(key, zeros, n, sums[n]);
    for (size_t a = 0; a < BYTES; a++) {
        for (size_t b = a + 1; b < BYTES; b++)
            assert_apart(sums[a], sums[b]);
    }
}

/* What one lane takes must not cancel out in another. */
static void test_words_may_not_change_places(void **state)
{
    uint64_t words[8] = {1, 2, 3, 4, 5, 6, 7, 8}, whole[4], other[4];
    (void)state;

    hash(key, words, sizeof(words), whole);
    for (int a = 0; a < 8; a++) {
        for (int b = a + 1; b < 8; b++) {
            uint64_t swapped[8];
            memcpy(swapped, words, sizeof(words));
            swapped[a] = words[b];
            swapped[b] = words[a];
            hash(key, swapped, sizeof(swapped), other);
            assert_apart(whole, other);
        }
    }
}

/* Each bit of the sum is one half of the time. */
static void test_sums_look_random(void **state)
{
    int ones[256] = {0};
    uint64_t sum[4];
    (void)state;

    for (uint64_t i = 0; i < 4096; i++) {
        hash(key, &i, sizeof(i), sum);
        for (int bit = 0; bit < 256; bit++)
            ones[bit] += (int)(sum[bit / 64] >> bit % 64 & 1);
    }
    for (int bit = 0; bit < 256; bit++) /* 6 standard deviations */
        assert_true(ones[bit] > 2048 - 192 && ones[bit] < 2048 + 192);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_of_any_size_are_one_message),
        cmocka_unit_test(test_every_bit_of_message_and_key_counts),
        cmocka_unit_test(test_zeros_at_the_end_are_not_padding),
        cmocka_unit_test(test_words_may_not_change_places),
        cmocka_unit_test(test_sums_look_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
