// A small pool of threads for large runs. Its workers sleep when there is nothing to do, after a moment awake.
//
// Safe to use from several threads at once (one has the workers, the others do their work alone meanwhile) and after
// fork (the child starts a pool of its own when it first needs one).

#pragma once

#include <cstddef>

namespace leaky {

// How many threads a large run is shared among at most, the caller's included. At first LEAKY_NUM_THREADS, else
// OMP_NUM_THREADS, else the number of cores that this process may use.
int thread_count();
void set_thread_count(int count);

// Reads the environment. Throws std::invalid_argument if LEAKY_NUM_THREADS is no whole number above 0.
void configure_threads();

// The entry points of an OpenMP library that is loaded already.
struct OpenMp {
    void (*parallel)(void (*work)(void*), void* context, unsigned threads, unsigned flags);  // GOMP_parallel
    int (*allowed)();                                                                        // threads, to the caller
    int (*this_thread)();                                                                    // omp_get_thread_num
};

// Has large runs done by that library's threads from now on, as many as both it and we allow. Its threads stay awake for
// milliseconds after their work, and ours could not get at the cores meanwhile. Unlike ours they are not shared: each
// thread that calls gets a team of its own.
//
// A forked child goes back to threads of ours, within what the library allows, because a team that was there before the
// fork never answers in the child. Only the first call counts, and none in a child of a process that had loaded leaky.
void borrow_threads(const OpenMp& from);

// Calls work(context, i) once for each i below `pieces`, and returns when all are done.
using Work = void (*)(const void* context, std::size_t piece);
void in_parallel(std::size_t pieces, Work work, const void* context);

}  // namespace leaky
