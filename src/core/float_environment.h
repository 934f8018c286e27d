// The floating-point environment that results are computed in, whatever the caller's is.
//
// While one of these lives: subnormals kept (no flush-to-zero, no denormals-are-zero), rounding to nearest, no traps.
// Afterwards the caller's environment is as it was, flags included, so that nothing computed here raises a NumPy
// warning: not NaN inputs, not lanes whose value is discarded, and not one thing with one thread, another with two.

#pragma once

#include <cfenv>
#include <type_traits>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace leaky {

class StandardEnvironment {
public:
    StandardEnvironment() {
        std::fegetenv(&callers_);
        std::fesetenv(FE_DFL_ENV);
    }
    ~StandardEnvironment() { std::fesetenv(&callers_); }

    StandardEnvironment(const StandardEnvironment&) = delete;
    StandardEnvironment& operator=(const StandardEnvironment&) = delete;

private:
    std::fenv_t callers_;
};

#if defined(__x86_64__)

// The same for SSE arithmetic alone: a tenth of the time, which tells where NumPy hands over a few elements at a time.
class SseEnvironment {
public:
    SseEnvironment() : callers_(_mm_getcsr()) { _mm_setcsr(kDefault); }
    ~SseEnvironment() { _mm_setcsr(callers_); }

    SseEnvironment(const SseEnvironment&) = delete;
    SseEnvironment& operator=(const SseEnvironment&) = delete;

private:
    static constexpr unsigned kDefault = 0x1f80;  // every exception masked, all else 0
    unsigned callers_;
};

// long double is computed by the x87 unit, which has an environment of its own.
template <class C>
using FloatEnvironment = std::conditional_t<std::is_same_v<C, long double>, StandardEnvironment, SseEnvironment>;

#else

template <class C>
using FloatEnvironment = StandardEnvironment;

#endif

}  // namespace leaky
