"""The command line: words in, words out."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from leaky import stopping
from leaky.cli.bench import bench
from leaky.cli.check import check
from leaky.cli.claims import claims
from leaky.cli.compare import compare
from leaky.cli.complaints import Command
from leaky.cli.convert import convert
from leaky.cli.plot import plot
from leaky.cli.tune import tune
from leaky.extras import MissingPackageError
from leaky.wording import plain

app = typer.Typer(
    name="leaky",
    help="Find the dead neurons in a neural network, cure them with Leaky ReLU, and see whether that helped.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 well, 1 found, 2 bad input, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _prepare_streams()
    stopping.say_at_the_end()
    code = 0
    try:
        # The arguments travel along for the report, which says how to repeat itself.
        result = app(arguments, standalone_mode=False, obj=arguments)
        code = result if isinstance(result, int) else 0
        sys.stdout.flush()
    except typer.Exit as stop:
        code = stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = stopping.INTERRUPTED
    except BrokenPipeError:
        _close_the_pipe()
    except SystemExit as stop:
        # Rich's own console, which shows the help, leaves by this for a closed pipe, and so does typer.
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        _close_the_pipe()
    except (ValueError, OSError) as error:
        return _complain(str(error))
    except MissingPackageError as error:
        return _complain(str(error))
    except Exception as error:
        # Typer's own usage errors have no public base class in every version; all can format their message.
        if hasattr(error, "format_message"):
            return _complain(error.format_message())
        raise
    # By its version, typer itself returns this code.
    return stopping.farewell() if code == stopping.INTERRUPTED else code


def _prepare_streams() -> None:
    """Let no character that a terminal's encoding lacks spoil a result."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _close_the_pipe() -> None:
    """End well where the reader of a pipe went away. Python would complain once more while it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(text: str) -> int:
    if stopping.asked():  # what fails after an interrupt may well fail of it
        return stopping.farewell()
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


for _command in (bench, check, claims, compare, convert, plot, tune):
    app.command(cls=Command)(_command)
