// The body of every kernel: runs cut into blocks of 64 elements, which is one 64-bit word of the mask.
//
// Each instruction set brings, for each element type T, a Lanes<T> with
//   Vector                a register of numbers of the type computed in, for definition.h
//   kCount                how many
//   all(value)            one value in all of them
//   load, store           from and to memory
//   to_bits, from_bits    what positive() gives as bits, the first number's the lowest, and back; more bits are ignored
//   kStreams              whether it can write past the caches, by
//   stream                to an aligned address, and
//   end_stream()          which makes what was streamed visible to other threads
//
// Lanes live in an unnamed namespace, and so these templates are compiled for each instruction set apart: the linker
// cannot take one's code for another's.

#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "definition.h"
#include "kernels.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "masks are stored as words, which want the lowest byte first"
#endif

namespace leaky {

inline constexpr std::size_t kBlock = 64;

template <Operation op, class Lanes, bool stream, class T>
inline std::uint64_t block(const T* x, const T* grad, std::uint64_t signs, T* y, typename Lanes::Vector slope) {
    using Vector = typename Lanes::Vector;
    std::uint64_t are_positive = 0;
    for (std::size_t i = 0; i < kBlock; i += Lanes::kCount) {
        Vector in{}, out{};
        if constexpr (reads_x(op)) in = Lanes::load(x + i);
        if constexpr (op == Operation::forward || op == Operation::forward_with_mask) out = leaky_relu(in, slope);
        if constexpr (op == Operation::derivative) out = leaky_relu_derivative(in, Lanes::all(1), slope);
        if constexpr (op == Operation::backward) out = leaky_relu_backward(Lanes::load(grad + i), in, slope);
        if constexpr (op == Operation::backward_from_mask)
            out = leaky_relu_backward_from_mask(Lanes::load(grad + i), Lanes::from_bits(signs >> i), slope);
        if constexpr (op == Operation::copy) out = in;
        if constexpr (writes_mask(op)) are_positive |= std::uint64_t(Lanes::to_bits(positive(in))) << i;
        if constexpr (writes_y(op)) {
            if constexpr (stream)
                Lanes::stream(y + i, out);
            else
                Lanes::store(y + i, out);
        }
    }
    return are_positive;
}

// One block or less, by way of arrays of our own: not a byte outside the caller's is touched.
template <Operation op, class Lanes, class T>
inline void staged(const T* x, const T* grad, unsigned char* mask, T* y, typename Lanes::Vector slope,
                   std::size_t count) {
    T own_x[kBlock] = {}, own_grad[kBlock] = {}, own_y[kBlock];
    std::uint64_t signs = 0;
    if constexpr (reads_x(op)) std::memcpy(own_x, x, count * sizeof(T));
    if constexpr (reads_grad(op)) std::memcpy(own_grad, grad, count * sizeof(T));
    if constexpr (reads_mask(op)) std::memcpy(&signs, mask, (count + 7) / 8);
    signs = block<op, Lanes, false>(own_x, own_grad, signs, own_y, slope);
    if constexpr (writes_y(op)) std::memcpy(y, own_y, count * sizeof(T));
    if constexpr (writes_mask(op)) std::memcpy(mask, &signs, (count + 7) / 8);
}

template <Operation op, class Lanes, bool stream, class T>
inline void blocks(const T* x, const T* grad, unsigned char* mask, T* y, typename Lanes::Vector slope,
                   std::size_t count) {
    for (; count >= kBlock; count -= kBlock) {
        std::uint64_t signs = 0;
        if constexpr (reads_mask(op)) std::memcpy(&signs, mask, sizeof signs);
        signs = block<op, Lanes, stream>(x, grad, signs, y, slope);
        if constexpr (writes_mask(op)) std::memcpy(mask, &signs, sizeof signs);
        if constexpr (reads_x(op)) x += kBlock;
        if constexpr (reads_grad(op)) grad += kBlock;
        if constexpr (reads_mask(op) || writes_mask(op)) mask += kBlock / 8;
        if constexpr (writes_y(op)) y += kBlock;
    }
    if (count) staged<op, Lanes>(x, grad, mask, y, slope, count);
}

template <Operation op, class Lanes, class T>
void kernel(const Run& run) {
    auto *x = static_cast<const T*>(run.x), *grad = static_cast<const T*>(run.grad);
    auto* y = static_cast<T*>(run.y);
    auto* mask = run.mask;
    std::size_t count = run.count;
    const auto slope = Lanes::all(static_cast<compute_t<T>>(run.slope));

    if constexpr (writes_y(op) && Lanes::kStreams) {
        constexpr bool has_mask = reads_mask(op) || writes_mask(op);
        constexpr std::size_t line = Lanes::kCount * sizeof(T);
        const std::size_t before = (line - reinterpret_cast<std::uintptr_t>(y) % line) % line;
        // A few elements bring y to where it may be streamed to, unless that would shift the bits of the mask.
        const std::size_t head = before / sizeof(T);
        if (run.stream && before % sizeof(T) == 0 && count >= kBlock && !(has_mask && head)) {
            blocks<op, Lanes, false>(x, grad, mask, y, slope, head);
            if constexpr (reads_x(op)) x += head;
            if constexpr (reads_grad(op)) grad += head;
            blocks<op, Lanes, true>(x, grad, mask, y + head, slope, count - head);
            Lanes::end_stream();
            return;
        }
    }
    blocks<op, Lanes, false>(x, grad, mask, y, slope, count);
}

template <template <class> class Lanes, Operation op>
constexpr void add(Kernels& kernels) {
    Kernel* const row = kernels.table[static_cast<std::size_t>(op)];
#define LEAKY_TYPE(type, T) row[static_cast<std::size_t>(Type::type)] = kernel<op, Lanes<T>, T>;
    LEAKY_TYPES(LEAKY_TYPE)
#undef LEAKY_TYPE
}

// The kernels of one instruction set, in the list's order.
template <template <class> class Lanes>
constexpr Kernels kernels_of() {
    Kernels kernels{};
#define LEAKY_OPERATION(op) add<Lanes, Operation::op>(kernels);
    LEAKY_OPERATIONS(LEAKY_OPERATION)
#undef LEAKY_OPERATION
    return kernels;
}

}  // namespace leaky
