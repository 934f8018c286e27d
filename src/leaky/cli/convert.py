"""`leaky convert`."""

from __future__ import annotations

import json
import math
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leaky.cli import options
from leaky.cli.commands import check_command
from leaky.cli.output import ResultConsole, check_output, messages, progress_bar
from leaky.wording import counted

if TYPE_CHECKING:
    from leaky.conversion import Conversion


def convert(
    model: Annotated[
        str,
        typer.Argument(
            help="A .onnx; file.py:factory, package.module:factory, or weights (.pt, .safetensors) with --model."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="What to write: .onnx, or weights (.pt, .safetensors).")
    ] = None,
    slope: Annotated[
        str, typer.Option(help="Negative slope of the new activations; own: each keeps the one that it has.")
    ] = "0.1",
    to: Annotated[
        str, typer.Option(help="What they become: leaky_relu, relu, or prelu, whose slopes are learned from there on.")
    ] = "leaky_relu",
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            help="Kind to convert: relu, leaky_relu, prelu, relu6, hardtanh, rrelu, threshold; repeat for more. "
            "(default: relu, leaky_relu) To freeze learned slopes: --kinds prelu --slope own."
        ),
    ] = None,
    subclasses: Annotated[
        bool, typer.Option("--subclasses", help="Convert modules of classes made of PyTorch's, too.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="Sites to convert, such as 'encoder.*'; repeat for more.")
    ] = None,
    skip: Annotated[list[str] | None, typer.Option(help="Sites to leave as they are; repeat for more.")] = None,
    network: options.Network = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="To see how far the outputs move, and what is an activation.")
    ] = None,
    batch: options.Batch = None,
    only_dead: Annotated[
        bool, typer.Option("--only-dead", help="Check the network on the data, and convert the sites with dead units.")
    ] = False,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="The network is as it was made: rescale its weights for the new gain.")
    ] = False,
    recalibrate: Annotated[
        bool, typer.Option("--recalibrate", help="Take BatchNorm's statistics anew over the data.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and write nothing.")] = False,
    as_json: options.AsJson = False,
    trust: options.Trust = False,
    max_memory: options.MaxMemory = None,
) -> int:
    """Put Leaky ReLU in the places of a network's rectifiers, and say what changed and what did not."""
    from leaky.checkup import check
    from leaky.conversion import convert as run
    from leaky.inputs.loading import bytes_of, default_memory, load_data, load_model
    from leaky.report.conversion.terminal import show_conversion

    for option, asked in (("only-dead", only_dead), ("untrained", untrained), ("recalibrate", recalibrate)):
        if asked and data is None:
            raise ValueError(f"--{option}: the network has to be run for it; expected --data with it")
    if only_dead and only:
        raise ValueError("--only: it has no meaning with --only-dead; expected one of the two")
    negative_slope = _slope(slope)
    graph = Path(model).suffix.lower() == ".onnx"
    _check_place(output, model, graph=graph, needed=not dry_run)
    memory = default_memory() if max_memory is None else bytes_of(max_memory)
    # Whatever a user's file prints must not end up in the result.
    with messages(), redirect_stdout(sys.stderr):
        loaded: Any = load_model(model, network=network, trust=trust, max_memory=memory)
        batches = None if data is None else load_data(data, batch_size=batch, trust=trust, max_memory=memory)
        chosen: Any = only or None
        if only_dead:
            with progress_bar("batches checked") as progress:
                chosen = check(loaded, batches, trained=not untrained, max_memory=memory, progress=progress)
        with progress_bar("batches") as progress:
            result = run(
                loaded,
                negative_slope,
                to=to,  # type: ignore[arg-type]  # whatever was written: it is looked at there
                kinds=kinds or ("relu", "leaky_relu"),
                only=chosen,
                skip=skip or None,
                subclasses=subclasses,
                data=batches,
                trained=not untrained,
                recalibrate=recalibrate,
                max_memory=memory,
                progress=progress,
            )
        beside = None
        if output is not None and not dry_run and result.changes:
            beside = _write(result, output, graph=graph)
    alive = only_dead and not any(seen.dead.any() for seen in chosen.judged.values())
    with suppress(BrokenPipeError):  # what was written is written
        if as_json:
            print(json.dumps(result.to_dict(), allow_nan=False))
        show_conversion(result, ResultConsole(stderr=as_json, highlight=False))
        if result.changes and output is not None and not dry_run:
            of = network if network or graph else model
            again = check_command(str(output), of, data, batch=batch, untrained=untrained, trust=trust)
            ending = _written(output, again, (of or "").rpartition(":")[2], beside, graph=graph)
        elif result.changes:
            ending = "Nothing was written (--dry-run)."
        else:
            why = f"No unit is dead on {counted(chosen.samples, 'sample')}: nothing" if alive else "Nothing"
            ending = f"{why} was converted, so nothing was written."
        print(ending, file=sys.stderr if as_json else sys.stdout)
    return 0 if result.changes or alive else 2


def _slope(text: str) -> float | None:
    """Return a slope; None for each site's own."""
    if text == "own":
        return None
    with suppress(ValueError):
        if not math.isnan(slope := float(text)):
            return slope
    raise ValueError(f"--slope: {text!r}; expected a number, or own")


def _check_place(output: Path | None, model: str, *, graph: bool, needed: bool) -> None:
    if output is not None:
        check_output(output, (".onnx",) if graph else (".pt", ".pth", ".safetensors"))
        if output.resolve() == Path(model).resolve():
            raise ValueError(f"--output: {str(output)!r} is the model itself; expected another file")
    elif needed:
        raise ValueError("--output: none; expected a file to write, or --dry-run to write nothing")


def _write(result: Conversion, output: Path, *, graph: bool) -> Path | None:
    """Write what came of it; return the file beside it that a model's weights are in, if there is one."""
    if graph:
        from leaky.onnx import save

        return save(result.model, output)
    from leaky.conversion import save_weights

    save_weights(result.model, output)
    return None


def _written(output: Path, again: str, factory: str, beside: Path | None, *, graph: bool) -> str:
    """Return what is said of what was written, and how to go on with it."""
    if graph:
        weights = "" if beside is None else f"\nIts weights, to be kept beside it: {beside}"
        return f"Model: {output}{weights}\nTo check it:\n  {again}"
    return (
        f"Weights, with their slopes: {output}\nTo check the network with them, which is converted as it is read:\n"
        f"  {again}\nIn Python: leaky.load_weights({factory}(), {str(output)!r}, convert=True)"
    )
