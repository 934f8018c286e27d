// For every CPU: plain loops over a few numbers, which compilers turn into vectors of whatever the CPU surely has.

#include <cstring>

#include "blocks.h"
#include "tally.h"

namespace leaky {
namespace {

template <class C, std::size_t n>
struct Numbers {
    C at[n];
};

template <class C, std::size_t n>
struct Bools {
    bits_t<C> at[n];  // 0 or 1, of a width that compilers mix with numbers
};

template <class C, std::size_t n>
Numbers<C, n> operator*(const Numbers<C, n>& a, const Numbers<C, n>& b) {
    Numbers<C, n> product;
    for (std::size_t i = 0; i < n; ++i) product.at[i] = a.at[i] * b.at[i];
    hide_origin(product);
    return product;
}

template <class C, std::size_t n>
Bools<C, n> positive(const Numbers<C, n>& x) {
    Bools<C, n> are;
    for (std::size_t i = 0; i < n; ++i) are.at[i] = leaky::positive(x.at[i]);
    return are;
}

template <class C, std::size_t n>
Numbers<C, n> select(const Bools<C, n>& condition, const Numbers<C, n>& yes, const Numbers<C, n>& no) {
    Numbers<C, n> chosen;
    for (std::size_t i = 0; i < n; ++i)
        chosen.at[i] = float_of<C>(select_bits(condition.at[i] != 0, bits_of(yes.at[i]), bits_of(no.at[i])));
    return chosen;
}

// Memory need not be aligned for T: numbers are copied, one by one, which costs nothing.
template <class T>
struct Lanes {
    // Few enough for compilers to keep in registers, and enough to fill them.
    static constexpr std::size_t kCount = 32 / sizeof(T);
    static constexpr bool kStreams = false;
    using C = compute_t<T>;
    using Vector = Numbers<C, kCount>;
    using Mask = Bools<C, kCount>;

    static Vector all(C value) {
        Vector numbers;
        for (C& number : numbers.at) number = value;
        return numbers;
    }
    static Vector load(const T* from) {
        Vector numbers;
        for (std::size_t i = 0; i < kCount; ++i) {
            T number;
            std::memcpy(&number, from + i, sizeof number);
            numbers.at[i] = widen(number);
        }
        return numbers;
    }
    static void store(T* to, const Vector& numbers) {
        for (std::size_t i = 0; i < kCount; ++i) {
            const T number = narrow<T>(numbers.at[i]);
            std::memcpy(to + i, &number, sizeof number);
        }
    }
    static unsigned to_bits(Mask mask) {
#if !defined(__clang__)
        __asm__("" : "+m"(mask));  // gcc else computes each bit by itself, from the number on
#endif
        unsigned bits = 0;
        for (std::size_t i = 0; i < kCount; ++i) bits |= unsigned(mask.at[i]) << i;
        return bits;
    }
    static Mask from_bits(std::uint64_t bits) {
        Mask mask;
        for (std::size_t i = 0; i < kCount; ++i) mask.at[i] = bits >> i & 1;
        return mask;
    }
};

}  // namespace

const Kernels kScalar = kernels_of<Lanes>();
const Tallies kScalarTallies = tallies_of<Lanes>();

}  // namespace leaky
