"""Efficiencies of simulated signal at any lifetime, against exact ones of exponential decays."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bphcoffea.errors import InputError
from bphcoffea.physics.constants import DS_MASS, MUON_MASS, PION_MASS
from bphcoffea.physics.lifetimes import lifetime_weight
from bphcoffea.physics.windows import signal_window
from bphcoffea.results import RunFolder
from bphcoffea.searches.hnl.mixing_limit import Hypothesis
from bphcoffea.searches.hnl.rates import MAXIMUM_MASS, Neutrino
from bphcoffea.searches.hnl.signals import Sample, Signals, _of_nature
from bphcoffea.toys.decay import four_momentum, pt_eta_phi, two_body
from bphcoffea.toys.generation import spectrum


def sample(mass, ctau, number, seed, acceptance=(20.0, 60.0), **changes):
    """Decays of which those with a proper length between two, mm, are selected."""
    rng = np.random.default_rng(seed)
    lengths = rng.exponential(ctau, number)
    lengths = lengths[(lengths > acceptance[0]) & (lengths < acceptance[1])]
    n = len(lengths)
    known = {
        "sumw_before_cuts": float(number),
        "masses": rng.normal(mass, 0.01, n),
        "lengths": lengths,
        "weights": np.ones(n),
        "categories": np.array(["OS"] * n),
        "generated": float(number),
    }
    return Sample(f"{mass}_{ctau}", mass, ctau, **{**known, **changes})


SAMPLES = [
    sample(1.0, ctau, number, seed)
    for seed, (ctau, number) in enumerate([(10.0, 20_000), (100.0, 10_000), (1000.0, 20_000)])
]
EFFICIENCY_WINDOW = (0.0, 2.0)


def nearest(samples, ctau):
    """Efficiency and error of the sample of the nearest lifetime alone."""
    found = min(samples, key=lambda known: abs(math.log(known.ctau / ctau)))
    weights = lifetime_weight(found.lengths, found.ctau, ctau) / found.sumw_before_cuts
    return weights.sum(), math.sqrt((weights**2).sum())


@pytest.mark.parametrize("ctau", [1.0, 3.0, 10.0, 32.0, 100.0, 310.0, 1000.0, 20_000.0])
def test_an_efficiency_is_that_of_the_lifetime_within_its_error(ctau):
    exact = math.exp(-20 / ctau) - math.exp(-60 / ctau)
    found = Signals(SAMPLES).efficiency("OS", 1.0, ctau, EFFICIENCY_WINDOW)
    assert found.bound is None
    # three standard deviations
    assert found.value == pytest.approx(exact, abs=3 * found.error)
    assert found.error < nearest(SAMPLES, ctau)[1]


def test_errors_of_efficiencies_are_those_of_many_samples():
    """Mean and spread of pulls at a lifetime between two samples."""
    ctau = 32.0
    exact = math.exp(-20 / ctau) - math.exp(-60 / ctau)
    pulls = []
    for seed in range(200):
        samples = [
            sample(1.0, own, number, [seed, number])
            for own, number in ((10.0, 2_000), (100.0, 1_000), (1000.0, 2_001))
        ]
        found = Signals(samples).efficiency("OS", 1.0, ctau, EFFICIENCY_WINDOW)
        pulls.append((found.value - exact) / found.error)
    # three standard deviations of a mean and of a spread of 200; the error, which takes the
    # number of selected decays for Poisson-distributed, is up to 10% too large
    assert np.mean(pulls) == pytest.approx(0, abs=3 / math.sqrt(200))
    assert np.std(pulls) == pytest.approx(0.95, abs=0.05 + 3 / math.sqrt(400))


def test_an_efficiency_does_not_jump_between_samples():
    """Where another sample becomes the nearest, in a category of long flights."""
    samples = [
        sample(1.0, ctau, number, [1, number], (60.0, 300.0))
        for ctau, number in ((10.0, 20_000), (100.0, 10_000))
    ]
    middle = math.sqrt(10.0 * 100.0)
    sides = middle * (1 - 1e-9), middle * (1 + 1e-9)
    below, above = (
        Signals(samples).efficiency("OS", 1.0, ctau, EFFICIENCY_WINDOW) for ctau in sides
    )
    assert above.value == pytest.approx(below.value, rel=1e-7)
    (value, error), (next_value, _) = (nearest(samples, ctau) for ctau in sides)
    assert abs(next_value - value) > 10 * below.error
    assert error > 5 * below.error


LIFETIMES = (10.0, 100.0, 1000.0)


def kinematic(mass, number=200_000):
    """Simulated lifetimes of N with thresholds on all tracks, and a flight of 1 to 50 cm.

    The same random numbers for all masses: efficiencies differ by what the mass does.
    """
    rng = np.random.default_rng(1)
    ds = four_momentum(*spectrum(number, rng), DS_MASS)
    hnl, mu_ds = two_body(ds, mass, MUON_MASS, rng)
    pts = [pt_eta_phi(leg)[0] for leg in (mu_ds, *two_body(hnl, MUON_MASS, PION_MASS, rng))]
    boost = pt_eta_phi(hnl)[0] / mass
    passing = (np.maximum(*pts[:2]) > 7.2) & (np.minimum(*pts[:2]) > 3) & (pts[2] > 0.6)
    relative, measured = rng.exponential(1, number), rng.normal(mass, 0.01 * mass, number)
    samples = []
    for ctau in LIFETIMES:
        lengths = ctau * relative
        kept = passing & (boost * lengths > 10) & (boost * lengths < 500)
        n = np.count_nonzero(kept)
        samples.append(
            Sample(
                f"{mass}_{ctau}", mass, ctau, float(number), measured[kept], lengths[kept],
                np.ones(n), np.full(n, "OS"), float(number),
            )
        )  # fmt: skip
    return samples


@pytest.fixture(scope="module")
def simulated():
    """Simulation with the kinematics of the decay, by mass."""
    return {mass: kinematic(mass) for mass in (1.0, 1.25, 1.5, 1.625, 1.75)}


@pytest.mark.parametrize(
    ("low", "mass", "high", "declared"),
    [(1.0, 1.25, 1.5, 0.052), (1.25, 1.5, 1.75, 0.37), (1.5, 1.625, 1.75, 0.27)],
)
def test_a_mass_that_is_left_out_is_found_again(simulated, low, mass, high, declared):
    """Within the declared uncertainty, at any lifetime."""
    signals, own = Signals(simulated[low] + simulated[high]), Signals(simulated[mass])
    assert signals.interpolation_uncertainty(mass) == pytest.approx(declared, abs=5e-3)
    window = signal_window(mass, signals.width(mass))
    for ctau in (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0):
        found, right = (each.efficiency("OS", mass, ctau, window) for each in (signals, own))
        assert found.value == pytest.approx(right.value, rel=declared)


@pytest.mark.parametrize(
    ("declared", "doubt"),
    [
        ((1.0, 1.0), None),
        ((0.13, 0.1), None),
        ((0.13, 0.13), "all signals declare the filter_efficiency 0.13"),
        ((None, None), "in the metadata of 1.0_10, 1.5_10: "),
        ((0.13, None), "in the metadata of 1.5_10: "),
    ],
)
def test_filters_that_cannot_be_right_between_masses_are_doubted(declared, doubt):
    signals = Signals(
        [
            sample(mass, 10, 10, 0, filter_efficiency=efficiency)
            for mass, efficiency in zip((1.0, 1.5), declared, strict=True)
        ]
    )
    assert signals.doubt(1.0) is None
    found = signals.doubt(1.25)
    assert found == doubt or doubt in found


def test_an_interpolation_ends_at_the_generated_masses(simulated):
    signals = Signals(simulated[1.0] + simulated[1.5])
    assert signals.interpolation_uncertainty(1.0) == signals.interpolation_uncertainty(1.5) == 0
    for mass in (1.0, 1.5):
        near = mass + 1e-6 * (1.25 - mass)
        window = signal_window(mass, signals.width(mass))
        at, beside = (signals.efficiency("OS", m, 30.0, window).value for m in (mass, near))
        assert beside == pytest.approx(at, rel=1e-4)
        assert 0 < signals.interpolation_uncertainty(near) < 1e-6


def test_samples_of_one_lifetime_are_one_sample():
    first, second = (
        sample(1.0, 50.0, number, number, sumw_before_cuts=2.0 * number) for number in (800, 200)
    )
    both = Signals([first, second]).efficiency("OS", 1.0, 20.0, EFFICIENCY_WINDOW)
    weights = lifetime_weight(np.concatenate([first.lengths, second.lengths]), 50.0, 20.0) / 2000
    assert both.value == pytest.approx(weights.sum())
    assert both.error == pytest.approx(math.sqrt((weights**2).sum()))


def test_a_category_without_events_has_a_bound():
    signals = Signals(SAMPLES)
    found = signals.efficiency("empty", 1.0, 50.0, EFFICIENCY_WINDOW)
    assert (found.value, found.error) == (0.0, 0.0)
    # three events of the average weight: about 1 in as many as there are of comparable lifetimes
    assert 3 / 50_000 < found.bound < 3 / 10_000
    assert signals.efficiency("OS", 1.0, 50.0, (1.5, 2.0)).bound == found.bound
    # equal charges are not missing from the simulation of a Dirac N
    dirac = Signals(SAMPLES, Neutrino(majorana=False))
    assert dirac.efficiency("SS", 1.0, 50.0, EFFICIENCY_WINDOW).bound == 0.0


def test_the_window_of_an_efficiency_is_that_of_its_hypothesis():
    """Samples of different widths, near the highest mass: signal is cut off where data are."""
    mass = MAXIMUM_MASS - 0.01
    wide = sample(mass, 100.0, 5_000, 1)
    wide = replace(wide, masses=mass + 3 * (wide.masses - mass))
    signals = Signals([sample(mass, 10.0, 5_000, 2), wide])
    data = {"OS": np.random.default_rng(3).uniform(1.5, MAXIMUM_MASS, 2_000)}
    width = signals.width(mass)
    hypothesis = Hypothesis(mass, signals, 1e9, data, {}, unblind=False)
    window = hypothesis.categories["OS"].window
    assert window == (pytest.approx(mass - 3 * width), MAXIMUM_MASS)
    (channel,) = hypothesis.channels(1e-3)
    ctau = Neutrino().ctau_from_mixing(mass, 1e-3)
    produced = 1e9 * Neutrino().branching_product(mass, 1e-3)
    inside = signals.efficiency("OS", mass, ctau, window).value
    assert channel.signal == pytest.approx(produced * inside)
    # a Gaussian of which what lies beyond one of its widths, or a third, is no signal
    assert inside < 0.9 * signals.efficiency("OS", mass, ctau, EFFICIENCY_WINDOW).value


def test_the_width_of_n_moves_rate_and_lifetime():
    """They cancel where N lives long; else fewer decays are left to where the selection begins."""
    signals = Signals(SAMPLES)
    rng = np.random.default_rng(3)
    data = {"OS": rng.uniform(0.8, 1.2, 2_000)}
    hypothesis = Hypothesis(1.0, signals, 1e9, data, {}, unblind=False)
    for ctau in (5.0, 30.0, 5_000.0):
        mixing = Neutrino().mixing_from_ctau(1.0, ctau)
        (channel,) = hypothesis.channels(mixing)

        def events(k, ctau=ctau):
            return (math.exp(-20 * k / ctau) - math.exp(-60 * k / ctau)) / k

        shift = math.sqrt(events(1.03) / events(1 / 1.03)) - 1
        # the sample knows the mean length of those that are selected to better than 3%
        assert channel.signal_shifts.get("hnl_width", 0.0) == pytest.approx(
            shift, rel=0.03, abs=2e-3
        )
    assert shift == pytest.approx(0, abs=1e-3)


def test_simulation_that_is_none_of_a_nature(tmp_path):
    (tmp_path / "ledger.json").write_text("{}")
    folder, known, dirac = RunFolder(tmp_path), SAMPLES[0], Neutrino(majorana=False)
    assert _of_nature(folder, known, "dirac", dirac) is known
    assert _of_nature(folder, known, None, Neutrino()) is known
    assert _of_nature(folder, known, None, dirac).weights.sum() == 2 * known.weights.sum()
    with pytest.raises(InputError, match=r"'1\.0_10\.0' is simulated for a Dirac N, which has no"):
        _of_nature(folder, known, "dirac", Neutrino())
    for category, line in (("a", "the category 'a' does not say"), ("SS", "nothing of the signal")):
        other = replace(known, categories=np.full(len(known.masses), category))
        with pytest.raises(InputError, match=line):
            _of_nature(folder, other, None, dirac)
