// The list of kernels: every operation, for every type, for every instruction set. The dispatch, the tests and the
// benchmark read it here.

#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace leaky {

// Each operation with what it reads and writes, beside the slope.
#define LEAKY_OPERATIONS(X)  \
    X(forward)               /* x -> y */ \
    X(derivative)            /* x -> y */ \
    X(backward)              /* grad, x -> y */ \
    X(forward_with_mask)     /* x -> y, mask */ \
    X(backward_from_mask)    /* grad, mask -> y */ \
    X(mask)                  /* x -> mask */ \
    X(copy)                  /* x -> y: no use but as the speed that the others can reach */

// Each type by its name and the C++ type that holds it.
#define LEAKY_TYPES(X)   \
    X(float16, half)     \
    X(bfloat16, bfloat16) \
    X(float32, float)    \
    X(float64, double)

#define LEAKY_NAME(name, ...) name,
enum class Operation { LEAKY_OPERATIONS(LEAKY_NAME) };
enum class Type { LEAKY_TYPES(LEAKY_NAME) };
#undef LEAKY_NAME

#define LEAKY_ONE(...) +1
inline constexpr std::size_t kOperations = 0 LEAKY_OPERATIONS(LEAKY_ONE);
inline constexpr std::size_t kTypes = 0 LEAKY_TYPES(LEAKY_ONE);
#undef LEAKY_ONE

inline constexpr std::size_t kSizes[] = {2, 2, 4, 8};  // of the types, in bytes
constexpr std::size_t size_of(Type type) { return kSizes[static_cast<std::size_t>(type)]; }

constexpr bool reads_x(Operation op) { return op != Operation::backward_from_mask; }
constexpr bool reads_grad(Operation op) { return op == Operation::backward || op == Operation::backward_from_mask; }
constexpr bool reads_mask(Operation op) { return op == Operation::backward_from_mask; }
constexpr bool writes_mask(Operation op) { return op == Operation::forward_with_mask || op == Operation::mask; }
constexpr bool writes_y(Operation op) { return op != Operation::mask; }

// What a kernel works on: contiguous runs of `count` elements. Pointers that the operation has no use for are ignored.
struct Run {
    std::size_t count = 0;
    double slope = 0;
    const void* x = nullptr;
    const void* grad = nullptr;
    void* y = nullptr;             // may be x or grad itself, or overlap them from below
    unsigned char* mask = nullptr;  // bit i % 8 of byte i / 8 is set where x[i] > 0; the last byte's rest is 0
    bool stream = false;           // y past the caches: for outputs that would not stay in them
};

// Wants a StandardEnvironment or SseEnvironment around it.
using Kernel = void (*)(const Run&);

struct Kernels {
    Kernel table[kOperations][kTypes];

    Kernel operator()(Operation op, Type type) const {
        return table[static_cast<std::size_t>(op)][static_cast<std::size_t>(type)];
    }
};

// What is counted of the units at an activation: statistics.h.
struct Portion;
struct Tallies {
    void (*table[kTypes])(const Portion&);
};

struct InstructionSet {
    const char* name;
    bool (*supported)();
    const Kernels* kernels;
    const Tallies* tallies;
};

// All that were compiled, the best first.
const std::vector<InstructionSet>& instruction_sets();

// The best that this CPU has, of those up to the one called `cap` (an empty one caps nothing).
// Throws std::invalid_argument if there is none of that name.
const InstructionSet& choose(const std::string& cap);

extern const Kernels kScalar;
extern const Tallies kScalarTallies;
#if defined(__x86_64__)
extern const Kernels kAvx2, kAvx512;
extern const Tallies kAvx2Tallies, kAvx512Tallies;
#endif

}  // namespace leaky
