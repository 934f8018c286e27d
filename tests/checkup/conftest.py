from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from leaky.checkup import Check


@pytest.fixture
def codes() -> Callable[[Check], Mapping[str, tuple[int, ...]]]:
    """Return the units by code of rule, of a check with one site."""
    return lambda check: {finding.code: finding.units for finding in check.findings}
