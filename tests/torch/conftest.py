from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch._dynamo
from torch.nn.modules import module as calls
from torch.utils import _python_dispatch as dispatch

import leaky.torch


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the ways for large tensors with small ones, too."""
    monkeypatch.setattr(leaky.torch, "_SMALL", 0)


AT_REST = {"stance": "default", "fast path": True, "modes": 0, "in a mode": False, "hooks": []}


def what_is_switched() -> dict[str, Any]:
    """Return what of the whole process is not as it is while nothing is watched."""
    now = {
        "stance": torch._dynamo.eval_frame._stance.stance,
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "modes": torch._C._len_torch_dispatch_stack(),
        "in a mode": dispatch.is_in_torch_dispatch_mode(),
        "hooks": [*calls._global_forward_hooks, *calls._global_forward_pre_hooks],
    }
    return {name: value for name, value in now.items() if value != AT_REST[name]}


@pytest.fixture
def switched() -> Iterator[Callable[[], dict[str, Any]]]:
    """Return a function that tells what of the whole process watching has switched; put all of it back."""
    assert not what_is_switched()
    yield what_is_switched
    torch.compiler.set_stance("default")
    torch.backends.mha.set_fastpath_enabled(True)
    dispatch._is_in_torch_dispatch_mode = dispatch._is_in_non_infra_torch_dispatch_mode = False
