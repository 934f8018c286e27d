from __future__ import annotations

import os

# Test processes run side by side: one thread each. Before NumPy or PyTorch is imported, hence here.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

# No deadline per example: a shared machine's pauses are no failures.
settings.register_profile("leaky", deadline=None)
settings.load_profile("leaky")
