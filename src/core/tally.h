// The body of the statistics kernels: registers of numbers, counted in registers and added up in registers of doubles.
//
// Written in the vector types that gcc and clang have for every processor, as wide as the registers of Lanes<T>, which
// bring the loads and widened<part>(): one of the two registers of doubles that a register of floats makes.
//
// The order of the sums is the same for all. Where a unit's numbers lie in rows, the i-th of a row goes to lane i % 8;
// what rows have beyond a multiple of 16 goes to lanes of its own; at last the lanes are added up. Where units lie side
// by side, each has a lane to itself. Zeros where there are no more numbers change nothing: no sum is ever -0.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "definition.h"
#include "kernels.h"
#include "statistics.h"

namespace leaky {

inline constexpr std::size_t kSumLanes = 8, kStep = 16;
inline constexpr std::size_t kSamplesAtOnce = 16;  // until a unit's lanes are added up
inline constexpr std::size_t kLargeSample = 512;   // positions of a unit: one sample at once, in the order of memory
inline constexpr std::size_t kRowsAtOnce = 64;     // of units side by side: few enough to stay in the nearest cache
inline constexpr std::size_t kUnitsAtOnce = 1024;
inline constexpr std::size_t kAhead = 2048;  // in a row: so far off, numbers are called for from memory; by measurement

template <class Number, std::size_t bytes>
struct VectorOf {
    using type [[gnu::vector_size(bytes)]] = Number;
};

// Whether an instruction set's file brings registers, as vectors called v; the scalar one brings arrays.
template <class Lanes, class = void>
inline constexpr bool has_registers = false;
template <class Lanes>
inline constexpr bool has_registers<Lanes, std::void_t<decltype(Lanes::Vector::v)>> = true;

// A register of numbers of the type that T is computed in.
template <class Lanes, class T>
struct Register {
    using Number = compute_t<T>;
    using Integer = std::conditional_t<sizeof(Number) == 4, std::int32_t, std::int64_t>;
    static constexpr std::size_t kBytes = has_registers<Lanes> ? Lanes::kCount * sizeof(Number) : 16;
    static constexpr std::size_t kCount = kBytes / sizeof(Number);
    static constexpr std::size_t kDoubles = kBytes / sizeof(double);
    static constexpr std::size_t kParts = kCount / kDoubles;

    using Numbers = typename VectorOf<Number, kBytes>::type;
    using Integers = typename VectorOf<Integer, kBytes>::type;  // of comparisons: -1 where they hold
    using Doubles = typename VectorOf<double, kBytes>::type;

    static Numbers all(Number value) { return Numbers{} + value; }

    static Numbers load(const T* at) {
        if constexpr (has_registers<Lanes>) {
            return Lanes::load(at).v;
        } else {
            Numbers x;
            for (std::size_t i = 0; i < kCount; ++i) x[i] = widen(at[i]);
            return x;
        }
    }

    // What lies from `end` on is not touched.
    static Numbers load(const T* at, const T* end) {
        const auto count = static_cast<std::size_t>(end - at);
        if (count >= kCount) return load(at);
        T own[kCount] = {};
        std::memcpy(own, at, count * sizeof(T));
        return load(own);
    }

    // What lies beyond the array may be named too.
    static void prefetch(const T* at, std::size_t count) {
        for (std::size_t i = 0; i < count; i += 64 / sizeof(T)) __builtin_prefetch(at + i);
    }

    static Numbers nan_from(std::size_t count, Numbers x) {
        Integers lane;
        for (std::size_t i = 0; i < kCount; ++i) lane[i] = static_cast<Integer>(i);
        return lane < static_cast<Integer>(count) ? x : all(std::numeric_limits<Number>::quiet_NaN());
    }

    template <std::size_t part>
    static Doubles widened(Numbers x) {
        if constexpr (kParts == 1) {
            return x;
        } else if constexpr (has_registers<Lanes>) {
            return Lanes::template widened<part>(x);
        } else {
            return Doubles{x[2 * part], x[2 * part + 1]};
        }
    }
};

// The limits as numbers of the type: comparisons with them come out as with the doubles.
template <class Lanes, class T>
struct Within {
    using Number = compute_t<T>;
    Number low, high;
    double most;

    explicit Within(Limits limits)
        : low(static_cast<Number>(limits.low)), high(static_cast<Number>(limits.high)), most(limits.high) {
        constexpr Number infinity = std::numeric_limits<Number>::infinity();
        if (low > limits.low) low = std::nextafter(low, -infinity);
        if (high < limits.high) high = std::nextafter(high, infinity);
    }
};

// What was found of one unit.
template <class Lanes, class T>
struct Found {
    std::int64_t active, low, high, nonfinite;
    compute_t<T> smallest, largest;
    double total, total_squares, total_positive;
};

template <class Lanes, class T, std::size_t kSums>
class Tally {
    using R = Register<Lanes, T>;
    using Numbers = typename R::Numbers;
    using Integers = typename R::Integers;
    using Doubles = typename R::Doubles;
    using Number = typename R::Number;

public:
    // Takes in a register of numbers, their sums from the given one on. Returns where they are above 0. If `plain`,
    // counts nothing but that, knows no limits, and lets the sums show whether all numbers were finite.
    template <bool plain>
    Integers take(Numbers x, const Within<Lanes, T>& within, std::size_t sum) {
        const Integers above = x > 0;
        active_ -= above;
        if constexpr (!plain) {
            low_ -= x <= within.low;
            high_ -= x >= within.high;
            const Integers finite = x - x == 0;
            nonfinite_ += finite + 1;
            x = finite ? x : R::all(std::numeric_limits<Number>::quiet_NaN());
        }
        smallest_ = x < smallest_ ? x : smallest_;  // not a NaN
        largest_ = x > largest_ ? x : largest_;
        if constexpr (!plain) x = x == x ? x : Numbers{};
        add<plain>(R::template widened<0>(x), within, sum % kSums);
        if constexpr (R::kParts == 2) add<plain>(R::template widened<1>(x), within, (sum + 1) % kSums);
        return above;
    }

    void add(const Tally& other) {
        active_ += other.active_;
        low_ += other.low_;
        high_ += other.high_;
        nonfinite_ += other.nonfinite_;
        smallest_ = other.smallest_ < smallest_ ? other.smallest_ : smallest_;
        largest_ = other.largest_ > largest_ ? other.largest_ : largest_;
        for (std::size_t i = 0; i < kSums; ++i) {
            total_[i] += other.total_[i];
            total_squares_[i] += other.total_squares_[i];
            total_positive_[i] += other.total_positive_[i];
        }
    }

    Found<Lanes, T> lane(std::size_t i) const {
        return {active_[i], low_[i], high_[i], nonfinite_[i], smallest_[i], largest_[i],
                lane(total_, i), lane(total_squares_, i), lane(total_positive_, i)};
    }

    Found<Lanes, T> lanes() const {
        Found<Lanes, T> all = lane(0);
        for (std::size_t i = 1; i < R::kCount; ++i) {
            all.active += active_[i];
            all.low += low_[i];
            all.high += high_[i];
            all.nonfinite += nonfinite_[i];
            all.smallest = std::min(all.smallest, smallest_[i]);
            all.largest = std::max(all.largest, largest_[i]);
        }
        all.total = sum(total_);
        all.total_squares = sum(total_squares_);
        all.total_positive = sum(total_positive_);
        return all;
    }

private:
    template <bool plain>
    void add(Doubles x, const Within<Lanes, T>& within, std::size_t sum) {
        total_[sum] += x;
        total_squares_[sum] += x * x;
        if constexpr (!plain) x = x < within.most ? x : Doubles{} + within.most;
        total_positive_[sum] += x > 0 ? x : Doubles{};
    }

    static double lane(const Doubles (&sums)[kSums], std::size_t i) { return sums[i / R::kDoubles][i % R::kDoubles]; }

    static double sum(const Doubles (&sums)[kSums]) {
        double of[kSumLanes];
        std::memcpy(of, sums, sizeof of);
        return ((of[0] + of[4]) + (of[2] + of[6])) + ((of[1] + of[5]) + (of[3] + of[7]));
    }

    Integers active_{}, low_{}, high_{}, nonfinite_{};
    Numbers smallest_ = R::all(std::numeric_limits<Number>::infinity());
    Numbers largest_ = R::all(-std::numeric_limits<Number>::infinity());
    Doubles total_[kSums]{}, total_squares_[kSums]{}, total_positive_[kSums]{};
};

template <class Lanes, class T>
class Counting {
    using R = Register<Lanes, T>;
    using Number = typename R::Number;
    using Integers = typename R::Integers;
    using RowTally = Tally<Lanes, T, kSumLanes / R::kDoubles>;
    using ColumnTally = Tally<Lanes, T, R::kParts>;

public:
    explicit Counting(const Portion& portion)
        : p_(portion),
          t_(portion.tensor),
          x_(static_cast<const T*>(t_.x)),
          end_(x_ + t_.count()),
          within_(portion.limits),
          plain_((portion.limits.low == 0 || portion.limits.low == -kInfinity) && portion.limits.high == kInfinity) {}

    void count() {
        if (t_.after > 1)
            rows();
        else
            columns();
    }

private:
    static constexpr double kInfinity = std::numeric_limits<double>::infinity();

    // Each unit's numbers lie in rows, one after the other.
    void rows() {
        const std::size_t at_once = t_.positions() < kLargeSample ? kSamplesAtOnce : 1;
        for (std::size_t sample = p_.first_sample; sample < p_.end_sample; sample += at_once) {
            const std::size_t samples = std::min(at_once, p_.end_sample - sample);
            for (std::size_t unit = p_.first_unit; unit < p_.end_unit; ++unit)
                if (!(plain_ && try_rows<true>(sample, samples, unit))) try_rows<false>(sample, samples, unit);
        }
    }

    // False, with nothing done, if the numbers are not so plain.
    template <bool plain>
    bool try_rows(std::size_t sample, std::size_t samples, std::size_t unit) {
        const T* const row = x_ + (sample * t_.before * t_.units + unit) * t_.after;
        Integers above[kSamplesAtOnce] = {};
        RowTally tally;
        if (t_.after >= kStep) take_steps<plain>(tally, row, samples, above);
        if (t_.after % kStep) take_rests(tally, row, samples, above);

        Found<Lanes, T> found = tally.lanes();
        const std::size_t numbers = samples * t_.positions();
        found.nonfinite -= static_cast<std::int64_t>(samples * t_.before * padding());
        if (plain && (found.nonfinite || !std::isfinite(found.total))) return false;
        add<plain>(unit, found, numbers);
        for (std::size_t i = 0; i < samples; ++i) p_.rows.active_samples[unit] += any(above[i]);
        return true;
    }

    // All but the end of each row.
    template <bool plain>
    void take_steps(RowTally& tally, const T* row, std::size_t samples, Integers* above) {
        RowTally own;  // in registers, of which there are hardly enough: so the ends are not taken on the way
        for (std::size_t i = 0; i < samples; ++i) {
            Integers now_above{};
            for (std::size_t j = 0; j < t_.before; ++j, row += t_.units * t_.after)
                for (std::size_t at = 0; at + kStep <= t_.after; at += kStep) {
                    R::prefetch(row + at + kAhead, kStep);
                    for (std::size_t k = 0; k < kStep; k += R::kCount)
                        now_above |= own.template take<plain>(R::load(row + at + k), within_, k / R::kDoubles);
                }
            above[i] |= now_above;
        }
        tally.add(own);
    }

    void take_rests(RowTally& tally, const T* row, std::size_t samples, Integers* above) {
        RowTally own;
        const std::size_t rest = t_.after % kStep;
        row += t_.after - rest;
        for (std::size_t i = 0; i < samples; ++i) {
            Integers now_above{};
            for (std::size_t j = 0; j < t_.before; ++j, row += t_.units * t_.after)
                for (std::size_t k = 0; k < rest; k += R::kCount) {
                    const auto numbers = R::nan_from(rest - k, R::load(row + k, end_));
                    now_above |= own.template take<false>(numbers, within_, k / R::kDoubles);
                }
            above[i] |= now_above;
        }
        tally.add(own);
    }

    // How many NaNs fill up a row's last register.
    std::size_t padding() const { return (R::kCount - t_.after % R::kCount) % R::kCount; }

    static bool any(Integers which) {
        std::uint64_t words[R::kBytes / 8], all = 0;
        std::memcpy(words, &which, sizeof words);
        for (const std::uint64_t word : words) all |= word;
        return all != 0;
    }

    // The units lie side by side.
    void columns() {
        for (std::size_t unit = p_.first_unit; unit < p_.end_unit; unit += kUnitsAtOnce)
            columns(unit, std::min(unit + kUnitsAtOnce, p_.end_unit));
    }

    void columns(std::size_t first, std::size_t end) {
        std::int64_t *active_samples = p_.rows.active_samples, *active = p_.rows.active_positions, before[kUnitsAtOnce];
        // Samples of one position each can be counted together.
        const std::size_t samples = t_.before == 1 ? kRowsAtOnce : 1;
        for (std::size_t sample = p_.first_sample; sample < p_.end_sample; sample += samples) {
            for (std::size_t i = first; i < end; ++i) before[i - first] = active[i];
            const std::size_t end_row = std::min(sample + samples, p_.end_sample) * t_.before;
            for (std::size_t row = sample * t_.before; row < end_row; row += kRowsAtOnce) {
                const std::size_t rows = std::min(kRowsAtOnce, end_row - row);
                for (std::size_t unit = first; unit < end; unit += R::kCount)
                    if (!(plain_ && try_columns<true>(row, rows, unit))) try_columns<false>(row, rows, unit);
            }
            for (std::size_t i = first; i < end; ++i) {
                const std::int64_t positions = active[i] - before[i - first];
                active_samples[i] += t_.before == 1 ? positions : positions > 0;
            }
        }
    }

    template <bool plain>
    bool try_columns(std::size_t row, std::size_t count, std::size_t unit) {
        ColumnTally tally;
        const T* at = x_ + row * t_.units + unit;
        for (std::size_t i = 0; i < count; ++i, at += t_.units) {
            R::prefetch(at + kRowsAtOnce * t_.units, R::kCount);
            tally.template take<plain>(R::load(at, end_), within_, 0);
        }
        const std::size_t lanes = std::min(R::kCount, p_.end_unit - unit);
        Found<Lanes, T> found[R::kCount];
        for (std::size_t i = 0; i < lanes; ++i) {
            found[i] = tally.lane(i);
            if (plain && !std::isfinite(found[i].total)) return false;
        }
        for (std::size_t i = 0; i < lanes; ++i) add<plain>(unit + i, found[i], count);
        return true;
    }

    template <bool plain>
    void add(std::size_t unit, const Found<Lanes, T>& found, std::size_t numbers) {
        const Rows& rows = p_.rows;
        rows.active_positions[unit] += found.active;
        rows.smallest[unit] = std::min<double>(rows.smallest[unit], found.smallest) + 0.0;
        rows.largest[unit] = std::max<double>(rows.largest[unit], found.largest) + 0.0;
        rows.total[unit] += found.total;
        rows.total_squares[unit] += found.total_squares;
        rows.total_positive[unit] += found.total_positive;
        if constexpr (plain) {
            if (p_.limits.low == 0) rows.low[unit] += static_cast<std::int64_t>(numbers) - found.active;
        } else {
            rows.low[unit] += found.low;
            rows.high[unit] += found.high;
            rows.nonfinite[unit] += found.nonfinite;
        }
    }

    const Portion& p_;
    const Tensor& t_;
    const T *x_, *end_;
    Within<Lanes, T> within_;
    bool plain_;  // no limits, but perhaps 0 below
};

template <class Lanes, class T>
void tally(const Portion& portion) {
    Counting<Lanes, T>(portion).count();
}

// The kernels of one instruction set, one for each type.
template <template <class> class Lanes>
constexpr Tallies tallies_of() {
    Tallies tallies{};
#define LEAKY_TYPE(type, T) tallies.table[static_cast<std::size_t>(Type::type)] = tally<Lanes<T>, T>;
    LEAKY_TYPES(LEAKY_TYPE)
#undef LEAKY_TYPE
    return tallies;
}

}  // namespace leaky
