"""S16: what the function and its derivative cost."""

from __future__ import annotations

from leaky.benchmark import bench
from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.experiment import Experiment, Lab, Measured
from leaky.claims.statement import Published, Statement
from leaky.wording import listing

_LEAKY = "leaky.torch.leaky_relu"
_PEERS = ("PyTorch leaky_relu", "PyTorch relu", "PyTorch prelu", "PyTorch sigmoid", "PyTorch tanh")
_WAYS = ("forward", "forward and backward")
_SIZES = {1 << 16: "64 Ki", 1 << 20: "1 Mi", 1 << 24: "16 Mi"}
_RELU, _SMOOTH = 2.0, 1.25

STATEMENT = Statement(
    "S16",
    "The function and its derivative are fast and easy to compute.",
    "test",
    recipe=(
        "leaky bench: leaky.torch.leaky_relu beside PyTorch's own leaky_relu, relu, prelu, sigmoid and tanh, on 64 Ki, 1 Mi and "
        "16 Mi float32 elements, forward, and forward and backward; in turn, at least five rounds of each, medians of the ratios "
        "within a round. Ratios are shown rounded, since times never repeat."
    ),
    criterion=(
        f"Fast is at most {_RELU:g} times ReLU's time, and at most {_SMOOTH:g} times that of sigmoid and of tanh. It holds if that is so in all "
        "six cases (two ways, three sizes), and does not hold if in none of the two ways it is so at more than one size; otherwise it holds only in "
        "the cases named. PReLU and PyTorch's own leaky_relu are shown beside them."
    ),
    published=(
        Published(
            "for",
            "ReLU and its kin need a comparison and a multiplication at most, sigmoid and tanh an exponential.",
            "Dubey, Singh & Chaudhuri 2022, arXiv:2109.14545",
        ),
        Published(
            "for",
            "A network with ReLU reached 25 % training error six times as fast as one with tanh, counted in epochs rather than in the cost of each.",
            "Krizhevsky, Sutskever & Hinton 2012, ImageNet Classification with Deep Convolutional Neural Networks",
        ),
    ),
)


def measure(lab: Lab) -> Measured:
    """Return the time of each peer over that of Leaky ReLU, by way and size."""
    benchmark = bench(list(_SIZES), seconds=0.5, progress=lambda done, total: lab.report(done / total))
    found: Measured = {}
    for way in _WAYS:
        for size, name in _SIZES.items():
            timings = {peer: benchmark.timing(way, peer, size) for peer in _PEERS}
            found[f"{way}, {name}"] = {peer: t.ratio for peer, t in timings.items() if t is not None}
    return {"ratios": found, "machine": benchmark.machine}


def judge(measured: Measured) -> Answer:
    """Decide by the time of Leaky ReLU over that of ReLU, sigmoid and tanh."""
    ratios = measured["ratios"]
    fast = {case: _fast(peers) for case, peers in ratios.items()}
    relu = [1 / peers["PyTorch relu"] for peers in ratios.values()]
    told = [
        f"{name} {_span([peers[f'PyTorch {peer}'] for peers in ratios.values()])} times"
        for peer, name in (("sigmoid", "sigmoid"), ("tanh", "tanh"), ("prelu", "PReLU"))
    ]
    sentence = (
        f"Over six cases Leaky ReLU takes {_span(relu)} times as long as ReLU; {listing(told)} as long as Leaky ReLU."
    )
    numbers = {
        f"{case}: time of {peer} over leaky's": _rounded(ratio)
        for case, peers in ratios.items()
        for peer, ratio in peers.items()
    }
    plots = tuple(_plot(ratios, way) for way in _WAYS)
    if all(fast.values()):
        return Answer("S16", "holds", sentence, numbers=numbers, plots=plots)
    if all(sum(fast[f"{way}, {size}"] for size in _SIZES.values()) <= 1 for way in _WAYS):
        return Answer("S16", "does not hold here", sentence, numbers=numbers, plots=plots)
    return Answer(
        "S16",
        "holds only when",
        sentence,
        condition=f"it is one of these cases: {'; '.join(case for case, quick in fast.items() if quick)} elements",
        reason=(
            "On large arrays all of these functions wait for memory, and on small ones for PyTorch's bookkeeping; the arithmetic "
            "shows in between alone."
        ),
        numbers=numbers,
        plots=plots,
    )


def _fast(peers: dict[str, float]) -> bool:
    smooth = min(peers["PyTorch sigmoid"], peers["PyTorch tanh"])
    return 1 / peers["PyTorch relu"] <= _RELU and 1 / smooth <= _SMOOTH


def _rounded(ratio: float) -> float:
    """Return a ratio to two digits: more of it does not repeat."""
    return float(f"{ratio:.1g}") if ratio >= 10 else round(ratio, 1)


def _span(ratios: list[float]) -> str:
    low, high = (f"{_rounded(end):g}" for end in (min(ratios), max(ratios)))
    return low if low == high else f"{low} to {high}"


def _plot(ratios: Measured, way: str) -> Plot:
    sizes = tuple(_SIZES.values())
    series = tuple(
        Series(
            {"PyTorch leaky_relu": "PyTorch's leaky_relu"}.get(peer, peer.removeprefix("PyTorch ")),
            sizes,
            tuple(_rounded(ratios[f"{way}, {size}"][peer]) for size in sizes),
            kind="bars",
        )
        for peer in _PEERS
    )
    return Plot(
        f"Time over Leaky ReLU's, {way}",
        "elements",
        "ratio",
        series,
        f"Ratios of time to Leaky ReLU's, {way}: above 1 Leaky ReLU is faster.",
        log_y=True,
        mark=1.0,
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=20),)
