#include "run.h"

#include <algorithm>
#include <cstdint>

#include "float_environment.h"
#include "threads.h"

namespace leaky {
namespace {

const InstructionSet* chosen = nullptr;

// In bytes of output, by measurement. From the first on, a second thread brings more than waking it costs. From the
// second on, writing past the caches is faster; below, and into memory just read, the output is better left in them.
constexpr std::size_t kParallel = std::size_t(1) << 20;
constexpr std::size_t kStream = std::size_t(1) << 24;

constexpr std::size_t kPiece = std::size_t(1) << 16;  // elements: whole blocks, so whole words of the mask

// Whether y shares memory with an operand without being the operand. Then the order of the elements matters.
bool interleaved(const void* operand, const Run& run, std::size_t bytes) {
    const auto a = reinterpret_cast<std::uintptr_t>(operand), y = reinterpret_cast<std::uintptr_t>(run.y);
    return a != y && a < y + bytes && y < a + bytes;
}

struct Job {
    Kernel kernel;
    Run whole;
    std::size_t size;

    Run piece(std::size_t i) const {
        const std::size_t begin = i * kPiece, bytes = begin * size;
        Run part = whole;
        part.count = std::min(kPiece, whole.count - begin);
        if (part.x) part.x = static_cast<const char*>(part.x) + bytes;
        if (part.grad) part.grad = static_cast<const char*>(part.grad) + bytes;
        if (part.y) part.y = static_cast<char*>(part.y) + bytes;
        if (part.mask) part.mask += begin / 8;
        return part;
    }
};

void do_piece(const void* context, std::size_t i) {
    const Job& job = *static_cast<const Job*>(context);
    const FloatEnvironment<float> environment;
    job.kernel(job.piece(i));
}

}  // namespace

void configure(const std::string& cap) {
    chosen = &choose(cap);
    configure_threads();
}

const InstructionSet& instruction_set() { return *chosen; }

void run(Operation op, Type type, Run run) {
    const Kernel kernel = (*chosen->kernels)(op, type);
    const std::size_t bytes = run.count * size_of(type);
    const bool shared = (reads_x(op) && interleaved(run.x, run, bytes)) ||
                        (reads_grad(op) && interleaved(run.grad, run, bytes));
    const bool in_place = writes_y(op) && (run.y == run.x || run.y == run.grad);
    run.stream = bytes >= kStream && !in_place;
    if (bytes < kParallel || shared) {
        const FloatEnvironment<float> environment;
        kernel(run);
    } else {
        const Job job{kernel, run, size_of(type)};
        in_parallel((run.count + kPiece - 1) / kPiece, do_piece, &job);
    }
}

}  // namespace leaky
