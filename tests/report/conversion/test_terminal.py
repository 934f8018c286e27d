from __future__ import annotations

import io
import math
from dataclasses import replace

import torch
from rich.console import Console

from leaky.conversion import Change, Conversion, Drift, Left
from leaky.report.conversion.terminal import show_conversion


def shown(conversion: Conversion) -> str:
    stream = io.StringIO()
    show_conversion(conversion, Console(file=stream, width=80, highlight=False))
    return stream.getvalue()


def change(site: str, rescaled: tuple[str, float] | None = None) -> Change:
    return Change(site, site, "nn.ReLU", "relu", "leaky_relu(0.1)", "module", rescaled)


def test_names_are_text_and_fit() -> None:
    name = "[/x]\x1b[31m\u202e\ny" + "z" * 99
    left = Left(name, name, f"{name}()", f"because of {name}")
    conversion = Conversion(None, (change(name, (name, 0.5)),), (left,), (f"[bold]note {name}",))
    text = shown(conversion)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("[/x][31m ")
    assert "× 0.500" in text
    assert "[bold]note" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_the_drift_and_what_is_not_finite() -> None:
    drift = Drift(samples=10, largest=math.inf, mean=0.25, scale=2.0, agreement=0.9, output="logits")
    text = " ".join(shown(Conversion(None, (change("a"), change("b", ("fc", 0.995))), drift=drift)).split())
    assert (
        "Outputs on 10 samples (logits): moved by 0.250 on average, – at most; their size is 2.00 on average; "
        "the largest is the same one on 90.0 %." in text
    )
    assert "a nn.ReLU leaky_relu(0.1) b nn.ReLU leaky_relu(0.1) × 0.995" in text
    assert "own size" not in text
    far = replace(drift, mean=2.5)
    assert "trained on before it is used. An ONNX model is not:" in " ".join(
        shown(Conversion(None, (), drift=far)).split()
    )
    network = " ".join(shown(Conversion(torch.nn.ReLU(), (), drift=far)).split())
    assert "trained on before it is used. Start at slope 0" in network
    document = Conversion(None, (), drift=drift).to_dict()
    assert document["drift"]["largest"] is None


def test_nothing_to_convert() -> None:
    assert shown(Conversion(None, ())) == "0 sites converted, 0 left.\n"
