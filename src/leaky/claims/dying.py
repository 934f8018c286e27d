"""S7 and S8: units that never fire, with ReLU and with a leak."""

from leaky.claims.experiment import Experiment

EXPERIMENTS: tuple[Experiment, ...] = ()
