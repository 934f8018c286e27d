// Leaky ReLU, its derivative, its backward pass and its inverse: the only place in C++ where they are written down.
// Knows nothing of Python. src/leaky/definition.py says the same in NumPy, and the tests hold the two together.

#pragma once

#include <cmath>
#include <type_traits>

#include "half.h"

namespace leaky {

// The type that arithmetic is done in: the slope is rounded to it once, the result is rounded once from it.
template <class T>
using compute_t = std::conditional_t<std::is_same_v<T, half>, float, T>;

// False for NaN, and, unlike a plain >, raises no floating-point flag for it.
template <class C>
inline bool positive(C x) {
    return std::isgreater(x, C(0));
}

template <class C>
inline C leaky_relu(C x, C negative_slope) {
    return positive(x) ? x : x * negative_slope;
}

// At 0, where no derivative exists, the slope: as in PyTorch.
template <class C>
inline C leaky_relu_derivative(C x, C negative_slope) {
    return positive(x) ? C(1) : negative_slope;
}

template <class C>
inline C leaky_relu_backward(C grad_output, C x, C negative_slope) {
    return positive(x) ? grad_output : grad_output * negative_slope;
}

// For slopes above 0 only. A quotient, not a product with 1 / slope, which would round twice.
template <class C>
inline C leaky_relu_inverse(C y, C negative_slope) {
    return positive(y) ? y : y / negative_slope;
}

}  // namespace leaky
