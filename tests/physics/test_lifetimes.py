"""A sample of one mean decay length, weighted to another, has the other's distribution."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.errors import InputError
from bphcoffea.physics.lifetimes import lifetime_weight, mixture_weight

MEAN = st.floats(1e-3, 1e3)


@given(MEAN, MEAN, st.lists(st.floats(0, 5), max_size=10))
def test_weights_are_the_ratio_of_the_densities(generated, wanted, lifetimes):
    # as many mean lengths as leave both densities in the range of doubles
    lengths = np.array(lifetimes) * min(generated, wanted)
    weights = lifetime_weight(lengths, generated, wanted)
    for length, weight in zip(lengths, weights, strict=True):
        densities = [math.exp(-length / mean) / mean for mean in (generated, wanted)]
        # exponents up to 5, so that rounding is amplified little
        assert weight == pytest.approx(densities[1] / densities[0], rel=1e-13)


@given(MEAN)
def test_the_generated_mean_changes_nothing(mean):
    lengths = np.linspace(0, 30 * mean, 20)
    assert lifetime_weight(lengths, mean, mean).tolist() == [1.0] * 20


#: Mean lengths of a sample, mm, and those that are wanted of it; weights of longer ones than twice
#: the generated have no variance.
POINTS = [(1.0, 0.3), (1.0, 0.9), (1.0, 1.5), (0.1, 0.03), (10.0, 5.0), (10.0, 13.0)]


@pytest.mark.parametrize(("generated", "wanted"), POINTS)
def test_the_mean_weight_is_1(generated, wanted):
    # the integral over the density that was generated, to 60 of its mean lengths
    length = np.linspace(0, 60 * generated, 600_001)
    density = np.exp(-length / generated) / generated
    weights = lifetime_weight(length, generated, wanted)
    # what lies beyond is exp(-40) at most, and trapezoids miss 1e-7 at this spacing
    assert np.trapezoid(weights * density, length) == pytest.approx(1, abs=1e-6)
    assert np.trapezoid(weights * density * length, length) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(("generated", "wanted"), POINTS)
def test_a_weighted_sample_has_the_wanted_distribution(generated, wanted):
    random = np.random.default_rng(20)
    lengths = np.sort(random.exponential(generated, 20_000))
    weights = lifetime_weight(lengths, generated, wanted)
    # four standard deviations of the mean
    assert weights.mean() == pytest.approx(1, abs=4 * weights.std() / math.sqrt(len(weights)))
    # Kolmogorov and Smirnov, with the number of events that have the same error
    distance = np.abs(
        np.cumsum(weights) / weights.sum() - scipy.stats.expon(0, wanted).cdf(lengths)
    )
    effective = weights.sum() ** 2 / (weights**2).sum()
    assert scipy.stats.kstwo.sf(distance.max(), round(effective)) > 0.01
    # and the sample itself has not
    unweighted = scipy.stats.kstest(lengths, scipy.stats.expon(0, wanted).cdf)
    assert unweighted.pvalue < 1e-6


def test_a_mixture_is_weighted_by_the_ratio_of_the_densities():
    means, shares = (1.0, 10.0, 100.0), (0.2, 0.5, 0.3)
    # the mean weight and the mean weighted length, integrated over the mixture
    length = np.linspace(0, 4_000, 200_001)
    density = sum(f * np.exp(-length / c) / c for f, c in zip(shares, means, strict=True))
    for wanted in (0.5, 3.0, 30.0, 150.0):
        weights = mixture_weight(length, means, shares, wanted)
        np.testing.assert_allclose(
            weights[::1000] * density[::1000],
            np.exp(-length[::1000] / wanted) / wanted,
            rtol=1e-9,  # of exponents up to 8000
        )
        # trapezoids of a tenth of the shortest mean miss 1e-4
        assert np.trapezoid(weights * density * length, length) == pytest.approx(wanted, rel=1e-3)
        for share, mean in zip(shares, means, strict=True):
            with np.errstate(over="ignore"):
                alone = lifetime_weight(length, mean, wanted)
            assert np.all(share * weights * (1 - 1e-9) <= alone + 1e-300)


def test_a_mixture_of_one_is_a_sample():
    lengths = np.array([0.0, 1.0, 20.0])
    np.testing.assert_allclose(
        mixture_weight(lengths, [10.0], [1.0], 3.0), lifetime_weight(lengths, 10.0, 3.0)
    )
    # ratios of densities beyond the range of doubles
    assert mixture_weight(np.array([1e5]), [10.0], [1.0], 1.0).tolist() == [0.0]


def test_no_decays():
    assert lifetime_weight(np.zeros(0), 1.0, 2.0).shape == (0,)
    assert mixture_weight(np.zeros(0), [1.0, 3.0], [0.5, 0.5], 2.0).shape == (0,)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_means_that_are_none(wrong):
    for generated, wanted in ((wrong, 1.0), (1.0, wrong)):
        with pytest.raises(ValueError, match="must be positive and finite, not"):
            lifetime_weight(np.ones(2), generated, wanted)


@pytest.mark.parametrize("wrong", [-99.0, -1e-9, math.nan, math.inf])
def test_padding_is_no_length(wrong):
    with pytest.raises(InputError) as raised:
        lifetime_weight(np.array([0.0, 1.0, wrong]), 1.0, 2.0)
    assert str(raised.value) == (
        f"the generated proper decay length is {wrong:g} mm for 1 of 3 decays; is this padding? "
        "Give prompt decays the length 0"
    )
