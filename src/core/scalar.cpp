// One number at a time, for every CPU. Compilers turn the loops over it into vectors of whatever the CPU surely has.

#include "blocks.h"
#include "tally.h"

namespace leaky {
namespace {

// Taken apart before the loop over the numbers and put together after it, so as not to keep that from being vectors.
class Bools {
public:
    explicit Bools(std::uint64_t word) {
        for (std::size_t i = 0; i < kBlock; ++i) bools_[i] = word >> i & 1;
    }
    bool get(std::size_t i) const { return bools_[i] != 0; }
    void set(std::size_t i, bool positive) { bools_[i] = positive; }
    std::uint64_t word() const {
        std::uint64_t word = 0;
        for (std::size_t i = 0; i < kBlock; ++i) word |= std::uint64_t(bools_[i]) << i;
        return word;
    }

private:
    std::uint32_t bools_[kBlock];  // of a width that compilers mix with numbers
};

template <class T>
struct Lanes {
    using Signs = Bools;
    using Vector = compute_t<T>;
    static constexpr std::size_t kCount = 1;

    static Vector all(Vector value) { return value; }
    static Vector load(const T* at) { return widen(*at); }
    static void store(T* at, Vector value) { *at = narrow<T>(value); }
};

}  // namespace

const Kernels kScalar = kernels_of<Lanes>();
const Tallies kScalarTallies = tallies_of<Lanes>();

}  // namespace leaky
