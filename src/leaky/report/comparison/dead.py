"""Dead units, site by site, from birth to the end of training."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from leaky.report import words
from leaky.report.comparison.tally import Arm, Array, dead_by_site
from leaky.report.look import DEAD, canvas, describe, epochs, styled

#: inches; three stand beside each other on a wide page
PANEL = 3.4


@styled
def units(arm: Arm) -> Figure:
    """Return the share of dead units of one arm, a row for each site and a column for each epoch."""
    shares = dead_by_site(arm.trials)
    sites, count = shares.shape
    figure = canvas(min(4.2, 1.15 + 0.11 * max(sites, 6)), width=PANEL)
    axes = figure.add_subplot()
    axes.set_title(words.shorten(arm.activation))
    # Each cell stands on its epoch; the number of the site is its place in the forward pass.
    axes.imshow(
        shade(shares), aspect="auto", interpolation="none", extent=(-0.5, count - 0.5, sites + 0.5, 0.5), zorder=0
    )
    epochs(axes, count - 1)
    axes.set_xlim(-0.5, count - 0.5)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.set_ylim(sites + 0.5, 0.5)
    axes.set_ylabel("site")
    end = words.share(arm.dead)
    axes.set_title(f"{end} dead" if arm.dead is not None else "none finished", loc="right", weight="normal")
    return describe(
        figure,
        f"Dead units of {arm.activation} by site and epoch, mean over the seeds: {words.share(arm.dead_at_birth)} of "
        f"all units before training, {end} after.",
    )


def shade(shares: Array) -> Array:
    """Return the colour of each share: none where no unit is dead, and at once visible where one is."""
    rgba = np.empty((*shares.shape, 4))
    rgba[..., :3] = to_rgb(DEAD)
    rgba[..., 3] = np.where(shares > 0, 0.12 + 0.88 * shares, 0)
    return rgba
