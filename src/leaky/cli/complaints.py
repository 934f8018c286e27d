"""What the library complains of, told of the options as they were typed."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

# What the library calls what a parameter of a command says, where it has another name for it.
_CALLED = {
    "at_birth": {"networks"},
    "batch": {"batch_size"},
    "data": {"inputs"},
    "model": {"factory"},
    "prove": {"input_range"},
    "slope": {"negative_slope"},
    "span": {"input_range"},
    "statements": {"ids"},
    "untrained": {"trained"},
}

# Most of what is said of the data is said of what is in them, not of the option by which they were named.
_NO_OPTION = {"data"}

_COMPLAINT = re.compile(r"(\w+)(:| must )(.*)", re.DOTALL)


class Command(TyperCommand):
    """A command that complains of its options by the names with which they were typed."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            ValueError: whatever it raises of this kind, told of the options.
        """
        try:
            return super().invoke(ctx)
        except ValueError as error:
            raise ValueError(_as_typed(str(error), ctx)) from error


def _as_typed(complaint: str, context: Any) -> str:
    """Return what the library says of an argument as said of the option that was typed for it, if one was.

    Nothing is said of an option that was not typed: then it may be the task of a user's own that has that wrong.
    """
    match = _COMPLAINT.fullmatch(complaint)
    if match is None:
        return complaint
    argument, then, rest = match.groups()
    for option in context.command.params:
        if argument in _names(option) and _typed(option, context):
            if getattr(option, "is_flag", False):  # typed without a value
                rest = re.sub("^ (True|False);", "", rest)
            return f"{option.name if option.name in _NO_OPTION else option.opts[0]}{then}{rest}"
    return complaint


def _typed(option: Any, context: Any) -> bool:
    source = context.get_parameter_source(option.name)
    return source is not None and source.name == "COMMANDLINE"


def _names(option: Any) -> set[str]:
    """Return what the library may call what an option says: of one that may be typed many times, also by its plural."""
    plural = {f"{option.name}s"} if getattr(option, "multiple", False) else set()
    return {option.name, *plural, *_CALLED.get(option.name, ())}
