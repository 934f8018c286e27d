"""The ``leaky`` command. With the bare package alone, which is NumPy and the function, it says what to install."""

from __future__ import annotations

import sys

from leaky import stopping


def main() -> int:
    """Run the command line and return its exit code."""
    stopping.begin()
    try:
        from leaky.cli import main as command_line

        code = command_line()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "leaky":
            raise
        print(
            f"leaky: the command line needs {error.name.split('.')[0]}, which is not installed; "
            "install leaky with its extra 'torch': pip install '.[torch]' in its source folder",
            file=sys.stderr,
        )
        code = 2
    except BaseException:
        if not stopping.asked():
            raise
        code = stopping.farewell()
    return stopping.end(code)


if __name__ == "__main__":
    sys.exit(main())
