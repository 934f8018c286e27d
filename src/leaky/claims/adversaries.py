"""S15: whether a leak helps to train GANs, and whether the gradient is sparse where ReLU is."""

from __future__ import annotations

from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.contest import by_key, gains, having, rule
from leaky.claims.experiment import Experiment, Lab, Measured
from leaky.claims.gan import BATCH, ENOUGH, LOOKS, NOISE, PLACES, SAMPLES, STEPS, TARGETS, train
from leaky.claims.means import mean
from leaky.claims.pieces import gathered
from leaky.claims.statement import Published, Statement
from leaky.comparison.verdict import judge_all
from leaky.wording import listing, share

_RELU, _LEAK = "relu", "leaky_relu(0.2)"
#: the activations of discriminator and generator
_ARMS = {
    "neither leaks": (_RELU, _RELU),
    "discriminator leaks": (_LEAK, _RELU),
    "generator leaks": (_RELU, _LEAK),
    "both leak": (_LEAK, _LEAK),
}
_BASELINE = "neither leaks"
_SEEDS = 20

STATEMENT = Statement(
    "S15",
    "Leaky ReLU is popular for training GANs, where sparse gradients hurt.",
    "test",
    recipe=(
        "Popularity is not tested. A ring of eight Gaussians (radius 1, standard deviation 0.05; hidden layers of 32 units) and the "
        "8 × 8 handwritten digits of scikit-learn (64 units); generator and discriminator have two hidden layers each, with ReLU or "
        f"Leaky ReLU of slope 0.2 in one, the other, both or neither; {_SEEDS} seeds. The generator starts from {NOISE} normal numbers. "
        f"Non-saturating loss, Adam (rate 0.002, β₁ 0.5), {STEPS:,} steps of each in turn on batches of {BATCH}; size, rate and steps were "
        f"chosen with ReLU in both alone. Of {SAMPLES:,} samples, those within three standard deviations of a Gaussian, or as near to a real "
        "digit as 95 % of real digits are to another one, count for its mode (or digit), and a mode is covered by "
        f"{ENOUGH:.0%} of all samples. The score is the mean of the last {LOOKS // 2} of {LOOKS} counts over the training. "
        "The share of exact zeros in the gradient of the generator's loss is taken as often, on the way in the discriminator's "
        "hidden layers (before the activation), at the generator's output (before its tanh, on digits), and in its hidden layers."
    ),
    criterion=(
        "The three with a leak are held against ReLU in both on each data set, in modes covered, by the differences paired by seed, at 5 % "
        "after Holm's correction for the six comparisons. It holds if all are better; it holds only for those that are named, if some are; it "
        "does not hold if none is better and one worse; else nothing is shown. The shares of zeros are told."
    ),
    published=(
        Published(
            "for",
            "Guidelines for stable convolutional GANs: Leaky ReLU (slope 0.2) in the discriminator, and ReLU in the generator, worked well.",
            "Radford, Metz & Chintala 2015, arXiv:1511.06434",
        ),
        Published(
            "for",
            "Avoid sparse gradients such as ReLU's and max pooling's, use Leaky ReLU in both networks: from a list of tips, without figures.",
            "Chintala et al. 2016, How to Train a GAN?, github.com/soumith/ganhacks",
        ),
        Published(
            "between",
            "Most of the kinds of GAN that were compared reach similar scores, given enough tuning and restarts.",
            "Lucic et al. 2018, arXiv:1711.10337",
        ),
    ),
)


def measure(lab: Lab) -> Measured:
    """Return the modes covered by data set, arm and seed, and the mean share of zeros by data set, arm and place."""
    calls = {
        f"{target}, {arm}, {seed}": (target, *activations, seed)
        for target in TARGETS
        for seed in range(_SEEDS)
        for arm, activations in _ARMS.items()
    }
    trained = gathered(lab, "claims: gan", train, calls)
    measured: Measured = {"covered": {}, "zeros": {}}
    for target in TARGETS:
        for arm in _ARMS:
            mine = [trained[f"{target}, {arm}, {seed}"] for seed in range(_SEEDS)]
            late = [one["covered"][-(LOOKS // 2) :] for one in mine]
            measured["covered"].setdefault(target, {})[arm] = [sum(counts) / len(counts) for counts in late]
            places = {place: sum(one["zeros"][place] for one in mine) / _SEEDS for place in PLACES}
            measured["zeros"].setdefault(target, {})[arm] = places
    return measured


def judge(measured: Measured) -> Answer:
    """Hold the pairs with a leak against ReLU in both."""
    verdicts = by_key(judge_all(measured["covered"], _BASELINE))
    ruling = rule(verdicts)
    won, lost = ([_where(*key) for key in having(verdicts, word)] for word in ("better", "worse"))
    zeros = measured["zeros"]
    told = [
        f"on {target} {share(zeros[target][_BASELINE][PLACES[0]])} of the gradient are zeros in the discriminator and "
        f"{share(zeros[target][_BASELINE][PLACES[1]])} where it reaches the generator's output"
        for target in zeros
    ]
    sentence = f"Modes covered beyond those where neither leaks, {gains(verdicts)}."
    sentence += f" Fewer are covered where {listing(lost)}." if lost else ""
    sentence += f" Where neither leaks, {listing(told)}."
    return Answer(
        "S15",
        ruling,
        sentence,
        condition=listing(won, "or") if ruling == "holds only when" else "",
        reason="" if ruling == "holds" else _REASON,
        numbers={
            **{f"{target}, {arm}: modes gained": v.difference for (target, arm), v in verdicts.items()},
            **{
                f"{target}, {arm}: zeros {place}": value
                for target, arms in zeros.items()
                for arm, places in arms.items()
                for place, value in places.items()
            },
        },
        plots=(*(_plot(target, arms) for target, arms in measured["covered"].items()), _plot_of_zeros(zeros)),
    )


_REASON = (
    "In the hidden layers of a ReLU discriminator half of the gradient is zeros, yet what arrives at the generator is a sum over all "
    "paths that are left, and hardly ever zero: sparse inside is not sparse where it counts. The published advice is from deep "
    "convolutional networks and long trainings; these are small and short, and their settings were chosen with ReLU in both."
)


def _where(target: str, arm: str) -> str:
    return f"{arm if arm.startswith('both') else f'the {arm}'} ({target})"


def _plot(target: str, arms: dict[str, list[float]]) -> Plot:
    means = {arm: mean(values) or 0.0 for arm, values in arms.items()}
    of = "digits" if target == "digits" else "Gaussians"
    return Plot(
        f"Modes covered: {target}",
        "",
        f"{of} covered",
        (Series("modes", tuple(means), tuple(means.values()), kind="bars"),),
        f"Mean number of {of} covered over {_SEEDS} seeds: {', '.join(f'{a} {m:.1f}' for a, m in means.items())}.",
    )


def _plot_of_zeros(zeros: dict[str, dict[str, dict[str, float]]]) -> Plot:
    arms = zeros["digits"]
    told = "; ".join(f"{arm}: " + ", ".join(f"{p} {share(v)}" for p, v in at.items()) for arm, at in arms.items())
    return Plot(
        "Zeros in the gradient: digits",
        "",
        "share of exact zeros",
        tuple(Series(arm, PLACES, tuple(at[p] for p in PLACES), kind="bars") for arm, at in arms.items()),
        f"The share of exact zeros in the gradient of the generator's loss by place. {told}.",
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=90.0),)
