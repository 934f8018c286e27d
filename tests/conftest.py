from __future__ import annotations

import math
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

# Test processes run side by side: one thread each. Before NumPy or PyTorch is imported, hence here.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import ArrayLike

from leaky.checkup import Check, Layer, Seen
from leaky.evidence import Evidence, Site, batch_statistics

# What test files share stands in a module beside them, leaky_tests.torch.watch.forms say: no folder of tests is on the path.
pytest.register_assert_rewrite("leaky_tests")
sys.modules["leaky_tests"] = ModuleType("leaky_tests")
sys.modules["leaky_tests"].__path__ = [str(Path(__file__).parent)]

# No deadline per example: a shared machine's pauses are no failures.
settings.register_profile("leaky", deadline=None)
settings.load_profile("leaky")

LIMITS = {
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "leaky_relu": (-math.inf, math.inf),
    "sigmoid": (-6.0, 6.0),
    "tanh": (-3.0, 3.0),
}


def see(
    name: str,
    x: ArrayLike,
    kind: str = "relu",
    *,
    layer: Layer | None = None,
    gradient: float | None = None,
    proved: ArrayLike | None = None,
    **site: Any,
) -> Seen:
    """Return a site whose pre-activations were x: samples, units, and perhaps positions."""
    x = np.asarray(x, np.float32)
    slope = 0.1 if kind == "leaky_relu" else None
    known = {"form": kind, "module": name, "axis": 1, "shape": x.shape[1:], "slope": slope, "limits": LIMITS[kind]}
    described = Site(name, kind, units=x.shape[1], **{**known, **site})
    evidence = Evidence(x.shape[1])
    if len(x):
        evidence.add(batch_statistics(x, 1, described.limits))
    if gradient is not None:
        evidence.add_gradient(np.full(x.shape[1], gradient) * evidence.positions, evidence.positions)
    return Seen(described, evidence, layer, None if proved is None else np.asarray(proved))


def checked(*sites: Seen, **known: Any) -> Check:
    """Return a check of the sites."""
    samples = max((seen.evidence.samples for seen in sites), default=0)
    return Check(model="Net", samples=samples, sites={seen.site.name: seen for seen in sites}, **known)


def feeding(bias: ArrayLike | None = None, norm: ArrayLike = (1.0,), **more: Any) -> Layer:
    """Return a layer with these biases and norms."""
    bias = None if bias is None else np.asarray(bias, float)
    size = np.shape(norm if bias is None else bias)
    return Layer(kind="Linear", norm=np.broadcast_to(np.asarray(norm, float), size), inputs=8, bias=bias, **more)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(name="see")
def _see() -> Callable[..., Seen]:
    return see


@pytest.fixture(name="checked")
def _checked() -> Callable[..., Check]:
    return checked


@pytest.fixture(name="feeding")
def _feeding() -> Callable[..., Layer]:
    return feeding


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of a database on a server of the test's own, which listens on a socket in its folder and on nothing else."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    if not found and not debian:
        pytest.skip("PostgreSQL is not installed")
    tools = Path(found).parent if found else debian[0]
    # The server refuses to run as root.
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    folder = Path(tempfile.mkdtemp(prefix="leaky-"))  # not pytest's: a socket's path must be short
    os.chown(folder, user.pw_uid, user.pw_gid)

    def run(*command: object) -> None:
        identity = {"user": user.pw_uid, "group": user.pw_gid} if os.geteuid() == 0 else {}
        with (folder / "said").open("w+") as said:  # not a pipe: the server would keep it open
            done = subprocess.run(
                [str(w) for w in command], cwd=folder, stdout=said, stderr=said, check=False, **identity
            )
            said.seek(0)
            assert done.returncode == 0, said.read()

    data = folder / "data"
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    try:
        run(tools / "initdb", "--pgdata", data, "--username", "leaky", "--auth", "trust", "--no-sync")
        run(tools / "pg_ctl", "--pgdata", data, "--log", folder / "log", "--options", options, "--wait", "start")
        yield f"postgresql://leaky@/postgres?host={folder}"
        run(tools / "pg_ctl", "--pgdata", data, "--mode", "immediate", "--wait", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def tuned() -> Callable[..., Any]:
    """Return what makes up a tuning, from scores by slope and seed (None: diverged); best of all those that did not."""
    from leaky.activation import Activation
    from leaky.trials import Epoch, Trial
    from leaky.tuning import Tuning
    from leaky.tuning.curve import fit
    from leaky.tuning.search import scored

    def trial(slope: float, seed: int, score: float | None) -> Trial:
        epochs = tuple(Epoch(1.0, s, 1.0, s, (), (), (), ()) for s in (0.1, score))
        arm = str(Activation("leaky_relu", (slope,)))
        return Trial(arm, seed, 1 if score is None else None, epochs, (), (), (), 0.0)

    def make(scores: dict[float, list[float | None]], tolerance: float = 0.05, **changes: Any) -> Tuning:
        trials = tuple(trial(slope, seed, score) for slope, own in scores.items() for seed, score in enumerate(own))
        curve = fit(*scored({(t.activation, t.seed): t for t in trials}), tolerance)
        known: dict[str, Any] = {
            "task": "digits",
            "metric": "accuracy",
            "recipe": {"epochs": "30"},
            "environment": {"CPU": "an ordinary one"},
            "slope": curve.best,
            "as_good": curve.as_good,
            "curve": curve,
            "trials": trials,
            "dropped": {},
            "tolerance": tolerance,
            "ended": "the tolerance was reached",
            "confirmation": None,
        }
        return Tuning(**{**known, **changes})

    return make
