/* Against the example of RFC 7693 (appendix A, with 32 bytes of output) and other implementations:
 * Python's hashlib.blake2b(bytes(i * 7 & 255 for i in range(n)), digest_size=32). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "base/blake2b.h"

static void print(const unsigned char sum[TERN_BLAKE2B_SIZE], char hex[65])
{
    for (int i = 0; i < TERN_BLAKE2B_SIZE; i++)
        snprintf(hex + (size_t)2 * (size_t)i, 3, "%02x", sum[i]);
}

static void hash(const void *p, size_t n, size_t piece, char hex[65])
{
    unsigned char sum[TERN_BLAKE2B_SIZE];
    struct tern_blake2b h;

    tern_blake2b_init(&h);
    for (size_t at = 0; at < n; at += piece)
        tern_blake2b_add(&h, (const char *)p + at, n - at < piece ? n - at : piece);
    tern_blake2b_end(&h, sum);
    print(sum, hex);
}

static void test_known_sums(void **state)
{
    static const struct {
        size_t n;
        const char *hex;
    } known[] = {
        {0, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"},
        {1, "03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314"},
        {127, "4ff62e7c4c43fe101a078479c48836be4907d9d498dcc577ca89d694b2c11f9b"},
        {128, "14696d2a98d9f8a280da8b132b1045b345e1033759c6b02fcc4ee885c8ae7c37"},
        {129, "3934215260b1039be9d9d2b073b059bcd50120c327a22af93eb4d98cf821c14c"},
        {256, "3d0cb2693dfbac42af5a6cc960953fea8714aa39c4bcd054ef61d6b5e98ade4a"},
        {1000, "6ac4bea923678eb024090384d6e767b5870f849057dc19b172d8d9f2df30bf8e"},
    };
    unsigned char bytes[1000];
    char hex[65];
    (void)state;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 7);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        for (size_t piece = 1; piece <= 300; piece++) {
            hash(bytes, known[i].n, piece, hex);
            assert_string_equal(hex, known[i].hex);
        }
    }
    hash("abc", 3, 3, hex);
    assert_string_equal(hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
