"""Workspaces of counting experiments: valid ones, and what their likelihoods mean."""

import json
import math
from dataclasses import replace

import numpy as np
import pyhf
import pytest
from combine_card import CombineCard
from scipy import stats

from bphcoffea.statistics.counting import Channel, counting_workspace, validate
from bphcoffea.statistics.datacards import datacard
from bphcoffea.statistics.pyhf_backend import schemas
from bphcoffea.statistics.workspace import is_blinded

NORMALISATION = {"luminosity": 0.025, "trigger": 0.10}


def channel(name="a", **changes):
    values = {
        "signal": 4.0,
        "background": 6.0,
        "observed": 7,
        "signal_stat": 0.05,
        "background_stat": 1.5,
        "background_shape": 0.6,
    }
    return Channel(name, **{**values, **changes})


CASES = {
    "usual": channel(),
    "no background": channel(background=0.0, background_stat=0.4, background_shape=0.0),
    "no background, for sure": channel(background=0.0, background_stat=0.0, background_shape=0.0),
    "no background, unknown shape": channel(background=0.0, background_stat=0.0),
    "no signal": channel(signal=0.0),
    "well-known background": channel(background=1e6, background_stat=1e3, observed=10**6),
    "shape unknown": channel(background=0.01, background_stat=0.3, background_shape=20.0),
}


def model_of(spec, **settings):
    with schemas():
        built = pyhf.Workspace(spec)
        model = built.model(**settings)
        return model, np.asarray(built.data(model))


def expected(spec, **values):
    """Expected counts by channel at nominal parameters, but for those that are given."""
    model, _ = model_of(spec)
    parameters = dict(
        zip(model.config.par_names, model.config.suggested_init(), strict=True), mu=1.0
    )
    assert set(values) <= set(parameters)
    parameters.update(values)
    counts = model.expected_data(list(parameters.values()), include_auxdata=False)
    return dict(zip(model.config.channels, np.asarray(counts), strict=True))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("blinded", [True, False])
def test_valid(case, blinded):
    spec = counting_workspace([CASES[case], channel("b")], NORMALISATION, blinded=blinded)
    assert json.loads(json.dumps(spec)) == spec
    model, data = model_of(spec)  # validates
    log_density = model.logpdf(model.config.suggested_init(), data)
    assert np.all(np.isfinite(log_density))


#: Counts of sidebands that are no integers, and rounded would be others by half.
HALVES = channel("halves", background=3.0, background_stat=3.0 / math.sqrt(1.5))


@pytest.mark.parametrize("case", [*CASES, "halves"])
@pytest.mark.parametrize("blinded", [True, False])
def test_a_datacard_states_the_same_likelihood(case, blinded, tmp_path):
    """Wherever the parameters are, -ln L of both differs by the same constant."""
    channels = [{**CASES, "halves": HALVES}[case], channel("b", signal_shifts={"width": -0.2})]
    spec = counting_workspace(channels, NORMALISATION, blinded=blinded)
    if blinded:
        channels = [replace(known, observed=None) for known in channels]
    (tmp_path / "card.txt").write_text(datacard(channels, NORMALISATION))
    # log-normal, as limits of searches are
    model, data = model_of(spec, modifier_settings={"normsys": {"interpcode": "code1"}})
    card = CombineCard(tmp_path / "card.txt")
    rng, differences = np.random.default_rng(1), []
    for _ in range(5):
        values = {name: rng.uniform(-2, 2) for name in card.constrained}
        values |= {name: rng.uniform(0.2, 3) for name in ("r", *card.free)}
        own = {name.removeprefix("signal_"): x for name, x in values.items()}
        own |= values | {"mu": values["r"]}
        parameters = [own[name.removeprefix("signal_")] for name in model.config.par_names]
        differences.append(card.nll(values) + model.logpdf(parameters, data)[0])
    assert differences == pytest.approx([differences[0]] * 5, abs=1e-5, rel=1e-5)


def test_validation_fails():
    spec = counting_workspace([channel()], {})
    spec["channels"][0]["samples"][0]["data"] = "many"
    with pytest.raises(pyhf.exceptions.InvalidSpecification):
        validate(spec)


def test_yields():
    spec = counting_workspace([channel("a"), channel("b", signal=2.0)], NORMALISATION)
    assert expected(spec)["a"] == pytest.approx(10)
    assert expected(spec, mu=3.0)["a"] == pytest.approx(18)
    assert expected(spec, mu=0.0)["b"] == pytest.approx(6)
    # one sigma up, and down by the same factor; common to the channels
    up, down = expected(spec, signal_trigger=1.0), expected(spec, signal_trigger=-1.0)
    assert (up["a"], up["b"]) == pytest.approx((6 + 4 * 1.1, 6 + 2 * 1.1))
    assert (down["a"], down["b"]) == pytest.approx((6 + 4 / 1.1, 6 + 2 / 1.1))
    # of one channel alone
    assert expected(spec, signal_statistics_b=1.0)["b"] == pytest.approx(6 + 2 * 1.05)
    assert expected(spec, signal_statistics_b=1.0)["a"] == pytest.approx(10)
    assert expected(spec, background_shape_a=1.0)["a"] == pytest.approx(4 + 6.6)
    assert expected(spec, background_shape_a=1.0)["b"] == pytest.approx(8)


def test_background_is_a_count():
    # 6 ± 1.5 stands for 16 events that are worth 0.375 each
    spec = counting_workspace([channel()], {})
    counts = {entry["name"]: entry["data"] for entry in spec["observations"]}
    assert counts["a_sidebands"] == pytest.approx([16])
    double = expected(spec, background_a=2.0)
    assert double["a_sidebands"] == pytest.approx(32)
    assert double["a"] == pytest.approx(4 + 12)


def test_no_event_in_the_sidebands():
    # n = 0, and one event would have been worth 0.4: L(θ) is Poisson(0 | θ)·Poisson(seen | 0.4 θ)
    spec = counting_workspace([CASES["no background"]], {}, blinded=False)
    model, data = model_of(spec)
    names = model.config.par_names

    def log_density(theta):
        parameters = np.array(model.config.suggested_init())
        parameters[names.index("mu")] = 0.0
        parameters[names.index("background_a")] = theta
        return float(model.logpdf(parameters, data)[0])

    def by_hand(theta):
        return stats.poisson.logpmf(0, theta) + stats.poisson.logpmf(7, 0.4 * theta)

    rise = log_density(3.0) - log_density(1.5)
    assert rise == pytest.approx(by_hand(3.0) - by_hand(1.5))


def test_an_event_without_background_is_no_contradiction():
    model, data = model_of(
        counting_workspace([CASES["no background, for sure"]], {}, blinded=False)
    )
    parameters = np.array(model.config.suggested_init())
    parameters[model.config.poi_index] = 0.0
    assert np.isfinite(model.logpdf(parameters, data)[0])
    assert 0 < model.expected_data(parameters, include_auxdata=False)[0] < 1e-5


def test_well_known_background_needs_no_count():
    spec = counting_workspace([CASES["well-known background"]], {})
    assert [entry["name"] for entry in spec["channels"]] == ["a"]
    assert expected(spec, background_statistics_a=1.0)["a"] == pytest.approx(4 + 1.001e6)


def test_blinded():
    spec = counting_workspace([channel(observed=7)], NORMALISATION, blinded=True)
    assert is_blinded(spec)
    assert spec["observations"][0] == {"name": "a", "data": [6.0]}
    assert spec == counting_workspace([channel(observed=None)], NORMALISATION, blinded=True)
    opened = counting_workspace([channel(observed=7)], NORMALISATION, blinded=False)
    assert not is_blinded(opened)
    assert opened["observations"][0] == {"name": "a", "data": [7.0]}


@pytest.mark.parametrize(
    ("channels", "normalisation", "said"),
    [
        ([], {}, "needs a channel"),
        ([channel(), channel()], {}, "same name"),
        ([channel(observed=None)], {}, "no observed count"),
        ([channel(observed=-1)], {}, "observed of channel 'a'"),
        ([channel(signal=-1.0)], {}, "signal of channel 'a'"),
        ([channel(background=np.nan)], {}, "background of channel 'a'"),
        ([channel(background_shape=np.inf)], {}, "background_shape"),
        ([channel()], {"trigger": -0.1}, "'trigger'"),
    ],
)
def test_refused(channels, normalisation, said):
    with pytest.raises(ValueError, match=said):
        counting_workspace(channels, normalisation, blinded=False)
