"""ReLU alone over widths and depths: what the shape of the task ``digits`` was chosen by, before any other arm was run."""

from dataclasses import replace

import joblib

from leaky import Activation, Task
from leaky.trials import load_task, mlp, run_trial

WIDTHS, DEPTHS, SEEDS = (8, 10, 12, 16, 24), (8, 12, 16, 24), 3


def score(task: Task, width: int, depth: int, seed: int) -> float:
    """Return ReLU's final test accuracy, 0 if it diverged."""
    return run_trial(replace(task, model=mlp(64, [width] * depth, 10)), Activation("relu"), seed).score or 0.0


def main() -> None:
    """Print the mean test accuracy over three seeds, a row for each width."""
    shapes = [(width, depth, seed) for width in WIDTHS for depth in DEPTHS for seed in range(SEEDS)]
    task = load_task("digits")
    scores = joblib.Parallel(n_jobs=-1)(joblib.delayed(score)(task, *shape) for shape in shapes)
    print("width   depth " + "".join(f"{depth:8}" for depth in DEPTHS))
    for width in WIDTHS:
        means = [
            sum(s for s, (w, d, _) in zip(scores, shapes, strict=True) if (w, d) == (width, depth)) / SEEDS
            for depth in DEPTHS
        ]
        print(f"{width:5}         " + "".join(f"{mean:8.1%}" for mean in means))


if __name__ == "__main__":
    main()
