// Leaky ReLU, its derivative, its backward pass and its inverse: the only place in C++ where they are written down.
// Knows nothing of Python. src/leaky/definition.py says the same in NumPy, and the tests hold the two together.
//
// C is a float, double or long double, or a vector of them that brings its own positive(), select() and operator*.

#pragma once

#include <cmath>

#include "storage.h"

namespace leaky {

// False for NaN and, unlike a plain >, raises no floating-point flag for it. In integers: above +0, up to infinity.
inline bool positive(float x) { return bits_of(x) - 1u < 0x7f800000u; }
inline bool positive(double x) { return bits_of(x) - 1u < 0x7ff0000000000000u; }
inline bool positive(long double x) { return std::isgreater(x, 0.0L); }

// Hides from clang how a value came about. It else makes c ? x : x * s into x * (c ? 1 : s), which quietens a signalling
// NaN that should pass as it is.
template <class Value>
inline void hide_origin([[maybe_unused]] Value& value) {
#if defined(__clang__)
    __asm__("" : "+m"(value));
#endif
}

template <class C>
inline C select(bool condition, C yes, C no) {
    hide_origin(no);
    return float_of<C>(select_bits(condition, bits_of(yes), bits_of(no)));
}
inline long double select(bool condition, long double yes, long double no) { return condition ? yes : no; }

template <class C>
inline C leaky_relu(C x, C negative_slope) {
    return select(positive(x), x, x * negative_slope);
}

// At 0, where no derivative exists, the slope: as in PyTorch.
template <class C>
inline C leaky_relu_derivative(C x, C one, C negative_slope) {
    return select(positive(x), one, negative_slope);
}

// From what backward needs to know of x: whether it was positive.
template <class Mask, class C>
inline C leaky_relu_backward_from_mask(C grad_output, Mask x_was_positive, C negative_slope) {
    return select(x_was_positive, grad_output, grad_output * negative_slope);
}

template <class C>
inline C leaky_relu_backward(C grad_output, C x, C negative_slope) {
    return leaky_relu_backward_from_mask(grad_output, positive(x), negative_slope);
}

// For slopes above 0 only. A quotient, not a product with 1 / slope, which would round twice.
template <class C>
inline C leaky_relu_inverse(C y, C negative_slope) {
    return select(positive(y), y, y / negative_slope);
}

}  // namespace leaky
