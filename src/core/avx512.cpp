// AVX-512 (F, BW, DQ, VL).

#if defined(__x86_64__)

#include <immintrin.h>

#include "blocks.h"
#include "tally.h"

// Hides from the compiler how a value came about, at no cost. clang would else put select(mask, x, x * slope) as
// x * select(mask, 1, slope), which makes signalling NaNs quiet, and compare float16 before converting it, one by one.
#define LEAKY_OPAQUE(value) __asm__("" : "+v"(value))

namespace leaky {
namespace {

struct Floats {
    __m512 v;
};
inline Floats operator*(Floats a, Floats b) {
    __m512 product = _mm512_mul_ps(a.v, b.v);
    LEAKY_OPAQUE(product);
    return {product};
}
inline __mmask16 positive(Floats x) { return _mm512_cmp_ps_mask(x.v, _mm512_setzero_ps(), _CMP_GT_OQ); }
inline Floats select(__mmask16 mask, Floats yes, Floats no) { return {_mm512_mask_blend_ps(mask, no.v, yes.v)}; }

struct Doubles {
    __m512d v;
};
inline Doubles operator*(Doubles a, Doubles b) {
    __m512d product = _mm512_mul_pd(a.v, b.v);
    LEAKY_OPAQUE(product);
    return {product};
}
inline __mmask8 positive(Doubles x) { return _mm512_cmp_pd_mask(x.v, _mm512_setzero_pd(), _CMP_GT_OQ); }
inline Doubles select(__mmask8 mask, Doubles yes, Doubles no) { return {_mm512_mask_blend_pd(mask, no.v, yes.v)}; }

struct OfFloats {
    using Vector = Floats;
    static constexpr std::size_t kCount = 16;
    static constexpr bool kStreams = true;

    static Vector all(float value) { return {_mm512_set1_ps(value)}; }
    static unsigned to_bits(__mmask16 mask) { return mask; }
    static __mmask16 from_bits(std::uint64_t bits) { return static_cast<__mmask16>(bits); }
    static void end_stream() { _mm_sfence(); }
    template <std::size_t part>
    static __m512d widened(__m512 x) {
        return _mm512_cvtps_pd(part ? _mm512_extractf32x8_ps(x, 1) : _mm512_castps512_ps256(x));
    }
};

template <class T>
struct Lanes;

template <>
struct Lanes<float> : OfFloats {
    static Vector load(const float* at) { return {_mm512_loadu_ps(at)}; }
    static void store(float* at, Vector x) { _mm512_storeu_ps(at, x.v); }
    static void stream(float* at, Vector x) { _mm512_stream_ps(at, x.v); }
};

// The two types of 16 bits, by their conversions.
template <class T, class Conversion>
struct Narrow : OfFloats {
    static Vector load(const T* at) {
        return {Conversion::widened(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)))};
    }
    static void store(T* at, Vector x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), Conversion::narrowed(x.v));
    }
    static void stream(T* at, Vector x) {
        _mm256_stream_si256(reinterpret_cast<__m256i*>(at), Conversion::narrowed(x.v));
    }
};

struct HalfConversion {
    static __m512 widened(__m256i x) {
        __m512 wide = _mm512_cvtph_ps(x);
        LEAKY_OPAQUE(wide);
        return wide;
    }
    static __m256i narrowed(__m512 x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }
};

// As narrow<bfloat16>() does it. The CPU's own conversion, where it has one, flushes subnormals.
struct Bfloat16Conversion {
    static __m512 widened(__m256i x) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
    }
    static __m256i narrowed(__m512 x) {
        const __m512i bits = _mm512_castps_si512(x);
        const __m512i upper = _mm512_srli_epi32(bits, 16);
        const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
        const __m512i rounding = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
        const __m512i number = _mm512_srli_epi32(_mm512_add_epi32(bits, rounding), 16);
        const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
        return _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(number, is_nan, upper, _mm512_set1_epi32(0x40)));
    }
};

template <>
struct Lanes<half> : Narrow<half, HalfConversion> {};
template <>
struct Lanes<bfloat16> : Narrow<bfloat16, Bfloat16Conversion> {};

template <>
struct Lanes<double> {
    using Vector = Doubles;
    static constexpr std::size_t kCount = 8;
    static constexpr bool kStreams = true;

    static Vector all(double value) { return {_mm512_set1_pd(value)}; }
    static Vector load(const double* at) { return {_mm512_loadu_pd(at)}; }
    static void store(double* at, Vector x) { _mm512_storeu_pd(at, x.v); }
    static void stream(double* at, Vector x) { _mm512_stream_pd(at, x.v); }
    static unsigned to_bits(__mmask8 mask) { return mask; }
    static __mmask8 from_bits(std::uint64_t bits) { return static_cast<__mmask8>(bits); }
    static void end_stream() { _mm_sfence(); }
};

}  // namespace

const Kernels kAvx512 = kernels_of<Lanes>();
const Tallies kAvx512Tallies = tallies_of<Lanes>();

}  // namespace leaky

#endif
