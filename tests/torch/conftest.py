import pytest

import leaky.torch


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the ways for large tensors with small ones, too."""
    monkeypatch.setattr(leaky.torch, "_SMALL", 0)
