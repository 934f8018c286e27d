"""The commands to go on with, with what was said in the one before."""

from __future__ import annotations

import shlex
from pathlib import Path


def check_command(
    model: str, network: str | None, data: str | None, *, batch: int | None, untrained: bool, trust: bool
) -> str:
    """Return the command that checks a model: weights with their network, or an ONNX file."""
    words = ["check", model, *_network(network), "--data", data or "DATA"]
    return written([*words, *_shared(batch, untrained, trust)])


def convert_command(
    model: str, network: str | None, data: str, *, batch: int | None, untrained: bool, trust: bool
) -> str:
    """Return the command that converts what was checked."""
    stem = "cured-again" if Path(model).stem == "cured" else "cured"  # nothing is put in the place of what is read
    output = stem + (".onnx" if model.lower().endswith(".onnx") else ".pt")
    words = ["convert", model, *_network(network), "-o", output, "--slope", "0.1", "--data", data]
    return written([*words, *_shared(batch, untrained, trust)])


def _network(network: str | None) -> list[str]:
    return ["--model", network] if network else []


def _shared(batch: int | None, untrained: bool, trust: bool) -> list[str]:
    flags = [name for name, given in (("--untrained", untrained), ("--trust", trust)) if given]
    return [*(["--batch", str(batch)] if batch else []), *flags]


def written(words: list[str]) -> str:
    """Return a command of leaky's as it is typed."""
    # A file's name may hold bytes that are no text.
    return shlex.join(["leaky", *words]).encode(errors="backslashreplace").decode()
