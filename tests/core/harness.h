// Checks of the kernels, bit for bit, against the definition on single numbers.

#pragma once

#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "definition.h"
#include "float_environment.h"
#include "kernels.h"
#include "run.h"
#include "threads.h"

namespace harness {

using namespace leaky;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kSlopes[] = {0, 0.01, 0.2, 1, 2, -0.5, kInfinity};

#define LEAKY_NAME(name, ...) #name,
inline const char* name_of(Operation op) {
    static const char* const names[] = {LEAKY_OPERATIONS(LEAKY_NAME)};
    return names[static_cast<int>(op)];
}
inline const char* name_of(Type type) {
    static const char* const names[] = {LEAKY_TYPES(LEAKY_NAME)};
    return names[static_cast<int>(type)];
}
#undef LEAKY_NAME

#define LEAKY_NAME(name, ...) Operation::name,
constexpr Operation kAllOperations[] = {LEAKY_OPERATIONS(LEAKY_NAME)};
#undef LEAKY_NAME

inline std::vector<InstructionSet> supported() {
    std::vector<InstructionSet> sets;
    for (const InstructionSet& set : instruction_sets())
        if (set.supported()) sets.push_back(set);
    return sets;
}

// Counts failures, prints the first few.
inline std::atomic<int> failures{0};

[[gnu::format(printf, 1, 2)]] inline void fail(const char* format, ...) {
    if (failures++ >= 20) return;
    char line[400];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    std::printf("%s\n", line);
}

// What a run should give, by the definition.
template <class T>
void reference(Operation op, const Run& run) {
    using C = compute_t<T>;
    auto *x = static_cast<const T*>(run.x), *grad = static_cast<const T*>(run.grad);
    auto* y = static_cast<T*>(run.y);
    const C slope = static_cast<C>(run.slope);
    const std::size_t n = run.count;
    switch (op) {
        case Operation::forward_with_mask:
        case Operation::forward:
            for (std::size_t i = 0; i < n; ++i) y[i] = narrow<T>(leaky_relu(widen(x[i]), slope));
            break;
        case Operation::derivative:
            for (std::size_t i = 0; i < n; ++i) y[i] = narrow<T>(leaky_relu_derivative(widen(x[i]), C(1), slope));
            break;
        case Operation::backward:
            for (std::size_t i = 0; i < n; ++i)
                y[i] = narrow<T>(leaky_relu_backward(widen(grad[i]), widen(x[i]), slope));
            break;
        case Operation::backward_from_mask:
            for (std::size_t i = 0; i < n; ++i) {
                const bool active = run.mask[i / 8] >> i % 8 & 1;
                y[i] = narrow<T>(leaky_relu_backward_from_mask(widen(grad[i]), active, slope));
            }
            break;
        case Operation::copy:
            for (std::size_t i = 0; i < n; ++i) y[i] = narrow<T>(widen(x[i]));
            break;
        case Operation::mask: break;
    }
    if (writes_mask(op)) {
        for (std::size_t i = 0; i < n; i += 8) {
            unsigned byte = 0;
            for (std::size_t bit = 0; bit < 8 && i + bit < n; ++bit) byte |= positive(widen(x[i + bit])) << bit;
            run.mask[i / 8] = static_cast<unsigned char>(byte);
        }
    }
}

// Calls check(T{}, type) for each type.
template <class Check>
void for_each_type(Check check) {
#define LEAKY_TYPE(name, T) check(T{}, Type::name);
    LEAKY_TYPES(LEAKY_TYPE)
#undef LEAKY_TYPE
}

// Calls work(i) for each i below count, on all cores.
template <class F>
void everywhere(std::uint64_t count, F work) {
    std::atomic<std::uint64_t> next{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < std::thread::hardware_concurrency(); ++t)
        threads.emplace_back([&] {
            const FloatEnvironment<float> environment;
            for (std::uint64_t i; (i = next++) < count;) work(i);
        });
    for (std::thread& thread : threads) thread.join();
}

inline std::uint64_t scrambled(std::uint64_t i) {  // splitmix64
    i = (i + 0x9e3779b97f4a7c15u);
    i = (i ^ i >> 30) * 0xbf58476d1ce4e5b9u;
    i = (i ^ i >> 27) * 0x94d049bb133111ebu;
    return i ^ i >> 31;
}

// Any bits: numbers of every magnitude, and subnormals, infinities and NaNs among them.
template <class T>
std::vector<T> any_numbers(std::size_t count, std::uint64_t seed) {
    std::vector<T> numbers(count);
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t bits = scrambled(seed * 0x10001 + i) >> (64 - 8 * sizeof(T));
        std::memcpy(&numbers[i], &bits, sizeof(T));
    }
    return numbers;
}

void check_values();      // every number
void check_pairs();       // every pair of float16
void check_layouts();     // every alignment and length, in place, overlapping, between guard pages
void check_statistics();  // of units, in every shape
void check_parallel();    // large runs, threads, the caller's floating-point environment

}  // namespace harness
