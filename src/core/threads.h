// A small pool of threads for large runs. Its workers sleep when there is nothing to do, after a moment awake.
//
// Safe to use from several threads at once (one has the workers, the others do their work alone meanwhile) and after
// fork (the child starts a pool of its own when it first needs one).

#pragma once

#include <cstddef>

namespace leaky {

// How many threads a large run is shared among, the caller's included. At first LEAKY_NUM_THREADS, else
// OMP_NUM_THREADS, else the number of cores that this process may use.
int thread_count();
void set_thread_count(int count);

// Reads the environment. Throws std::invalid_argument if LEAKY_NUM_THREADS is no whole number above 0.
void configure_threads();

// Calls work(context, i) once for each i below `pieces`, and returns when all are done.
using Work = void (*)(const void* context, std::size_t piece);
void in_parallel(std::size_t pieces, Work work, const void* context);

}  // namespace leaky
