// IEEE binary16 and bfloat16 as storage types: exact to float, correctly rounded (to nearest, ties to even) from float.
// NaNs become quiet and keep their sign and upper payload bits, as in x86's own conversions. Bit operations rather than
// _Float16, which not every C++17 compiler has, and without branches, so that loops over them become vector code.

#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace leaky {

template <class F>
using bits_t = std::conditional_t<sizeof(F) == 4, std::uint32_t, std::uint64_t>;

template <class F>
inline bits_t<F> bits_of(F value) {
    bits_t<F> bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

template <class F>
inline F float_of(bits_t<F> bits) {
    F value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// One of two patterns of bits: unlike ?: it leaves the compiler no branch to make of it.
template <class Bits>
inline Bits select_bits(bool condition, Bits yes, Bits no) {
    const Bits chosen = Bits(0) - Bits(condition);
    return (yes & chosen) | (no & ~chosen);
}

// Plain integers to the compiler, unlike structs, so that it can put several into a vector.
enum class half : std::uint16_t {};
enum class bfloat16 : std::uint16_t {};

// The type that arithmetic is done in: the slope is rounded to it once, the result is rounded once from it.
template <class T>
using compute_t = std::conditional_t<sizeof(T) == 2, float, T>;

inline float widen(float x) { return x; }
inline double widen(double x) { return x; }
inline long double widen(long double x) { return x; }

inline float widen(half x) {
    const std::uint32_t bits = static_cast<std::uint16_t>(x);
    const std::uint32_t sign = (bits & 0x8000u) << 16;
    const std::uint32_t magnitude = (bits & 0x7fffu) << 13;
    // In a float's fields the number stands 2^112 too low; scaling is exact, for subnormals too.
    const std::uint32_t finite = bits_of(float_of<float>(magnitude) * 0x1p112f);
    return float_of<float>(sign | select_bits(magnitude >= 0x7c00u << 13, 0x7f800000u | magnitude, finite));
}

inline float widen(bfloat16 x) { return float_of<float>(std::uint32_t(static_cast<std::uint16_t>(x)) << 16); }

template <class T>
inline T narrow(compute_t<T> x) {
    return x;
}

template <>
inline half narrow<half>(float x) {
    const std::uint32_t sign = bits_of(x) >> 16 & 0x8000u;
    const std::uint32_t magnitude = bits_of(x) & 0x7fffffffu;
    // Re-bias the exponent, add half a unit less the tie's share; a carry runs on into the exponent, up to infinity.
    const std::uint32_t normal = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
    // Below 2^-14, half's subnormals: next to 0.5, floats are 2^-24 apart, as those are.
    const std::uint32_t subnormal = bits_of(float_of<float>(magnitude) + 0.5f) - bits_of(0.5f);
    const std::uint32_t nan = 0x7e00u | (magnitude >> 13 & 0x3ffu);
    std::uint32_t result = select_bits(magnitude < 0x38800000u, subnormal, normal);
    result = select_bits(magnitude >= 0x47800000u, 0x7c00u, result);  // 2^16 and above
    result = select_bits(magnitude > 0x7f800000u, nan, result);
    return static_cast<half>(sign | result);
}

template <>
inline bfloat16 narrow<bfloat16>(float x) {
    const std::uint32_t bits = bits_of(x);
    const std::uint32_t number = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    const std::uint32_t nan = bits >> 16 | 0x40u;
    return static_cast<bfloat16>(select_bits((bits & 0x7fffffffu) > 0x7f800000u, nan, number));
}

}  // namespace leaky
