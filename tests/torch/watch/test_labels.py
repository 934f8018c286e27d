"""Labels say where samples and units are, whatever is done to the axes: held against following every element."""

import itertools
import math

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from leaky.torch.watch.labels import Label, along, carried, layout, permuted

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)


def members(shape: tuple[int, ...], label: Label) -> np.ndarray:
    """Return which member each element belongs to."""
    return (np.arange(math.prod(shape)) // label[1] % label[0]).reshape(shape)


def regroup(data: st.DataObject, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return another shape of as many elements."""
    factors = [factor for size in shape for factor in {1: (1,), 2: (2,), 3: (3,), 4: (2, 2)}[size]]
    if data.draw(st.booleans()):  # one that cuts across the axes
        factors = data.draw(st.permutations(factors))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(factors) - 1)))))
    return tuple(math.prod(factors[a:b]) for a, b in itertools.pairwise([0, *cuts, len(factors)]) if a < b)


@given(st.data(), SHAPES)
def test_a_permutation_is_followed_or_given_up(data: st.DataObject, shape: tuple[int, ...]) -> None:
    label = along(shape, data.draw(st.integers(0, len(shape) - 1)))
    new = regroup(data, shape)
    order = data.draw(st.permutations(range(len(new))))
    moved = permuted(label, new, order)
    if moved is not None:
        expected = members(shape, label).reshape(new).transpose(order)
        assert (members(expected.shape, moved) == expected).all()


@given(st.data(), SHAPES)
def test_whole_axes_are_never_lost_to_a_permutation(data: st.DataObject, shape: tuple[int, ...]) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    order = data.draw(st.permutations(range(len(shape))))
    new = [shape[each] for each in order]
    moved = permuted(along(shape, axis), shape, order)
    assert moved is not None
    if shape[axis] > 1:
        assert moved == along(new, order.index(axis))


@given(st.data(), SHAPES)
def test_other_axes_may_grow_and_shrink(data: st.DataObject, shape: tuple[int, ...]) -> None:
    label = along(shape, data.draw(st.integers(0, len(shape) - 1)))
    old = regroup(data, shape)
    chosen = data.draw(st.sets(st.integers(0, len(old) - 1)))
    new = tuple(data.draw(st.integers(1, 5)) if axis in chosen else size for axis, size in enumerate(old))
    moved = carried(label, old, new)
    if moved is None or label[0] == 1:
        return
    # what both have in common belongs to the same members
    shared = tuple(slice(min(a, b)) for a, b in zip(old, new, strict=True))
    assert (members(new, moved)[shared] == members(shape, label).reshape(old)[shared]).all()
    assert set(np.unique(members(new, moved))) == set(range(label[0]))


@given(st.data(), SHAPES)
def test_a_layout_has_the_samples_first_and_the_units_on_their_axis(
    data: st.DataObject, shape: tuple[int, ...]
) -> None:
    assume(len(shape) > 1)
    one, other = data.draw(st.permutations(range(len(shape))))[:2]
    samples, units = along(shape, one), along(shape, other)
    new = regroup(data, shape)
    of_sample = torch.from_numpy(members(shape, samples)).reshape(new)
    of_unit = torch.from_numpy(members(shape, units)).reshape(new)
    arranged = layout(new, samples, units)  # whatever the new axes are
    assert arranged.axis is not None
    by_sample = arranged(of_sample).movedim(0, -1).reshape(-1, samples[0])
    by_unit = arranged(of_unit).movedim(arranged.axis, -1).reshape(-1, units[0])
    assert bool((by_sample == torch.arange(samples[0])).all())
    assert bool((by_unit == torch.arange(units[0])).all())


def test_a_tensor_whose_axes_will_do_is_left_as_it_is() -> None:
    arranged = layout((8, 3, 5, 5), along((8, 3, 5, 5), 0), along((8, 3, 5, 5), 1))
    assert (arranged.view, arranged.samples, arranged.axis) == (None, 0, 1)


def test_flattened_channels_are_still_channels() -> None:
    assert along((8, 3, 5, 5), 1) == (3, 25)
    arranged = layout((8, 75), (8, 75), (3, 25))
    assert (arranged.view, arranged.samples, arranged.axis) == ((8, 3, 25), 0, 1)


def test_samples_within_merged_rows_are_told_apart() -> None:
    shape = (4 * 7, 5)  # time first, then samples
    arranged = layout(shape, along((4, 7, 5), 1), along(shape, 1))
    assert arranged(torch.arange(140).reshape(shape)).shape == (7, 4, 5)
    assert arranged.axis == 2


def test_labels_that_cut_across_each_other_give_up_the_units() -> None:
    assert layout((4, 6), (4, 6), (8, 2)).axis is None


def test_a_torn_label_is_given_up() -> None:
    assert permuted(along((2, 12), 1), (2, 3, 4), (0, 2, 1)) is None
    assert carried(along((2, 12), 1), (2, 3, 4), (2, 3, 2)) is None
