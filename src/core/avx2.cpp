// AVX2, with F16C for float16.

#if defined(__x86_64__)

#include <immintrin.h>

#include "blocks.h"
#include "tally.h"

// Hides from the compiler how a value came about, at no cost. clang would else put select(mask, x, x * slope) as
// x * select(mask, 1, slope), which makes signalling NaNs quiet, and compare float16 before converting it, one by one.
#define LEAKY_OPAQUE(value) __asm__("" : "+x"(value))

namespace leaky {
namespace {

struct Floats {
    __m256 v;
};
inline Floats operator*(Floats a, Floats b) {
    __m256 product = _mm256_mul_ps(a.v, b.v);
    LEAKY_OPAQUE(product);
    return {product};
}
inline __m256 positive(Floats x) { return _mm256_cmp_ps(x.v, _mm256_setzero_ps(), _CMP_GT_OQ); }
inline Floats select(__m256 mask, Floats yes, Floats no) { return {_mm256_blendv_ps(no.v, yes.v, mask)}; }

struct Doubles {
    __m256d v;
};
inline Doubles operator*(Doubles a, Doubles b) {
    __m256d product = _mm256_mul_pd(a.v, b.v);
    LEAKY_OPAQUE(product);
    return {product};
}
inline __m256d positive(Doubles x) { return _mm256_cmp_pd(x.v, _mm256_setzero_pd(), _CMP_GT_OQ); }
inline Doubles select(__m256d mask, Doubles yes, Doubles no) { return {_mm256_blendv_pd(no.v, yes.v, mask)}; }

struct OfFloats {
    using Vector = Floats;
    static constexpr std::size_t kCount = 8;
    static constexpr bool kStreams = true;

    static Vector all(float value) { return {_mm256_set1_ps(value)}; }
    static unsigned to_bits(__m256 mask) { return _mm256_movemask_ps(mask); }
    static __m256 from_bits(std::uint64_t bits) {
        const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), lane);
        return _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lane));
    }
    static void end_stream() { _mm_sfence(); }
    template <std::size_t part>
    static __m256d widened(__m256 x) {
        return _mm256_cvtps_pd(part ? _mm256_extractf128_ps(x, 1) : _mm256_castps256_ps128(x));
    }
};

template <class T>
struct Lanes;

template <>
struct Lanes<float> : OfFloats {
    static Vector load(const float* at) { return {_mm256_loadu_ps(at)}; }
    static void store(float* at, Vector x) { _mm256_storeu_ps(at, x.v); }
    static void stream(float* at, Vector x) { _mm256_stream_ps(at, x.v); }
};

// The two types of 16 bits, by their conversions.
template <class T, class Conversion>
struct Narrow : OfFloats {
    static Vector load(const T* at) {
        return {Conversion::widened(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)))};
    }
    static void store(T* at, Vector x) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(at), Conversion::narrowed(x.v));
    }
    static void stream(T* at, Vector x) {
        _mm_stream_si128(reinterpret_cast<__m128i*>(at), Conversion::narrowed(x.v));
    }
};

struct HalfConversion {
    static __m256 widened(__m128i x) {
        __m256 wide = _mm256_cvtph_ps(x);
        LEAKY_OPAQUE(wide);
        return wide;
    }
    static __m128i narrowed(__m256 x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }
};

// As narrow<bfloat16>() does it.
struct Bfloat16Conversion {
    static __m256 widened(__m128i x) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
    }
    static __m128i narrowed(__m256 x) {
        const __m256i bits = _mm256_castps_si256(x);
        const __m256i upper = _mm256_srli_epi32(bits, 16);
        const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
        const __m256i rounding = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
        const __m256i number = _mm256_srli_epi32(_mm256_add_epi32(bits, rounding), 16);
        const __m256i nan = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
        const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
        const __m256i result = _mm256_blendv_epi8(number, nan, is_nan);
        return _mm_packus_epi32(_mm256_castsi256_si128(result), _mm256_extracti128_si256(result, 1));
    }
};

template <>
struct Lanes<half> : Narrow<half, HalfConversion> {};
template <>
struct Lanes<bfloat16> : Narrow<bfloat16, Bfloat16Conversion> {};

template <>
struct Lanes<double> {
    using Vector = Doubles;
    static constexpr std::size_t kCount = 4;
    static constexpr bool kStreams = true;

    static Vector all(double value) { return {_mm256_set1_pd(value)}; }
    static Vector load(const double* at) { return {_mm256_loadu_pd(at)}; }
    static void store(double* at, Vector x) { _mm256_storeu_pd(at, x.v); }
    static void stream(double* at, Vector x) { _mm256_stream_pd(at, x.v); }
    static unsigned to_bits(__m256d mask) { return _mm256_movemask_pd(mask); }
    static __m256d from_bits(std::uint64_t bits) {
        const __m256i lane = _mm256_setr_epi64x(1, 2, 4, 8);
        const __m256i set = _mm256_and_si256(_mm256_set1_epi64x(static_cast<long long>(bits)), lane);
        return _mm256_castsi256_pd(_mm256_cmpeq_epi64(set, lane));
    }
    static void end_stream() { _mm_sfence(); }
};

}  // namespace

const Kernels kAvx2 = kernels_of<Lanes>();
const Tallies kAvx2Tallies = tallies_of<Lanes>();

}  // namespace leaky

#endif
