"""What a check looks for: one small class each."""

from leaky.checkup.rules.activity import AlwaysOn, Dormant, RarelyActive, Saturated
from leaky.checkup.rules.depth import ExplodingActivations, ExplodingGradient, NotFinite, VanishingGradient
from leaky.checkup.rules.rule import Rule
from leaky.checkup.rules.silence import Dead, DeadAtBirth, DeadLayer, ProvedDead, SilentLeak

__all__ = ["RULES", "Rule"]

RULES: tuple[Rule, ...] = (
    DeadLayer(),
    ProvedDead(),
    Dead(),
    DeadAtBirth(),
    SilentLeak(),
    RarelyActive(),
    Dormant(),
    AlwaysOn(),
    Saturated(),
    VanishingGradient(),
    ExplodingGradient(),
    ExplodingActivations(),
    NotFinite(),
)
