"""What has been seen of the units at an activation: counts, extremes and exact sums, that add up whatever their order."""

from leaky.evidence.gathered import Evidence
from leaky.evidence.sites import Identity, Site, Slope, slopes_of_units, unused
from leaky.evidence.statistics import (
    Batch,
    Counts,
    Floats,
    batch_statistics,
    batch_statistics_at,
    batch_statistics_of,
)

__all__ = [
    "Batch",
    "Counts",
    "Evidence",
    "Floats",
    "Identity",
    "Site",
    "Slope",
    "batch_statistics",
    "batch_statistics_at",
    "batch_statistics_of",
    "slopes_of_units",
    "unused",
]
