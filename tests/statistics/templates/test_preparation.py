"""Each step of the preparation, on templates made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.analysis import TemplateFit
from bphcoffea.errors import FitError
from bphcoffea.statistics.templates.adjustments import smoothed, symmetrised
from bphcoffea.statistics.templates.collection import Collection
from bphcoffea.statistics.templates.preparation import prepare
from bphcoffea.statistics.templates.template import Sides, Template, TemplateChannel, Varied

NOMINAL = np.array([40.0, 30.0, 20.0, 10.0])
SIGNAL = np.array([1.0, 2.0, 3.0, 4.0])


def sides(up=None, down=None, covariance=None):
    return Sides(
        *(None if values is None else Varied(np.array(values), covariance) for values in (up, down))
    )


def prepared(varied, nominal=NOMINAL, variance=NOMINAL, cross_sections=(), **declared):
    """Prepare a background with some variations; returns it with what was noted on it."""
    fit = TemplateFit(histogram="x", regions="r", signal="s", **declared)
    templates = {
        "s": Template(SIGNAL, SIGNAL**2 / 100),
        "b": Template(nominal, variance, varied, cross_sections=cross_sections),
    }
    channel = TemplateChannel(
        *("r", "r", "", "x", np.arange(5.0), "x", templates),
        *(np.array([41.0, 33.0, 22.0, 15.0]), np.zeros(4, dtype=bool)),
    )
    processes = {"s": ("s",), "b": ("b",)}
    result = prepare(fit, Collection((channel,), processes, ("s",)))
    (background,) = [s for s in result.model.channels[0].samples if s.name == "b"]
    return background, [step.done for step in result.steps if step.process == "b"]


def test_a_variation_is_split_into_yield_and_shape():
    up, down = NOMINAL * [1.2, 1.1, 1.0, 0.9], NOMINAL * [0.9, 0.9, 1.0, 1.3]
    background, notes = prepared({"v": sides(up, down)})
    effect = background.effects["v"]
    assert effect.factors == pytest.approx((np.sum(down) / 100, np.sum(up) / 100))
    for shape, factor, varied in zip(effect.shapes, effect.factors, (down, up), strict=True):
        np.testing.assert_allclose(shape * factor, varied)
        assert np.sum(shape) == pytest.approx(100)
    assert notes == []


def test_what_does_not_change_is_no_parameter():
    background, notes = prepared({"v": sides(NOMINAL, NOMINAL)})
    assert background.effects == {}
    assert notes == ["is identical to the nominal template and left out"]
    flat, _ = prepared({"v": sides(1.1 * NOMINAL, 0.9 * NOMINAL)})
    assert flat.effects["v"].shapes is None


@pytest.mark.parametrize(("how", "other"), [("mirror", 0.8), ("nominal", 1.0)])
def test_a_missing_side_is_declared_and_noted(how, other):
    rule = {"names": "v", "one_sided": how}
    background, notes = prepared({"v": sides(1.2 * NOMINAL)}, variations=(rule,))
    assert background.effects["v"].factors == pytest.approx((other, 1.2))
    assert len(notes) == 1
    lower, _ = prepared({"v": sides(None, 1.2 * NOMINAL)}, variations=(rule,))
    assert lower.effects["v"].factors == pytest.approx((1.2, other))


@given(
    st.lists(st.floats(-5, 5), min_size=4, max_size=4),
    st.lists(st.floats(-5, 5), min_size=4, max_size=4),
    st.sampled_from(["average", "larger", "up", "down"]),
)
def test_symmetrised_sides_are_mirror_images(first, second, how):
    up, down = NOMINAL + first, NOMINAL + second
    low, high = symmetrised(NOMINAL, down, up, how)
    np.testing.assert_allclose(low - NOMINAL, NOMINAL - high, atol=1e-12)
    above, below = up - NOMINAL, down - NOMINAL
    largest = np.maximum(np.abs(above), np.abs(below))
    assert np.all(np.abs(high - NOMINAL) <= largest + 1e-12)
    if how == "larger":
        np.testing.assert_allclose(np.abs(high - NOMINAL), largest, atol=1e-12)
    if how in ("up", "down"):
        np.testing.assert_array_equal(*((high, up) if how == "up" else (low, down)))


def test_symmetrising_is_noted():
    rule = {"names": "v", "symmetrise": "average"}
    background, notes = prepared({"v": sides(1.3 * NOMINAL, 0.9 * NOMINAL)}, variations=(rule,))
    assert background.effects["v"].factors == pytest.approx((0.8, 1.2))
    assert notes == ["both sides are symmetrised (average)"]


@given(st.lists(st.floats(-5, 5), min_size=4, max_size=4), st.integers(1, 4))
def test_smoothing_keeps_the_yield_and_what_is_smooth(change, neighbours):
    varied = NOMINAL + change
    result = smoothed(NOMINAL, varied, neighbours)
    assert np.sum(result) == pytest.approx(np.sum(varied))
    flat = smoothed(NOMINAL, 1.1 * NOMINAL, neighbours)
    np.testing.assert_allclose(flat, 1.1 * NOMINAL)
    # by hand
    relative = [
        np.sum(np.array(change)[max(i - neighbours, 0) : i + neighbours + 1])
        / np.sum(NOMINAL[max(i - neighbours, 0) : i + neighbours + 1])
        for i in range(4)
    ]
    plain = NOMINAL * (1 + np.array(relative))
    expected = plain + NOMINAL * (np.sum(varied) - np.sum(plain)) / 100
    np.testing.assert_allclose(result, expected, atol=1e-9)


def test_an_uncertainty_that_cannot_be_used_is_noted():
    background, notes = prepared({"v": sides(2.5 * NOMINAL)})
    assert background.effects == {}
    assert notes[-1] == "has no events on one side, and is left out"


def test_an_envelope_takes_the_place_of_its_members():
    variations = {
        "f1": sides(NOMINAL + np.array([1, 0, 0, 0]), NOMINAL - np.array([2, 0, 0, 0])),
        "f2": sides(NOMINAL + np.array([0, 3, 0, 0])),
        "g": sides(1.1 * NOMINAL, 0.9 * NOMINAL),
    }
    background, notes = prepared(variations, envelopes=({"name": "f", "of": "f*"},))
    assert list(background.effects) == ["g", "f"]
    effect = background.effects["f"]
    up, down = (effect.shapes[i] * effect.factors[i] for i in (1, 0))
    np.testing.assert_allclose(up, NOMINAL + np.array([1, 3, 0, 0]))
    np.testing.assert_allclose(down, NOMINAL - np.array([2, 0, 0, 0]))
    assert notes == ["is the envelope of f1, f2"]


def test_small_effects_are_pruned_by_part():
    variations = {
        "large": sides(1.2 * NOMINAL, 0.8 * NOMINAL),
        "small": sides(1.004 * NOMINAL, 0.996 * NOMINAL),
        "tilt": sides(NOMINAL * [1.01, 1, 1, 0.96], NOMINAL * [0.99, 1, 1, 1.04]),
        "flat": sides(NOMINAL * [1.005, 1, 1, 0.98], NOMINAL * [0.995, 1, 1, 1.02]),
    }
    pruning = {"normalisation": 0.005, "shape": 0.03}
    background, notes = prepared(variations, pruning=pruning)
    assert list(background.effects) == ["large", "tilt"]
    assert background.effects["tilt"].factors is None
    assert len(notes) == 2
    assert any("0.004" in note for note in notes)
    assert any("0.02, is pruned" in note for note in notes)


def test_shapes_that_are_fluctuations_are_pruned():
    noisy = np.diag(NOMINAL * 0.1)
    moved = NOMINAL * [1.02, 0.98, 1.02, 0.98]
    variations = {
        "noise": sides(1.1 * moved, 0.9 * moved, noisy),
        "real": sides(1.1 * moved, 0.9 * moved, noisy / 1000),
    }
    background, notes = prepared(variations, pruning={"p_value": 0.1})
    assert background.effects["noise"].shapes is None
    assert background.effects["noise"].factors == pytest.approx(
        (0.9 * 100.4 / 100, 1.1 * 1.004), rel=1e-2
    )
    assert background.effects["real"].shapes is not None
    assert ["fluctuation" in note for note in notes] == [True]


def test_negative_contents_are_noted():
    nominal = np.array([5.0, -1.0, 2.0, 4.0])
    background, notes = prepared(
        {"v": sides([5.0, 1.0, 2.0, -4.0], 0.5 * nominal)}, nominal, np.abs(nominal)
    )
    np.testing.assert_array_equal(background.nominal, [5, 0, 2, 4])
    assert len([note for note in notes if "set to 0" in note]) == 3
    with pytest.raises(FitError, match="no background with events"):
        prepared({}, 0 * NOMINAL)


def test_a_part_can_be_kept_alone_and_variations_left_out():
    tilt = sides(NOMINAL * [1.2, 1.1, 1.0, 0.9], NOMINAL * [0.9, 0.9, 1.0, 1.3])
    rules = (
        {"names": "a", "keep": "shape"},
        {"names": "b", "keep": "normalisation"},
        {"names": "c", "exclude": True},
        {"names": "*"},
    )
    background, notes = prepared(dict.fromkeys("abc", tilt), variations=rules)
    assert list(background.effects) == ["a", "b"]
    assert background.effects["a"].factors is None
    assert background.effects["b"].shapes is None
    assert len(notes) == 3


def test_a_free_process_has_no_uncertainty_of_its_cross_section():
    variations = {"cross_section_b": sides(1.1 * NOMINAL, NOMINAL / 1.1)}
    free = ({"name": "norm_b", "processes": "b"},)
    background, notes = prepared(variations, cross_sections=tuple(variations), free=free)
    assert background.effects == {}
    assert background.free == ("norm_b",)
    assert notes == ["is replaced by the free normalisation"]


def test_errors_are_those_of_bins_above_the_threshold():
    variance = np.array([4.0, 0.0001, 1.0, 4.0])
    background, _ = prepared({}, variance=variance, statistics={"threshold": 0.02})
    np.testing.assert_allclose(background.errors, [2, 0, 1, 2])


def test_log_normals_and_names_in_conflict():
    lines = ({"name": "v", "size": 0.5, "processes": "b"},)
    background, _ = prepared({}, normalisations=lines)
    assert background.effects["v"].factors == pytest.approx((1 / 1.5, 1.5))
    with pytest.raises(FitError, match="have the parameter 'v'; rename one of them"):
        prepared({"v": sides(1.1 * NOMINAL, NOMINAL)}, normalisations=lines)
    with pytest.raises(FitError, match="a free normalisation has the name of a variation, 'v'"):
        prepared({"v": sides(1.1 * NOMINAL, NOMINAL)}, free=({"name": "v"},))
