// One number at a time, for every CPU. Compilers turn the loops over it into vectors of whatever the CPU surely has.

#include "blocks.h"

namespace leaky {
namespace {

template <class T>
struct Lanes {
    using Vector = compute_t<T>;
    static constexpr std::size_t kCount = 1;

    static Vector all(Vector value) { return value; }
    static Vector load(const T* at) { return widen(*at); }
    static void store(T* at, Vector value) { *at = narrow<T>(value); }
    static unsigned to_bits(bool positive) { return positive; }
    static bool from_bits(std::uint64_t bits) { return bits & 1; }
};

}  // namespace

const Kernels kScalar = kernels_of<Lanes>();

}  // namespace leaky
