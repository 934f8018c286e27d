"""The benchmark computes what it says it times, and reports what it timed. No test depends on how long anything takes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from leaky import definition
from leaky.benchmark import Benchmark, Timing, bench, timing
from leaky.benchmark.peers import BFLOAT16, BUFFER, FRESH, PEERS, TRAINING, TYPES, WAYS, Case, Peer

SLOPE = 0.25  # exact in every type, so that all peers round alike

VALUES = {
    "copy": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    " relu": lambda x: np.maximum(x, 0),
}


def expected(peer: Peer, x: np.ndarray) -> np.ndarray:
    wanted = [value for name, value in VALUES.items() if name in peer.name]
    wide = x.astype(np.float64)
    return np.asarray(wanted[0](wide) if wanted else definition.leaky_relu(wide, SLOPE))


def as_numbers(result: Any) -> np.ndarray:
    return np.asarray(result.detach().double() if hasattr(result, "detach") else result).astype(np.float64)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: f"{peer.way}: {peer.name}")
def test_every_peer_computes_it(peer: Peer, dtype: str) -> None:
    if dtype not in peer.types:
        assert not peer.runs(dtype)
        return
    assert peer.runs(dtype), "the extra `peers` installs it"
    case = Case(1000, dtype, SLOPE)
    result = peer.prepare(case)()
    if peer.way == TRAINING:
        return  # its forward is tested as FRESH, and its gradient below
    # Those that allocate return their output, the others fill the buffer.
    allocates = peer.way == FRESH or "(" in peer.name.removeprefix("copy (")
    output = as_numbers(result if allocates else case.out)
    tolerance = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 1e-6, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(output, expected(peer, case.x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["leaky.torch.leaky_relu", "PyTorch leaky_relu"])
def test_training_computes_the_gradient(name: str) -> None:
    case = Case(1000, "float32", SLOPE)
    (peer,) = (p for p in PEERS if p.way == TRAINING and p.name == name)
    wanted = definition.leaky_relu_backward(case.grad, case.x, SLOPE)
    np.testing.assert_array_equal(as_numbers(peer.prepare(case)()), wanted)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_bad_seconds(seconds: float) -> None:
    with pytest.raises(ValueError, match=f"^seconds: {seconds}; expected a number from 0 up$"):
        bench([3], seconds=seconds)


def test_leaky_comes_first_in_every_way() -> None:
    for way in WAYS:
        assert next(p for p in PEERS if p.way == way).name.startswith("leaky.")


def test_result_is_whole() -> None:
    seen: list[tuple[int, int]] = []
    result = bench([3, 70], "float32", 0.1, seconds=0, progress=lambda done, of: seen.append((done, of)))
    assert result.ways == list(WAYS)
    assert result.sizes == [3, 70]
    assert seen == [(i, 6) for i in range(7)]
    for one in result.timings:
        assert one.rounds == 5
        assert 0 < one.low <= one.ratio <= one.high
        assert 0 < one.seconds < 10
    assert {t.ratio for t in result.timings if t.peer.startswith("leaky.")} == {1.0}
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["machine"]["instruction set"]
    assert result.timing(BUFFER, "nobody", 3) is None


def test_bfloat16_leaves_out_who_has_none() -> None:
    result = bench([8], BFLOAT16, seconds=0)
    assert "ONNX Runtime" not in result.peers(BUFFER)
    assert "PyTorch leaky_relu" in result.peers(BUFFER)


def test_ratios_are_of_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    # A disturbance that slows down whole rounds tells in no ratio.
    slow = [1.0, 50.0, 1.0, 9.0, 1.0]
    monkeypatch.setattr(
        "leaky.benchmark.run.interleave",
        lambda calls, _: {name: [s * (1 + i) for s in slow] for i, name in enumerate(calls)},
    )
    result = bench([4], seconds=0)
    for way in WAYS:
        assert [result.timing(way, p, 4).ratio for p in result.peers(way)] == [  # type: ignore[union-attr]
            1.0 + i for i in range(len(result.peers(way)))
        ]


def test_everyone_runs_in_every_round_in_changing_order() -> None:
    order: list[str] = []
    times = timing.interleave({name: lambda name=name: order.append(name) for name in "abc"}, seconds=0)
    assert {name: len(of) for name, of in times.items()} == {"a": 5, "b": 5, "c": 5}
    turns = [name for i, name in enumerate(order) if i == 0 or order[i - 1] != name][-15:]
    assert len({tuple(turns[i : i + 2]) for i in range(14)}) > 3


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (([0],), "sizes: 0; expected a whole number of elements above 0"),
        (([3.5],), "sizes: 3.5; expected a whole number of elements above 0"),
        (([3, True],), "sizes: True; expected a whole number of elements above 0"),
        ((["3"],), "sizes: '3'; expected a whole number of elements above 0"),
        (([],), "sizes: none; expected at least one number of elements"),
        (([1 << 50],), "sizes: 1,125,899,906,842,624; expected at most "),
        (([3], "int8"), "dtype: 'int8'; expected one of float16, bfloat16, float32, float64"),
        (([3], "float32", float("inf")), "negative_slope: inf; expected a number that float32 can hold"),
        (([3], "float32", 1e39), "negative_slope: 1e+39; expected a number that float32 can hold"),
    ],
)
def test_bad_input(arguments: Any, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is looked at
        bench(*arguments)
    assert str(caught.value).startswith(complaint)


def a_benchmark(sizes: tuple[int, ...] = (3, 1 << 16, 1 << 26)) -> Benchmark:
    """One with known numbers: each peer's ratio is its place in the list, lower by one at the largest size."""
    machine = {
        "processor": "a processor",
        "cores": "2",
        "instruction set": "avx2",
        "threads": "2 threads",
        "Python": "3.11",
    }
    return Benchmark(
        "float32",
        0.01,
        machine,
        tuple(
            Timing(way, p.name, size, 1e-6 * (i + 1), i + 1 - 0.5 * (size > 1e6), i + 0.2, i + 1.2, 5)
            for way in WAYS
            for i, p in enumerate(p for p in PEERS if p.way == way)
            for size in sizes
        ),
    )


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    from leaky.report.benchmark.terminal import show

    show(a_benchmark(), Console(width=80, highlight=False))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "float32, slope 0.01; a processor, avx2, 2 threads"
    row = next(line for line in lines if line.startswith("np.maximum"))
    assert row.split()[-3:] == ["4.00", "4.00", "3.50"]
    assert next(line for line in lines if line.startswith("times as fast")).split()[-5:] == [
        "3",
        "64",
        "Ki",
        "64",
        "Mi",
    ]


def test_figure() -> None:
    from leaky.report.benchmark.figure import speed_figure

    figure = speed_figure(a_benchmark())
    assert len(figure.axes) == len(WAYS)
    assert "leaky_relu" in figure.get_label()
    figure.canvas.draw()
    texts = [t.get_text() for t in figure.axes[0].texts]
    assert {p.name for p in PEERS if p.way == BUFFER} <= set(texts)
    heights = sorted(t.get_window_extent().y0 for t in figure.axes[0].texts if t.get_text() != "leaky.leaky_relu")
    assert min(np.diff(heights)) > 10, "names must not lie on one another"


def test_one_size_alone() -> None:
    from leaky.report.benchmark.figure import speed_figure

    speed_figure(a_benchmark((5,))).canvas.draw()
