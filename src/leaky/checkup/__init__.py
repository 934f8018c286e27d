"""Finding the dead units of a network, saying why, and how sure that is."""

from leaky.checkup.errors import CheckError
from leaky.checkup.finding import Cause, Finding
from leaky.checkup.result import Check, merge
from leaky.checkup.run import check
from leaky.checkup.seen import Layer, Seen

__all__ = ["Cause", "Check", "CheckError", "Finding", "Layer", "Seen", "check", "merge"]
