"""`leaky check`."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Annotated

import typer

from leaky.cli import options
from leaky.cli.at_birth import show_at_birth
from leaky.cli.commands import convert_command, written
from leaky.cli.output import ResultConsole, check_output, messages, progress_bar


def check(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="file.py:factory, package.module:factory, a .onnx, or weights (.pt, .safetensors) with --model."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            "-d",
            help="A .npy, a .npz (x, y; or an array for each of several inputs, by its name), a folder of .npy, or file.py:loader.",
        ),
    ],
    network: options.Network = None,
    loss: Annotated[
        str | None, typer.Option(help="See gradients too: cross_entropy, mse, l1, bce, nll, or model.")
    ] = None,
    batch: options.Batch = None,
    prove: Annotated[
        bool, typer.Option("--prove", help="Prove units dead for all inputs in the range of the data, by bounds.")
    ] = False,
    span: Annotated[
        tuple[float, float] | None,
        typer.Option("--range", help="Prove units dead for all inputs from LO to HI.", metavar="LO HI"),
    ] = None,
    untrained: Annotated[bool, typer.Option("--untrained", help="The network is as it was made.")] = False,
    at_birth: Annotated[
        int | None, typer.Option(help="Build the network so many times instead, and say how often it is born dead.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Report to write (.html).")] = None,
    as_json: options.AsJson = False,
    trust: options.Trust = False,
    max_memory: options.MaxMemory = None,
) -> int:
    """Find the dead units of a network, say why, and how sure that is. Exit code 1 if there are problems."""
    from leaky.checkup import check as run
    from leaky.inputs.loading import bytes_of, default_memory, load_data, load_model
    from leaky.report import write_report
    from leaky.report.check.terminal import show_check

    if at_birth is not None:
        others = {
            "model": network,
            "loss": loss,
            "prove": prove,
            "range": span,
            "untrained": untrained,
            "output": output,
        }
        for name in (name for name, value in others.items() if value not in (None, False)):
            raise ValueError(f"--{name}: it has no meaning with --at-birth; expected one of the two")
    if output is not None:
        check_output(output, (".html",))
    memory = default_memory() if max_memory is None else bytes_of(max_memory)
    if at_birth is not None:
        return show_at_birth(model, data, at_birth, batch=batch, trust=trust, memory=memory, as_json=as_json)
    # Whatever a user's file prints must not end up in the result.
    with messages(), redirect_stdout(sys.stderr):
        loaded = load_model(model, network=network, trust=trust, max_memory=memory)
        batches = load_data(data, batch_size=batch, trust=trust, max_memory=memory)
        with progress_bar("batches") as progress:
            result = run(
                loaded,
                batches,
                loss=loss,
                input_range=span or ("data" if prove else None),
                trained=not untrained,
                max_memory=memory,
                progress=progress,
            )
    then = convert_command(model, network, data, batch=batch, untrained=untrained, trust=trust)
    if output is not None:
        write_report(result, output, command=written(context.obj), then=then)
    with suppress(BrokenPipeError):  # who reads may have read enough: the exit code is still what was found
        if as_json:
            print(json.dumps(result.to_dict(), allow_nan=False))
        show_check(result, ResultConsole(stderr=as_json, highlight=False), then=then)
        if output is not None:
            print(f"Report: {output}", file=sys.stderr if as_json else sys.stdout)
    return 0 if result.ok else 1
