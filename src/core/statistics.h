// What evidence about the units at an activation is made of, counted in one pass over a tensor of pre-activations.
// batch_statistics() in src/leaky/evidence/statistics.py says the same in NumPy, and the tests hold the two together.

#pragma once

#include <cstdint>

#include "kernels.h"

namespace leaky {

// A dense tensor, seen as samples x before x units x after: images are samples x 1 x channels x (height * width), or
// samples x (height * width) x channels x 1 where the channels lie innermost.
struct Tensor {
    const void* x = nullptr;
    std::size_t samples = 0, before = 0, units = 0, after = 0;

    std::size_t positions() const { return before * after; }  // of a unit in a sample
    std::size_t count() const { return samples * before * units * after; }
};

// At or beyond which numbers are counted as low and high.
struct Limits {
    double low, high;
};

inline constexpr std::size_t kRows = 10;

// What is found out: rows of 64-bit words, one word for each unit.
struct Rows {
    std::int64_t* active_samples;    // on which the unit is above 0 somewhere
    std::int64_t* active_positions;  // at which it is
    std::int64_t* low;
    std::int64_t* high;
    std::int64_t* nonfinite;
    double* smallest;  // of the finite numbers, else inf; never -0
    double* largest;
    double* total;  // of the finite numbers, in an order that depends on nothing but the tensor's shape
    double* total_squares;
    double* total_positive;  // of those above 0, each no larger than the upper limit

    Rows(void* block, std::size_t units);
};

// Counts, whatever the caller's floating-point environment; large tensors are shared among threads.
void statistics(Type type, const Tensor& tensor, Limits limits, void* block);

// What one kernel does: adds what it finds for some of the samples and some of the units to the rows.
// Wants a FloatEnvironment around it.
struct Portion {
    Tensor tensor;
    Limits limits;
    std::size_t first_sample, end_sample, first_unit, end_unit;
    Rows rows;
};

}  // namespace leaky
