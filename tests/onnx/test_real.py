"""Models that others have trained, as they install from packages."""

from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx

from leaky.onnx import watch


def installed(package: str) -> Path:
    """Return the path of the model in a package, which is not imported."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    (path,) = Path(spec.origin).parent.rglob("*.onnx")
    return path


def operators(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield node.op_type
        for attribute in node.attribute:
            yield from operators(attribute.g)


def test_swift_f0() -> None:
    """Takes one sample at a time, of any length, and two numbers besides."""
    path = installed("swift_f0")
    batch = {
        "audio": np.random.default_rng(0).standard_normal((3, 8000)).astype("f"),
        "fmin": np.float32(50),
        "fmax": np.float32(2000),
    }
    watched = watch(path, [batch])
    counts = Counter(operators(onnx.load_model(path).graph))
    assert counts["Relu"] == 15
    assert Counter(site.form for site, _ in watched.sites.values()) == {"Relu": 15, "Sigmoid": counts["Sigmoid"]}
    assert all(site.judged and site.fed_by and site.axis == 1 for site, _ in watched.sites.values())
    assert {evidence.samples for _, evidence in watched.sites.values()} == {3}


def test_magika() -> None:
    """Its maxima with 0 hold variances; its activations are GELUs written out."""
    watched = watch(installed("magika"), [np.random.default_rng(0).integers(0, 257, (8, 2048)).astype(np.int32)])
    found = {(site.form, site.judged): [] for site, _ in watched.sites.values()}
    for site, evidence in watched.sites.values():
        found[site.form, site.judged].append((site.units, evidence.samples))
    assert found == {("GELU by Tanh", True): [(64, 8), (512, 8)], ("Max(x, 0)", False): [(1, 8), (1, 8)]}
    assert watched.notes == []
