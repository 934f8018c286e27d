"""Networks that others wrote: at slope 0 nothing changes, to the bit; at another all rectifiers are leaky."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

import leaky
from leaky.torch.watch.origin import tensors
from leaky_tests.torch.watch import test_others as others

SILENT = {"Llama", "ESM", "GPT-2", "Mamba", "MobileNetV1", "MobileNetV2"}  # without ReLU and Leaky ReLU


def outputs(model: Any, inputs: dict[str, Tensor]) -> list[Tensor]:
    with torch.no_grad():
        return list(tensors(model(**inputs)))


@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("with_data", [False, True], ids=["unseen", "on data"])
@pytest.mark.parametrize("name", [name for name in others.NETWORKS if name not in SILENT])
def test_networks_of_transformers(name: str, with_data: bool) -> None:
    torch.manual_seed(0)
    build, given = others.NETWORKS[name]
    model, inputs = build().eval(), given()
    before, data = outputs(model, inputs), inputs if with_data else None
    kinds: Counter[str] = others.counted(model, inputs)

    warm = leaky.convert(model, 0.0, kinds="relu", data=data).model
    after = outputs(warm, inputs)
    assert len(after) == len(before)
    assert all(torch.equal(one, other) for one, other in zip(after, before, strict=True))

    conversion = leaky.convert(model, 0.1, data=data)
    expected = Counter(kinds)
    expected["leaky_relu"] += expected.pop("relu", 0)
    assert others.counted(conversion.model, inputs) == expected
    assert list(conversion.model.state_dict()) == list(model.state_dict())
    sites = others.watched(conversion.model, inputs)
    slopes = {site.slope for site, _ in sites.values() if site.kind == "leaky_relu"}
    assert slopes == {0.1}
    if with_data:
        told = {change.site for change in conversion.changes} | {each.site for each in conversion.left}
        seen = others.watched(model, inputs).items()
        assert {name for name, (site, _) in seen if site.kind in ("relu", "leaky_relu")} <= told


@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("name", sorted(SILENT))
def test_those_without_relu_have_nothing_to_convert(name: str) -> None:
    model, inputs = others.NETWORKS[name][0]().eval(), others.NETWORKS[name][1]()
    conversion = leaky.convert(model, 0.1, data=inputs)
    assert conversion.changes == ()
