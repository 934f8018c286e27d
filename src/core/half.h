// IEEE binary16 as a storage type: exact to float, correctly rounded (to nearest, ties to even) from float.
// Bit operations rather than _Float16, which not every C++17 compiler has.

#pragma once

#include <cstdint>
#include <cstring>

namespace leaky {

inline std::uint32_t bits_of(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float float_of(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

struct half {
    std::uint16_t bits;

    half() = default;
    explicit half(float value) : bits(rounded(value)) {}

    explicit operator float() const {
        const std::uint32_t sign = (bits & 0x8000u) << 16;
        const std::uint32_t magnitude = (bits & 0x7fffu) << 13;
        if (magnitude >= 0x7c00u << 13)  // infinity, NaN
            return float_of(sign | 0x7f800000u | magnitude);
        // In a float's fields the number stands 2^112 too low; scaling is exact, for subnormals too.
        return float_of(sign | bits_of(float_of(magnitude) * 0x1p112f));
    }

private:
    static std::uint16_t rounded(float value) {
        const std::uint32_t sign = bits_of(value) >> 16 & 0x8000u;
        const std::uint32_t magnitude = bits_of(value) & 0x7fffffffu;
        return static_cast<std::uint16_t>(sign | rounded_magnitude(magnitude));
    }

    static std::uint32_t rounded_magnitude(std::uint32_t magnitude) {
        if (magnitude > 0x7f800000u)  // NaN: quiet, with the upper payload bits
            return 0x7e00u | (magnitude >> 13 & 0x3ffu);
        if (magnitude >= 0x47800000u)  // 2^16 and above
            return 0x7c00u;
        if (magnitude < 0x38800000u)  // below 2^-14, half's subnormals: next to 0.5 floats are 2^-24 apart, as those are
            return bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
        // Re-bias the exponent, add half a unit less the tie's share; a carry runs on into the exponent, up to infinity.
        const std::uint32_t odd = magnitude >> 13 & 1u;
        return (magnitude - 0x38000000u + 0xfffu + odd) >> 13;
    }
};

}  // namespace leaky
