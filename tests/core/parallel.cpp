// Large runs, as run() shares them among threads; and the floating-point environment.

#include "harness.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace harness {
namespace {

constexpr std::size_t kCount = (std::size_t(1) << 22) + 12345;  // enough for threads and streaming, in every type

template <class T>
struct Arrays {
    explicit Arrays(std::size_t count)
        : x(any_numbers<T>(count, 5)), grad(any_numbers<T>(count, 6)), y(count), mask((count + 7) / 8) {}

    Run run() {
        Run run;
        run.count = x.size();
        run.slope = 0.2;
        run.x = x.data();
        run.grad = grad.data();
        run.y = y.data();
        run.mask = mask.data();
        return run;
    }

    std::vector<T> x, grad, y;
    std::vector<unsigned char> mask;
};

template <class T>
bool same(const Arrays<T>& a, const Arrays<T>& b) {
    return !std::memcmp(a.y.data(), b.y.data(), a.y.size() * sizeof(T)) && a.mask == b.mask;
}

// Every operation in turn, each with what the one before left in the mask: a history that tells every deviation.
template <class T>
void check_threads(Type type) {
    Arrays<T> expected(kCount), actual(kCount);
    for (const Operation op : kAllOperations) {
        reference<T>(op, expected.run());
        for (const int threads : {1, 2, 3, 8}) {
            set_thread_count(threads);
            std::fill(actual.y.begin(), actual.y.end(), T{});
            run(op, type, actual.run());
            if (writes_y(op) && !same(actual, expected))
                fail("%s %s with %d threads: wrong numbers", name_of(op), name_of(type), threads);
        }
        Arrays<T> in_place = actual;
        Run task = in_place.run();
        task.y = in_place.x.data();
        run(op, type, task);
        if (writes_y(op) && std::memcmp(task.y, expected.y.data(), kCount * sizeof(T)))
            fail("%s %s in place: wrong numbers", name_of(op), name_of(type));
    }

    // Output over part of the input: no two threads may work on it.
    for (const std::size_t behind : {std::size_t(1), std::size_t(70'000)}) {
        std::vector<T> buffer = any_numbers<T>(kCount, 7), wanted(kCount - behind);
        Run task;
        task.count = wanted.size();
        task.slope = 0.2;
        task.x = buffer.data() + behind;
        task.y = wanted.data();
        reference<T>(Operation::forward, task);
        task.y = buffer.data();
        run(Operation::forward, type, task);
        if (std::memcmp(buffer.data(), wanted.data(), wanted.size() * sizeof(T)))
            fail("forward %s over its input: wrong numbers", name_of(type));
    }
}

// Several callers at once, while another keeps changing the number of threads.
void check_callers() {
    constexpr std::size_t count = std::size_t(1) << 20;
    Arrays<float> expected(count);
    reference<float>(Operation::forward_with_mask, expected.run());
    std::atomic<bool> over{false};
    std::thread changer([&] {
        for (int i = 0; !over; ++i) {
            set_thread_count(1 + i % 4);
            std::this_thread::yield();
        }
    });
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller)
        callers.emplace_back([&] {
            Arrays<float> actual(count);
            for (int i = 0; i < 25; ++i) {
                std::fill(actual.y.begin(), actual.y.end(), 0.0f);
                run(Operation::forward_with_mask, Type::float32, actual.run());
                if (!same(actual, expected)) fail("forward_with_mask from several threads at once: wrong numbers");
            }
        });
    for (std::thread& caller : callers) caller.join();
    over = true;
    changer.join();
}

#if defined(__x86_64__)

// Subnormals flushed, rounding upwards, some flags up: results do not change, and all that is found as it was.
void check_environment() {
    constexpr unsigned peculiar = 0x1f80u | 0x8040u | 0x4000u | 0x4u;
    for (const std::size_t count : {std::size_t(1000), kCount}) {
        Arrays<float> expected(count), actual(count);
        reference<float>(Operation::forward, expected.run());
        set_thread_count(4);
        const unsigned before = _mm_getcsr();
        _mm_setcsr(peculiar);
        run(Operation::forward, Type::float32, actual.run());
        const unsigned after = _mm_getcsr();
        _mm_setcsr(before);
        if (after != peculiar) fail("the caller's floating-point environment was changed");
        if (!same(actual, expected)) fail("wrong numbers in a caller's unusual floating-point environment");
    }
}

#else

void check_environment() {}

#endif

}  // namespace

void check_parallel() {
    for_each_type([](auto zero, Type type) { check_threads<decltype(zero)>(type); });
    check_callers();
    check_environment();
}

}  // namespace harness
