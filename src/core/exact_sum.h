// Sums of doubles that are exact, and so do not depend on the order of the additions.
//
// Each is a fixed-point number as long as doubles reach, in limbs of 32 bits that count in units of
// 2^(32 limb - 1074), signed and kept in 64 bits: carries are for who reads them, and 2^30 additions have room.
// Only a window of the limbs is kept, for all sums the same: the numbers of one network do not reach far.

#pragma once

#include <cstddef>
#include <cstdint>

namespace leaky {

struct Window {
    std::size_t first, end;
};

// The limbs that the terms touch; those of zeros, infinities and NaNs do not count. Empty if there are none.
Window touched(const double* terms, std::size_t count);

// Adds one term to each sum. `limbs` has the window's limbs one after the other, each of all the sums. Infinities and
// NaNs go to `beyond`, which has a double for each sum.
void add_exactly(const double* terms, std::size_t count, Window window, std::int64_t* limbs, double* beyond);

}  // namespace leaky
