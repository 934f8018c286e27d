"""Before training: how likely a network is to be born with dead units."""

from leaky.checkup.birth.result import AtBirth, Birth, Chance, LayerAtBirth
from leaky.checkup.birth.run import at_birth
from leaky.checkup.birth.theory import born_dead_bound

__all__ = ["AtBirth", "Birth", "Chance", "LayerAtBirth", "at_birth", "born_dead_bound"]
