// Every number there is: 2^32 of float32, 2^16 of float16 and bfloat16, and float64 by chance.

#include "harness.h"

#include <algorithm>

namespace harness {
namespace {

constexpr std::size_t kChunk = 1 << 12;

template <class T>
bool same(const std::vector<T>& actual, const std::vector<T>& expected) {
    return std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(T)) == 0;
}

template <class T>
void report(const char* isa, Operation op, Type type, double slope, const std::vector<T>& x, const std::vector<T>& actual,
            const std::vector<T>& expected) {
    for (std::size_t i = 0; i < x.size(); ++i) {
        std::uint64_t in = 0, out = 0, wanted = 0;
        std::memcpy(&in, &x[i], sizeof(T));
        std::memcpy(&out, &actual[i], sizeof(T));
        std::memcpy(&wanted, &expected[i], sizeof(T));
        if (out == wanted) continue;
        fail("%s %s %s, slope %g: %#llx gives %#llx, not %#llx", isa, name_of(op), name_of(type), slope,
             (unsigned long long)in, (unsigned long long)out, (unsigned long long)wanted);
        return;
    }
    fail("%s %s %s, slope %g: the masks differ", isa, name_of(op), name_of(type), slope);
}

// One operation on these numbers, by every instruction set.
template <class T>
void check(Operation op, Type type, double slope, const std::vector<T>& x, const std::vector<T>& grad) {
    static const std::vector<InstructionSet> sets = supported();
    const std::size_t n = x.size();
    static thread_local std::vector<T> actual, expected;
    static thread_local std::vector<unsigned char> actual_mask, expected_mask;
    actual.resize(n), expected.resize(n), actual_mask.resize(n / 8), expected_mask.resize(n / 8);
    Run run;
    run.count = n;
    run.slope = slope;
    run.x = x.data();
    run.grad = grad.data();
    run.y = expected.data();
    run.mask = expected_mask.data();
    if (reads_mask(op)) {
        static const std::vector<unsigned char> bits = any_numbers<unsigned char>((1 << 16) / 8, 0);
        std::memcpy(expected_mask.data(), bits.data(), n / 8);
        actual_mask = expected_mask;
    }
    reference<T>(op, run);
    run.y = actual.data();
    run.mask = actual_mask.data();
    for (const InstructionSet& set : sets) {
        (*set.kernels)(op, type)(run);
        if ((writes_y(op) && !same(actual, expected)) || (writes_mask(op) && !same(actual_mask, expected_mask)))
            report(set.name, op, type, slope, x, actual, expected);
    }
}

// Forward with every slope, the other operations with one slope.
template <class T>
void check_all(Type type, const std::vector<T>& x, const std::vector<T>& grad) {
    for (const double slope : kSlopes) check(Operation::forward, type, slope, x, grad);
    for (const Operation op : kAllOperations)
        if (op != Operation::forward && op != Operation::copy) check(op, type, 0.01, x, grad);
}

}  // namespace

void check_values() {
    everywhere((std::uint64_t(1) << 32) / kChunk, [](std::uint64_t chunk) {
        static thread_local std::vector<float> x(kChunk), grad(kChunk);
        for (std::size_t i = 0; i < kChunk; ++i) {
            const auto bits = static_cast<std::uint32_t>(chunk * kChunk + i);
            x[i] = float_of<float>(bits);
            grad[i] = float_of<float>(bits * 2654435761u);  // every number once, too
        }
        check_all(Type::float32, x, grad);
    });
    for_each_type([](auto zero, Type type) {
        using T = decltype(zero);
        if constexpr (sizeof(T) == 2) {
            std::vector<T> x(1 << 16), grad(1 << 16);
            for (std::size_t i = 0; i < x.size(); ++i) {
                x[i] = static_cast<T>(i);
                grad[i] = static_cast<T>(i * 40503u);
            }
            const FloatEnvironment<float> environment;
            for (const double slope : kSlopes)
                for (const Operation op : kAllOperations) check(op, type, slope, x, grad);
        } else {
            everywhere(256, [type](std::uint64_t chunk) {
                check_all(type, any_numbers<T>(kChunk, chunk), any_numbers<T>(kChunk, ~chunk));
            });
        }
    });
}

void check_pairs() {
    static const std::vector<InstructionSet> sets = supported();
    constexpr std::size_t n = 1 << 16;
    std::vector<half> grad(n), expected[2];
    for (std::size_t i = 0; i < n; ++i) grad[i] = static_cast<half>(i);
    for (const float x : {-1.0f, 1.0f})
        for (const half g : grad) expected[x > 0].push_back(narrow<half>(leaky_relu_backward(widen(g), x, 0.01f)));

    everywhere(n, [&](std::uint64_t bits) {
        static thread_local std::vector<half> x(n), y(n);
        static thread_local std::vector<unsigned char> mask(n / 8);
        std::fill(x.begin(), x.end(), static_cast<half>(bits));
        const std::vector<half>& wanted = expected[positive(widen(x[0]))];
        Run run;
        run.count = n;
        run.slope = 0.01;
        run.x = x.data();
        run.grad = grad.data();
        run.y = y.data();
        run.mask = mask.data();
        for (const InstructionSet& set : sets) {
            (*set.kernels)(Operation::mask, Type::float16)(run);
            (*set.kernels)(Operation::backward_from_mask, Type::float16)(run);
            if (!same(y, wanted)) report(set.name, Operation::backward_from_mask, Type::float16, 0.01, grad, y, wanted);
        }
    });
}

}  // namespace harness
