"""Expected τ → 3μ by the two formulas, by hand, and their uncertainties by small changes."""

import math
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from bphcoffea.errors import InputError
from bphcoffea.searches.ds_yield import DsYield, NotFittedByYearError
from bphcoffea.searches.tau3mu import rates
from bphcoffea.searches.tau3mu.normalisation import (
    NO_FRACTION,
    SAME_EFFICIENCY,
    YearSignal,
    year_signals,
)
from bphcoffea.searches.tau3mu.rates import Corrections, Factor

FRACTION = Factor(0.3, 0.1)


def selected(run, dataset, category):
    """Sum of the weights in the range of the fit, by a loop over the table."""
    table = pq.read_table(run.path / "candidates" / f"{dataset}.parquet").to_pylist()
    return sum(
        row["weight"] for row in table if row["category"] == category and 1.62 <= row["mass"] < 2.0
    )


def test_expected_events_follow_the_two_formulas(tau3mu, phi_pi):
    run = tau3mu()
    signals = year_signals(run, phi_pi(), FRACTION)
    assert list(signals) == ["2017", "2018"]
    efficiency_phi_pi = {"2017": 250 / (10_000 / 0.1), "2018": 500 / (10_000 / 0.2)}
    seen = {"2017": 1000 * 1.0 / 2.0, "2018": 2000 * 10.0 / 5.0}
    for year, signal in signals.items():
        number = seen[year] / efficiency_phi_pi[year]
        for category in ("A", "B"):
            name, before_filter = {"2017": ("d17", 0.5), "2018": ("d18", 0.25)}[year]
            efficiency = selected(run, name, category) / (20_000 / before_filter)
            by_hand = number * 5.32e-2 / 1.3e-5 * efficiency * 1e-7 * 1.04 * 1.28
            events = signal.events(category)
            assert events["d"] == pytest.approx(by_hand, rel=1e-12)
            # 2017 lacks simulation of τ from b hadrons: that of the nearest year
            efficiency = selected(run, "b18", category) / (20_000 / 0.5)
            by_hand = number * 0.3 * 3.34e-2 / (0.083 * 1.3e-5) * efficiency * 1e-7 * 1.12 * 1.28
            assert events["b"] == pytest.approx(by_hand, rel=1e-12)
            masses, weights = signal.candidates([category])
            assert len(masses) == len(weights)
            assert np.sum(weights) == pytest.approx(events["d"] + events["b"], rel=1e-12)
            assert signal.stat(category) == pytest.approx(
                math.sqrt(np.sum(weights**2)) / np.sum(weights), rel=1e-12
            )
    assert "tau3mu_b in 2017 is simulation of 2018" in signals["2017"].notes
    assert signals["2018"].notes == (SAME_EFFICIENCY,)


def test_a_prescale_of_20_multiplies_the_expected_yield_by_20(tau3mu, phi_pi):
    """The luminosity of the normalisation is that of its trigger: 5 fb⁻¹ recorded are 0.25."""
    run = tau3mu()
    whole = year_signals(run, phi_pi())
    prescaled = year_signals(run, phi_pi("p", luminosities={"data17": 2.0, "data18": 5.0 / 20}))
    assert prescaled["2017"].events("A") == whole["2017"].events("A")
    ratio = prescaled["2018"].events("A")["d"] / whole["2018"].events("A")["d"]
    assert ratio == pytest.approx(20, rel=1e-12)


def test_without_corrections_nothing_is_multiplied(tau3mu, phi_pi):
    run, normalisation = tau3mu(), phi_pi()
    signals = (
        year_signals(run, normalisation, FRACTION, corrections=corrections)["2018"]
        for corrections in (Corrections(*(Factor(1.0, 0.0),) * 3), rates.STANDARD)
    )
    bare, corrected = (signal.events("B") for signal in signals)
    assert corrected["d"] / bare["d"] == pytest.approx(1.04 * 1.28, rel=1e-12)
    assert corrected["b"] / bare["b"] == pytest.approx(1.12 * 1.28, rel=1e-12)


def total(signal, category="A"):
    return sum(signal.events(category).values())


def test_uncertainties_are_those_of_small_changes_of_the_inputs(tau3mu, phi_pi, monkeypatch):
    """A source moves the sum of both parts as a change of its number by one error, in the limit.

    Numbers in a denominator have the opposite sign, which nothing else shares.
    """
    signal = year_signals(tau3mu(), phi_pi(), FRACTION)["2018"]
    shifts, nominal = signal.shifts("A"), total(signal)
    step = 1e-6

    def slope(changed):
        return abs(changed / nominal - 1) / step

    def of_yield(**numbers):
        return total(replace(signal, phi_pi=replace(signal.phi_pi, **numbers)))

    def of_correction(name):
        factor = getattr(signal.corrections, name)
        more = replace(factor, value=factor.value * (1 + step))
        return total(replace(signal, corrections=replace(signal.corrections, **{name: more})))

    def of_constant(name):
        factor = getattr(rates, name)
        with monkeypatch.context() as context:
            context.setattr(rates, name, replace(factor, value=factor.value * (1 + step)))
            return total(signal)

    phi = signal.phi_pi
    expected = {
        "ds_yield_2018": slope(of_yield(fitted=phi.fitted * (1 + step))) * 40 / 2000,
        "ds_efficiency_2018": slope(of_yield(efficiency=phi.efficiency * (1 + step))) * 5 / 500,
        "ds_fit_model_2018": 0.02,
        "br_ds_phipi": slope(of_constant("DS_TO_PHI_PI")) * 0.08,
        "br_ds_taunu": slope(of_constant("DS_TO_TAU")) * 0.03,
        "br_b_tau": slope(of_constant("B_TO_TAU")) * 0.03,
        "br_b_ds": slope(of_constant("B_TO_DS")) * 0.05,
        "dplus": slope(of_correction("dplus")) * 0.04 / 1.04,
        "bs": slope(of_correction("bs")) * 0.12 / 1.12,
        "trimuon_only_2018": slope(of_correction("trimuon")) * 0.03 / 1.28,
        "f_b": slope(total(replace(signal, fraction_b=replace(FRACTION, value=0.3 * (1 + step)))))
        * 0.1,
        "trigger_2018": 0.14,
        "acceptance_2018": 0.01,
        "muon_efficiency_2018": 0.015,
    }
    # forward differences: of the order of the step, times the second derivative
    assert shifts == pytest.approx(expected, rel=1e-5)
    share = signal.events("A")["b"] / nominal
    assert 0.05 < share < 0.95
    assert shifts["bs"] == pytest.approx(share * 0.12 / 1.12, rel=1e-12)


def test_years_share_the_branching_fractions_alone(tau3mu, phi_pi):
    signals = year_signals(tau3mu(), phi_pi(), FRACTION)
    names = [set(signal.shifts("A")) for signal in signals.values()]
    common = {"br_ds_phipi", "br_ds_taunu", "br_b_tau", "br_b_ds", "dplus", "bs", "f_b"}
    assert names[0] & names[1] == common
    assert {name.rpartition("_")[2] for name in names[0] - common} == {"2017"}


def test_a_classifier_adds_its_uncertainty(tau3mu, phi_pi):
    simulation = (("d18", "tau3mu_d", "2018D", 0.25, (50, 60, 70, 80)),)
    run = tau3mu(years=("2018",), simulation=simulation, split=True)
    assert year_signals(run, phi_pi())["2018"].shifts("A1")["classifier_2018"] == 0.10


def test_variations_of_muon_weights_replace_their_uncertainty(tau3mu, phi_pi):
    """Factors of 1.02 and 0.96: half of their difference. One of 1.06 has no other side."""
    varied = ("nominal", "muon_idUp", "muon_idDown", "muon_resolutionUp")
    run = tau3mu(years=("2018",), variations=varied)
    shifts = year_signals(run, phi_pi())["2018"].shifts("A")
    assert shifts["muon_id_2018"] == pytest.approx(0.03, rel=1e-9)
    assert shifts["muon_resolution_2018"] == pytest.approx(0.06, rel=1e-9)
    assert "muon_efficiency_2018" not in shifts
    # a momentum scale is no efficiency
    run = tau3mu(years=("2018",), variations=("nominal", "muon_scaleUp", "muon_scaleDown"))
    shifts = year_signals(run, phi_pi())["2018"].shifts("A")
    assert shifts["muon_efficiency_2018"] == 0.015


def test_what_is_missing_is_left_out_with_a_note(tau3mu, phi_pi):
    run, normalisation = tau3mu(years=("2018",)), phi_pi()
    without = year_signals(run, normalisation)["2018"]
    assert NO_FRACTION in without.notes
    assert list(without.events("A")) == ["d"]
    assert not {"bs", "br_b_ds", "f_b"} & set(without.shifts("A"))
    only_d = tau3mu("d", years=("2018",), simulation=(("d18", "tau3mu_d", "2018D", 1, (9, 9)),))
    signal = year_signals(only_d, normalisation, FRACTION)["2018"]
    assert list(signal.events("A")) == ["d"]
    assert "no simulation of τ from b hadrons" in " ".join(signal.notes)
    nothing = tau3mu("n", years=("2018",), simulation=(("x", "other", "2018D", 1, (9, 9)),))
    with pytest.raises(InputError, match=r"no simulated signal that can be normalised"):
        year_signals(nothing, normalisation, FRACTION)


def test_a_second_model_that_is_not_valid_costs_six_percent(tau3mu, phi_pi):
    fit = phi_pi().read("fit.json")
    fit["by"]["2018"]["alternative"]["problems"] = ["no minimum"]
    signal = year_signals(tau3mu(years=("2018",)), phi_pi("again", fit=fit))["2018"]
    assert signal.shifts("A")["ds_fit_model_2018"] == 0.06


def test_a_year_without_data_of_the_normalisation_takes_all_of_it(tau3mu, phi_pi):
    fit = phi_pi().read("fit.json")["by"]["2018"]
    only_2018 = phi_pi("only", fit=fit)
    signals = year_signals(tau3mu(), only_2018)
    assert signals["2017"].phi_pi.fitted == 2000.0
    assert signals["2017"].phi_pi.luminosity_ratio == pytest.approx(1.0 / 5.0)
    assert "has no data of 2017: the yield is that of 2018D" in signals["2017"].notes[0]
    # one fit serves both years: its errors are the same
    assert "ds_yield_2018" in signals["2017"].shifts("A")
    with pytest.raises(InputError, match=r"only: has no data of 2017, and can't be of the same"):
        year_signals(tau3mu("t"), only_2018, same_data=True)


def test_years_that_were_fitted_together_are_refused(tau3mu, phi_pi):
    fit = phi_pi().read("fit.json")
    del fit["by"]
    with pytest.raises(NotFittedByYearError, match=r"the yield of 2017 is needed.*by itself$"):
        year_signals(tau3mu(), phi_pi("together", fit=fit))
    # a fit of each era has no simulation of its own
    alone = {key: fit[key] for key in fit if key not in ("simulation", "alternative")}
    by_era = {
        era: {**alone, "datasets": [name]} for era, name in (("2017", "data17"), ("2018", "data18"))
    }
    with pytest.raises(NotFittedByYearError):
        DsYield.of_run(phi_pi("eras", fit={**fit, "by": by_era}), year="2018")


def test_same_data_are_not_scaled(tau3mu, phi_pi):
    signal = year_signals(tau3mu(), phi_pi(), same_data=True)["2018"]
    assert isinstance(signal, YearSignal)
    assert signal.seen == 2000.0
