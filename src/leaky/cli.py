"""The command line: words in, words out."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from leaky.wording import plain

app = typer.Typer(
    name="leaky",
    help="Find the dead neurons in a neural network, cure them with Leaky ReLU, and see whether that helped.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_INTERRUPTED = 130

# The largest slope that is drawn: beyond, nothing but a vertical line would be seen.
_STEEPEST = 1000


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 well, 1 found, 2 bad input, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _prepare_streams()
    try:
        # The arguments travel along for the report, which says how to repeat itself.
        result = app(arguments, standalone_mode=False, obj=arguments)
    except typer.Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe went away. Python would complain once more while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        return _complain(str(error))
    except Exception as error:
        # Typer's own usage errors have no public base class in every version; all can format their message.
        if hasattr(error, "format_message"):
            return _complain(error.format_message())
        raise
    return result if isinstance(result, int) else 0


def _prepare_streams() -> None:
    """Let no character that a terminal's encoding lacks spoil a result."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


class _Console(Console):
    """A console that leaves a closed pipe to ``main``, where rich would exit with code 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _complain(text: str) -> int:
    if text:  # a bare `leaky` has shown its help already
        print(f"leaky: {plain(text)}", file=sys.stderr)
    return 2


def _show_version(wanted: bool) -> None:
    if wanted:
        from leaky import __version__

        print(f"leaky {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def compare(
    context: typer.Context,
    task: Annotated[
        str, typer.Option(help="digits, digits-shallow, mnist1d, or a file of yours as mine.py:task.")
    ] = "digits",
    activation: Annotated[
        list[str] | None,
        typer.Option(
            help="relu, 'leaky_relu(0.1)', 'prelu(0.25)', rrelu, sigmoid, tanh, elu or gelu; may be given many times "
            "(default: seven of them)"
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trials (trainings) of each activation.")] = 10,
    baseline: Annotated[str, typer.Option(help="What the others are held against.")] = "relu",
    epochs: Annotated[int | None, typer.Option(help="Instead of the task's own number.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Trials at a time. (default: one per core)")] = None,
    study: Annotated[
        Path | None, typer.Option(help="SQLite file that keeps finished trials. (default: beside the report)")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Report (.html) or its summary picture (.svg, .png, .pdf). (default: leaky-TASK.html)",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
) -> int:
    """Train one network with several activations, and say which is better than ReLU, or that none is."""
    from leaky.comparison import DEFAULT_ACTIVATIONS
    from leaky.comparison import compare as run
    from leaky.report import write_report
    from leaky.report.terminal import show
    from leaky.trials import load_task

    # Whatever a user's file prints must not end up in the result.
    with redirect_stdout(sys.stderr):
        loaded = load_task(task)
    stem = "leaky-" + re.sub(r"[^\w.-]+", "-", loaded.name)
    output = output or Path(f"{stem}.html")
    study = study or output.parent / f"{stem}.db"  # by the task's name: a picture asked for later finds the trials
    _check_output(output, (".html", ".svg", ".png", ".pdf"))
    if output.resolve() == study.resolve():
        raise ValueError(f"--study: {str(study)!r} is the output too; expected another file")
    try:
        with _messages(), redirect_stdout(sys.stderr), _progress("trials") as progress:
            comparison = run(
                loaded,
                activation or DEFAULT_ACTIVATIONS,
                seeds,
                baseline=baseline,
                epochs=epochs,
                jobs=jobs,
                study=study,
                progress=progress,
            )
        # A file's name may hold bytes that are no text.
        command = shlex.join(["leaky", *context.obj]).encode(errors="backslashreplace").decode()
        write_report(comparison, output, command=command)
    except KeyboardInterrupt:
        if study.exists():
            print(f"Stopped. Finished trials are in {study}; the same command goes on from there.", file=sys.stderr)
        raise
    if as_json:
        print(json.dumps(comparison.to_dict(), allow_nan=False))
    show(comparison, _Console(stderr=as_json, highlight=False))
    kind = "Report" if output.suffix.lower() == ".html" else "Picture"
    print(f"{kind}: {output}", file=sys.stderr if as_json else sys.stdout)
    return 0


@app.command()
def plot(
    slope: Annotated[float, typer.Option(help="Negative slope of the Leaky ReLU.")] = 0.05,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write (.svg, .png, .pdf).")] = Path(
        "leaky-relu.svg"
    ),
) -> int:
    """Draw Leaky ReLU and its derivative beside ReLU."""
    from leaky.report import function_figure, save

    if not abs(slope) <= _STEEPEST:
        raise ValueError(f"--slope: {slope}; expected a number from −{_STEEPEST:,} to {_STEEPEST:,}")
    _check_output(output, (".svg", ".png", ".pdf"))
    save(function_figure(slope), output)
    print(f"Picture: {output}")
    return 0


@app.command()
def bench(
    size: Annotated[
        list[str] | None,
        typer.Option(help="Numbers of elements: 1000, 64Ki, 16Mi; may be given many times. (default: 3 to 64Mi)"),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float16, bfloat16, float32 or float64.")] = "float32",
    slope: Annotated[float, typer.Option(help="Negative slope of the Leaky ReLU.")] = 0.01,
    seconds: Annotated[float, typer.Option(help="For each size, each way; five rounds are made at least.")] = 2.0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Picture of it to write (.svg, .png, .pdf).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the tables.")] = False,
) -> int:
    """Time the function against its peers that are installed, and say where it loses."""
    from leaky.benchmark import DEFAULT_SIZES
    from leaky.benchmark import bench as run
    from leaky.report import save
    from leaky.report.speed_table import show

    sizes = sorted({_elements(text) for text in size}) if size else DEFAULT_SIZES
    if output:
        _check_output(output, (".svg", ".png", ".pdf"))
    with redirect_stdout(sys.stderr), _progress("sizes") as progress:
        benchmark = run(sizes, dtype, slope, seconds=seconds, progress=progress)
    if output:
        from leaky.report.speed import speed_figure

        save(speed_figure(benchmark), output)
    if as_json:
        print(json.dumps(benchmark.to_dict(), allow_nan=False))
    else:
        show(benchmark, _Console(highlight=False))
    if output:
        print(f"Picture: {output}", file=sys.stderr if as_json else sys.stdout)
    return 0


def _elements(text: str) -> int:
    """Read a number of elements: 1000, 64Ki, 16 Mi."""
    match = re.fullmatch(r"([0-9]{1,15}) ?(Ki|Mi|Gi|)", text.strip(), re.IGNORECASE)
    if not match:
        raise ValueError(f"--size: {text!r}; expected a number of elements like 1000, 64Ki or 16Mi")
    return int(match[1]) << {"": 0, "ki": 10, "mi": 20, "gi": 30}[match[2].lower()]


def _check_output(path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse a place that cannot be written before the work is done rather than after it."""
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"--output: {str(path)!r}; expected a name that ends in {', '.join(suffixes)}")
    if not path.parent.is_dir():
        raise ValueError(f"--output: the folder {str(path.parent)!r} is not there")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(f"--output: {str(path)!r} cannot be written")


@contextmanager
def _messages() -> Iterator[None]:
    """Show what the library has to say on standard error, as plain lines, above any progress bar."""
    logger = logging.getLogger("leaky")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar with the time left on a terminal's standard error; nothing in a pipe."""
    console = Console(stderr=True)
    columns = (
        TextColumn(what),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar: Any = None

        def update(done: int, total: int) -> None:
            nonlocal bar
            if bar is None:
                # Trials found in a study took no time now: they must not count in the speed.
                bar = progress.add_task(what, total=total, completed=done)
            else:
                progress.update(bar, completed=done)

        yield update
