"""The ``leaky`` command. With the bare package alone, which is NumPy and the function, it says what to install."""

from __future__ import annotations

import sys

from leaky import stopping
from leaky.extras import MissingPackageError, needed_by


def main() -> int:
    """Run the command line and return its exit code."""
    stopping.begin()
    try:
        with needed_by("the command line"):
            from leaky.cli import main as command_line

            code = command_line()
    except MissingPackageError as error:
        print(f"leaky: {error}", file=sys.stderr)
        code = 2
    except BaseException:
        if not stopping.asked():
            raise
        code = stopping.farewell()
    return stopping.end(code)


if __name__ == "__main__":
    sys.exit(main())
