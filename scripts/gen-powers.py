#!/usr/bin/env python3
"""Writes src/simd/powers_table.h: the leading 128 bits of 10^k, rounded down, for every k that a
finite double can need, and small negative powers as pairs of doubles. Exact integer arithmetic, so there is nothing to trust but these lines.
Usage: scripts/gen-powers.py > src/simd/powers_table.h"""

from fractions import Fraction

K_MIN, K_MAX = -342, 324


def leading_bits(k, bits=128):
    """floor(10^k * 2^s) for the s that makes the result exactly `bits` bits long."""
    if k >= 0:
        value = 10**k
        shift = bits - value.bit_length()
        return value << shift if shift >= 0 else value >> -shift
    scale = bits + (10**-k).bit_length()
    value = (1 << scale) // 10**-k
    return value >> (value.bit_length() - bits)


print("/* Written by scripts/gen-powers.py. Row i: the leading 128 bits of 10^(i + TERN_POWERS_MIN),")
print(" * rounded down, high half first. */")
print("/* clang-format off */")
print("#ifdef TERN_POWERS_WIDE")
for k in range(K_MIN, K_MAX + 1):
    m = leading_bits(k)
    assert m.bit_length() == 128
    print(f"{{0x{m >> 64:016x}u, 0x{m & (2**64 - 1):016x}u}}, /* 1e{k} */")
print("#endif")
print()
print("/* 10^-i as the unevaluated sum of two doubles: tern_powers_negative[0][i] + [1][i]. */")
print("#ifdef TERN_POWERS_NEGATIVE")
for part in range(2):
    print("{")
    for i in range(24):
        exact = Fraction(1, 10**i)
        high = float(exact)
        print(f"    {(high if part == 0 else float(exact - Fraction(high))).hex()},")
    print("},")
print("#endif")
print("/* clang-format on */")
