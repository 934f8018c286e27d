"""`leaky check --at-birth`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from leaky.cli.output import ResultConsole, progress_bar

if TYPE_CHECKING:
    from leaky.checkup.birth import Birth, Chance


def show_at_birth(
    model: str, data: str, networks: int, *, batch: int | None, trust: bool, memory: int | None, as_json: bool
) -> int:
    """Build the user's network many times and say how likely it is to be born dead; return the exit code."""
    from leaky.checkup import at_birth
    from leaky.inputs.loading import load_data, load_factory

    with redirect_stdout(sys.stderr), progress_bar("networks") as progress:
        factory = load_factory(model, trust=trust)
        inputs = next(iter(load_data(data, batch_size=batch, trust=trust, max_memory=memory)), None)
        if inputs is None or isinstance(inputs, Mapping):
            raise ValueError("--at-birth: expected data whose first batch is an array, or a pair (x, y)")
        inputs = inputs[0] if isinstance(inputs, tuple | list) else inputs
        result = at_birth(factory, inputs, networks=networks, progress=progress)
    if as_json:
        print(json.dumps(result.to_dict(), allow_nan=False))
        return 0
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading in ("slope", "a unit, %", "a layer, %", "the network, %", "variance"):
        table.add_column(heading, justify="right")
    for birth in result.births:
        chances = [_percent(chance) for chance in (birth.unit, birth.layer, birth.network)]
        table.add_row(f"{birth.slope:g}", *chances, _drift(birth))
    console = ResultConsole(highlight=False)
    console.print(f"Born dead, of {result.networks:,} networks on {result.samples:,} samples (95 % interval):")
    console.print(table)
    console.print("variance: of the pre-activations, at the first site and at the last", style="dim")
    for note in result.notes:
        console.print(Text(note, style="dim"))
    return 0


def _percent(chance: Chance) -> str:
    return f"{100 * chance.value:.1f} ({100 * chance.low:.1f}–{100 * chance.high:.1f})"


def _drift(birth: Birth) -> str:
    return f"{birth.layers[0].variance:.2g} → {birth.layers[-1].variance:.2g}" if birth.layers else "–"
