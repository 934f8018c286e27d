"""Leaky ReLU over an array that is larger than memory, with dask: from a file on disk to a file on disk.

    python examples/larger_than_memory.py [MILLIONS]

Memory stays bounded because nothing holds the whole: the array lies in a file, dask hands over a chunk at a time, each
is written to the other file as soon as it is computed, and as many chunks are in memory as there are threads. Set
MILLIONS to more than you have memory for (1000 are 4 GB a file): the peak stays what it is.
"""

import sys
import tracemalloc

import dask
import dask.array as da
import numpy as np

import leaky

COUNT = int(float(sys.argv[1]) * 1e6) if len(sys.argv) > 1 else 8_000_000
CHUNK = 1_000_000  # 4 MB

# A file of random numbers, written a chunk at a time.
numbers = np.lib.format.open_memmap("numbers.npy", "w+", np.float32, (COUNT,))
rng = np.random.default_rng(0)
for start in range(0, COUNT, CHUNK):
    numbers[start : start + CHUNK] = rng.standard_normal(min(CHUNK, COUNT - start), np.float32)
numbers.flush()

x = da.from_array(np.load("numbers.npy", mmap_mode="r"), chunks=CHUNK)
y = leaky.leaky_relu(x, 0.1)  # computes nothing yet: a dask array, since the function is a ufunc
print(type(y).__module__, y.dtype, y.shape, "in", y.npartitions, "chunks")

results = np.lib.format.open_memmap("results.npy", "w+", np.float32, (COUNT,))
tracemalloc.start()  # NumPy tells it of every array
with dask.config.set(scheduler="threads", num_workers=2):
    da.store(y, results, lock=False)
    print(f"mean {y.mean().compute():.4f}; of the formula {(1 - 0.1) / np.sqrt(2 * np.pi):.4f}")
results.flush()

peak, whole = tracemalloc.get_traced_memory()[1], numbers.nbytes + results.nbytes
print(f"at the peak {peak / 2**20:.0f} MiB in memory, of {whole / 2**20:.0f} MiB in the two files")
assert peak < 8 * 4 * CHUNK
assert np.array_equal(results[-5:], leaky.leaky_relu(numbers[-5:], 0.1))
