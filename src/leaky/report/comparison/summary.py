"""One wide picture of a comparison: every seed, the verdicts, and the dead units beside them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaky.comparison.result import Comparison
from leaky.report import words
from leaky.report.comparison import dots
from leaky.report.comparison.tally import arms, rectifies
from leaky.report.look import MUTED, PAPER, SIZE, WIDTH, canvas, describe, looks, measure, styled


@styled
def summary_figure(comparison: Comparison) -> Figure:
    """Return a picture for a README: final scores and verdicts on the left, dead units before and after on the right."""
    figure = canvas(dots.height(len(comparison.activations)) + 0.35, width=2 * WIDTH)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    notes = {v.activation: v.word for v in comparison.verdicts} | {comparison.baseline: "baseline"}
    dots.draw_scores(left, comparison, notes)
    _draw_dead(right, comparison)
    seeds = words.counted(len(comparison.seeds), "seed")
    figure.suptitle(f"{words.shorten(comparison.task, 60)}, {seeds}", x=0.01, ha="left", size=SIZE, color=MUTED)
    said = " ".join(f"{v.activation}: {v.word}." for v in comparison.verdicts)
    return describe(figure, f"Comparison of activations on {comparison.task} against {comparison.baseline}. {said}")


def _draw_dead(axes: Axes, comparison: Comparison) -> None:
    """Draw each arm's share of dead units: an empty dot at birth, a full one after training."""
    axes.set_title("Dead units")
    axes.set_xlabel("○ at birth   ● after training")
    dots.rows(axes, comparison.activations, looks(comparison.activations))
    axes.set_yticklabels([])
    for row, arm in enumerate(arms(comparison)):
        colour = looks(comparison.activations)[arm.activation].colour
        if not rectifies(arm.activation):
            dots.beside(axes, row, "does not apply")
            continue
        dots.beside(axes, row, f"{words.share(arm.dead_at_birth)} → {words.share(arm.dead)}")
        ends = [share for share in (arm.dead_at_birth, arm.dead) if share is not None]
        axes.plot(ends, [row] * len(ends), color=colour, linewidth=2, clip_on=False)
        for share, filling in ((arm.dead_at_birth, PAPER), (arm.dead, colour)):
            if share is not None:
                axes.plot(share, row, "o", color=colour, markerfacecolor=filling, markersize=6, clip_on=False, zorder=3)
    axes.set_xlim(0, min(1.0, max(0.1, 1.1 * axes.dataLim.x1)) if np.isfinite(axes.dataLim.x1) else 1.0)
    measure(axes, "x", lambda value: words.brief(value, "accuracy"))
