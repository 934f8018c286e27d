#include "exact_sum.h"

#include <algorithm>

#include "float_environment.h"
#include "storage.h"

namespace leaky {
namespace {

// A double as significand * 2^(position - 1074).
struct Parts {
    std::uint64_t significand;
    unsigned position;
    bool negative, finite;

    explicit Parts(double x) {
        const std::uint64_t bits = bits_of(x), fraction = bits & ((std::uint64_t(1) << 52) - 1);
        const auto exponent = static_cast<unsigned>(bits >> 52 & 0x7ff);
        significand = exponent ? fraction | std::uint64_t(1) << 52 : fraction;
        position = exponent ? exponent - 1 : 0;
        negative = bits >> 63;
        finite = exponent != 0x7ff;
    }
};

}  // namespace

Window touched(const double* terms, std::size_t count) {
    Window window{SIZE_MAX, 0};
    for (std::size_t i = 0; i < count; ++i) {
        const Parts x(terms[i]);
        if (!x.finite || x.significand == 0) continue;
        window.first = std::min<std::size_t>(window.first, x.position / 32);
        window.end = std::max<std::size_t>(window.end, x.position / 32 + 3);
    }
    return window.end ? window : Window{0, 0};
}

void add_exactly(const double* terms, std::size_t count, Window window, std::int64_t* limbs, double* beyond) {
    const FloatEnvironment<float> environment;
    constexpr std::uint64_t limb = 0xffffffffu;
    for (std::size_t i = 0; i < count; ++i) {
        const Parts x(terms[i]);
        if (!x.finite) beyond[i] += terms[i];
        if (!x.finite || x.significand == 0) continue;
        const std::uint64_t lower = (x.significand & limb) << x.position % 32;
        const std::uint64_t upper = (x.significand >> 32) << x.position % 32;
        std::int64_t* const at = limbs + (x.position / 32 - window.first) * count + i;
        const std::int64_t sign = x.negative ? -1 : 1;
        at[0] += sign * static_cast<std::int64_t>(lower & limb);
        at[count] += sign * static_cast<std::int64_t>((lower >> 32) + (upper & limb));
        at[2 * count] += sign * static_cast<std::int64_t>(upper >> 32);
    }
}

}  // namespace leaky
