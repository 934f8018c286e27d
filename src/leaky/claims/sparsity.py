"""S17: whether the outputs are sparse, and what memory and computation that saves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

import leaky.torch
from leaky.benchmark.timing import interleave
from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.experiment import Experiment, Lab, Measured, repeatable
from leaky.claims.statement import Published, Statement
from leaky.wording import listing, share

_ARMS = ("relu", "leaky_relu(0.01)", "leaky_relu(0.2)")
_SEEDS = 10
_ELEMENTS = 1 << 22
_SPARSE, _FASTER = 0.1, 1.2

# What keeps memory for backward: by PyTorch's operations, and by leaky's.
_KEEPERS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "PyTorch's leaky_relu": functional.leaky_relu,
    "leaky.torch.leaky_relu": leaky.torch.leaky_relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}

STATEMENT = Statement(
    "S17",
    "Leaky ReLU keeps a sparse activation as ReLU does, and so needs less memory and computation.",
    "test",
    recipe=(
        f"leaky compare --task digits with ReLU and Leaky ReLU of slopes 0.01 and 0.2, {_SEEDS} seeds: share of outputs that are exactly 0 on "
        f"the training data, after training. Bytes kept for backward per element, of {_ELEMENTS:,} float32 elements. And the time of a "
        "product of two matrices of 512 rows and columns, one of them outputs of Leaky ReLU or of ReLU, for normally distributed inputs."
    ),
    criterion=(
        f"Sparse is that at least {100 * _SPARSE:g} % of the outputs are exactly 0. It holds if Leaky ReLU's outputs are sparse, and with them it "
        f"keeps fewer bytes than a dense output or a product is at least {_FASTER:g} times as fast. It does not hold if ReLU's outputs are sparse and "
        "Leaky ReLU's are not. It is not shown if ReLU's are not sparse either. Memory that is saved in other ways is told, and "
        "counts for nothing here."
    ),
    published=(
        Published(
            "for",
            "Of ReLU: half of the outputs or more are true zeros, which was offered as one of its advantages.",
            "Glorot, Bordes & Bengio 2011, Deep Sparse Rectifier Neural Networks",
        ),
        Published(
            "for",
            "Of ReLU: its zeros can be made use of, by kernels that are written for them.",
            "Kurtz et al. 2020, Inducing and Exploiting Activation Sparsity for Fast Neural Network Inference",
        ),
        Published(
            "between",
            "Leaky ReLU saves memory in another way: it can be inverted, so its input need not be kept.",
            "Rota Bulò, Porzi & Kontschieder 2018, arXiv:1712.02616",
        ),
    ),
)


@repeatable
def measure(lab: Lab) -> Measured:
    """Return shares of zeros by arm and seed, bytes kept by operation, and the gain in time from each arm's zeros."""
    comparison = lab.compare("digits", _ARMS, _SEEDS, part=(0.0, 0.9))
    zeros = {arm: [sum(t.epochs[-1].zeros) / len(t.sites) for t in trials] for arm, trials in comparison.arms.items()}
    kept = {name: kept_bytes(function) / _ELEMENTS for name, function in _KEEPERS.items()}
    return {"zeros": zeros, "kept": kept, "products": _products()}


def kept_bytes(function: Callable[[Tensor], Tensor], elements: int = _ELEMENTS) -> int:
    """Return the bytes that autograd keeps for backward, each piece of memory counted once."""
    pieces: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        pieces[storage.data_ptr()] = storage.nbytes()
        return tensor

    x = torch.randn(elements, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = function(x * 1.0)
    del result
    return sum(pieces.values())


def _products() -> dict[str, float]:
    """Return how many times as fast a product is with each arm's outputs as with the dense inputs."""
    x, weight = torch.randn(512, 512), torch.randn(512, 512)
    values = {"dense": x, "relu": nn.ReLU()(x), "leaky_relu(0.01)": nn.LeakyReLU(0.01)(x)}
    times = interleave({name: partial(torch.matmul, value, weight) for name, value in values.items()}, 2.0)
    # The fastest rounds are those in which nothing else was at work.
    return {name: min(times["dense"]) / min(times[name]) for name in ("relu", "leaky_relu(0.01)")}


def judge(measured: Measured) -> Answer:
    """Decide by the share of exact zeros."""
    zeros = {arm: sum(values) / len(values) for arm, values in measured["zeros"].items()}
    kept, products = measured["kept"], measured["products"]
    sparse = {arm: value >= _SPARSE for arm, value in zeros.items()}
    told = [f"{share(zeros[arm])} of the outputs of {arm}" for arm in _ARMS]
    memory = [f"{value:.3g} ({name})" for name, value in kept.items()]
    sentence = (
        f"Exactly 0 are {listing(told)}. Bytes kept for backward per element: {listing(memory)}. With ReLU's zeros a product of matrices is "
        f"{products['relu']:.1f} times as fast as without, with Leaky ReLU's outputs {products['leaky_relu(0.01)']:.1f} times."
    )
    numbers: dict[str, float | None] = {f"share of zeros, {arm}": value for arm, value in zeros.items()}
    numbers |= {f"bytes kept per element, {name}": value for name, value in kept.items()}
    numbers |= {f"product as fast, {name}": round(value, 1) for name, value in products.items()}
    plots = (_zeros(measured), _memory(kept))
    if not sparse["relu"]:
        return Answer("S17", "not shown", sentence, numbers=numbers, plots=plots)
    saves = kept["PyTorch's leaky_relu"] < 4 or products["leaky_relu(0.01)"] >= _FASTER
    if sparse["leaky_relu(0.01)"] and saves:
        return Answer("S17", "holds", sentence, numbers=numbers, plots=plots)
    return Answer(
        "S17",
        "does not hold here",
        sentence,
        reason=(
            "Where ReLU puts 0, Leaky ReLU puts a small number; only what was 0 before stays so. And zeros save nothing by "
            "themselves: dense products multiply them like any other number. What does save memory is that backward needs only the "
            "sign of the input: one bit per element, which is what leaky.torch.leaky_relu keeps."
        ),
        numbers=numbers,
        plots=plots,
    )


def _zeros(measured: Measured) -> Plot:
    shares = {arm: tuple(100 * value for value in measured["zeros"][arm]) for arm in _ARMS}
    means = listing([f"{arm} {sum(values) / len(values):.1f} %" for arm, values in shares.items()])
    return Plot(
        "Outputs that are exactly 0",
        "",
        "% of outputs",
        tuple(Series(arm, (arm,) * len(values), values, kind="points") for arm, values in shares.items()),
        f"Outputs that are exactly 0 after training, a dot per seed. Means: {means}.",
    )


def _memory(kept: dict[str, float]) -> Plot:
    return Plot(
        "Memory kept for backward",
        "",
        "bytes per element",
        tuple(Series(name, (name,), (value,), kind="bars") for name, value in kept.items()),
        f"Bytes kept for backward per float32 element: {listing([f'{n} {v:.3g}' for n, v in kept.items()])}.",
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=5),)
