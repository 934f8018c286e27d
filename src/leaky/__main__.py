"""The ``leaky`` command. With the bare package alone, which is NumPy and the function, it says what to install."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the command line and return its exit code."""
    # Ended from outside it cleans up as it does on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from leaky.cli import main as command_line

        return command_line()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "leaky":
            raise
        print(
            f"leaky: the command line needs {error.name.split('.')[0]}, which is not installed; "
            "install leaky with its extra 'torch': pip install '.[torch]' in its source folder",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:  # while still loading
        return 130


if __name__ == "__main__":
    sys.exit(main())
