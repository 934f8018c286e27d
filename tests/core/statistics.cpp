// The statistics of units: every kernel against loops on single numbers, between pages that must not be touched.

#include "statistics.h"

#include <cmath>

#include "guarded.h"
#include "harness.h"

namespace harness {
namespace {

constexpr Limits kLimits[] = {{0, kInfinity}, {-kInfinity, kInfinity}, {-1, kInfinity}, {0, 6}, {-0.1, 1e-3}};

struct Block {
    explicit Block(std::size_t units) : words(kRows * units + 1), rows(words.data(), units) {
        std::fill_n(rows.smallest, units, kInfinity);
        std::fill_n(rows.largest, units, -kInfinity);
    }
    std::vector<std::int64_t> words;
    Rows rows;
};

// Sums in one order or another: `size` is that of the terms together.
bool close(double sum, double reference, double size) {
    if (std::isfinite(size * size)) return std::abs(sum - reference) <= 1e-13 * size;
    return true;  // beyond the largest number there is no telling
}

template <class T>
bool right(const Tensor& t, Limits limits, const Rows& actual) {
    const T* const x = static_cast<const T*>(t.x);
    bool right = true;
    for (std::size_t unit = 0; unit < t.units; ++unit) {
        std::int64_t active_samples = 0, active = 0, low = 0, high = 0, nonfinite = 0;
        double smallest = kInfinity, largest = -kInfinity, total = 0, squares = 0, upper = 0, size = 0;
        for (std::size_t sample = 0; sample < t.samples; ++sample) {
            bool any = false;
            for (std::size_t i = 0; i < t.positions(); ++i) {
                const std::size_t row = sample * t.before + i / t.after;
                const double number = widen(x[(row * t.units + unit) * t.after + i % t.after]);
                any |= number > 0;
                active += number > 0;
                low += number <= limits.low;
                high += number >= limits.high;
                nonfinite += !std::isfinite(number);
                if (!std::isfinite(number)) continue;
                smallest = std::min(smallest, number);
                largest = std::max(largest, number);
                total += number;
                squares += number * number;
                upper += std::max(std::min(number, limits.high), 0.0);
                size += std::abs(number);
            }
            active_samples += any;
        }
        right = right && actual.active_samples[unit] == active_samples && actual.active_positions[unit] == active &&
                actual.low[unit] == low && actual.high[unit] == high && actual.nonfinite[unit] == nonfinite &&
                actual.smallest[unit] == smallest && actual.largest[unit] == largest &&
                close(actual.total[unit], total, size) && close(actual.total_squares[unit], squares, squares) &&
                close(actual.total_positive[unit], upper, size);
    }
    return right;
}

template <class T>
class Shapes {
public:
    explicit Shapes(Type type) : type_(type) {
        for (std::size_t i = 0; i < kMost; i += 3) numbers_[i] = narrow<T>(compute_t<T>(i % 11) - 5);
    }

    // As they come, or none that is not finite: the kernels go another way then.
    void check(Tensor tensor, bool finite) {
        if (tensor.count() > kMost) return fail("a shape beyond the harness's own arrays");
        const std::size_t bytes = tensor.count() * sizeof(T);
        for (const bool at_end : {false, true}) {
            unsigned char* const place = room_.place(bytes, 0, at_end);
            T* const x = reinterpret_cast<T*>(place);
            for (std::size_t i = 0; i < tensor.count(); ++i)
                x[i] = finite && !std::isfinite(widen(numbers_[i])) ? narrow<T>(1) : numbers_[i];
            tensor.x = x;
            for (const Limits limits : kLimits) {
                std::vector<std::int64_t> first;
                for (const InstructionSet& set : supported()) {
                    Block block(tensor.units);
                    set.tallies->table[static_cast<int>(type_)](
                        {tensor, limits, 0, tensor.samples, 0, tensor.units, block.rows});
                    if (first.empty()) first = block.words;
                    const char* wrong = nullptr;
                    if (!right<T>(tensor, limits, block.rows)) wrong = "wrong numbers";
                    if (block.words != first) wrong = "not the bits of the first instruction set";
                    if (wrong)
                        fail("%s statistics of %s, shape %zu %zu %zu %zu, limits %g %g, %s: %s", set.name,
                             name_of(type_), tensor.samples, tensor.before, tensor.units, tensor.after, limits.low,
                             limits.high, finite ? "finite" : "any numbers", wrong);
                }
            }
        }
    }

private:
    static constexpr std::size_t kMost = 40'000;
    Type type_;
    std::vector<T> numbers_ = any_numbers<T>(kMost, 8);
    Guarded room_{kMost * sizeof(T)};
};

}  // namespace

void check_statistics() {
    everywhere(kTypes, [](std::uint64_t task) {
        for_each_type([&](auto zero, Type type) {
            if (static_cast<std::uint64_t>(type) != task) return;
            Shapes<decltype(zero)> shapes(type);
            for (const bool finite : {false, true}) {
                for (std::size_t after = 1; after <= 130; ++after)
                    for (const std::size_t samples : {1, 17}) shapes.check({nullptr, samples, 1, 3, after}, finite);
                for (std::size_t units = 1; units <= 130; ++units)
                    for (const std::size_t samples : {1, 66}) shapes.check({nullptr, samples, 1, units, 1}, finite);
                for (const std::size_t before : {2, 3, 64, 67})
                    for (const std::size_t after : {1, 2, 8, 15, 16, 31})
                        shapes.check({nullptr, 3, before, 5, after}, finite);
                shapes.check({nullptr, 2, 5, 1030, 1}, finite);
            }
        });
    });
}

}  // namespace harness
