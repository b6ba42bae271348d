"""The content of limit.json: spectra by a loop over the tables, and what is not looked at."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bphcoffea.errors import InputError
from bphcoffea.results.folder import RunFolder
from bphcoffea.searches.tau3mu import branching_limit as limits
from bphcoffea.searches.tau3mu import spectra
from bphcoffea.searches.tau3mu.branching_limit import limit_branching
from bphcoffea.searches.tau3mu.limit_record import BranchingLimit
from bphcoffea.searches.tau3mu.spectra import category_windows, masses_of_data
from bphcoffea.statistics import signal_fit
from bphcoffea.statistics.blindness import StillBlindError
from bphcoffea.statistics.limit_results import Limit
from bphcoffea.statistics.strength import Strength

ONE_YEAR = (("d18", "tau3mu_d", "2018D", 0.25, (300, 200)),)
#: Fits of simulation, which is the same in many tests.
FITS = {}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Limits and strengths of the number of channels, which cost nothing."""

    def upper_limit(spec, *, level, toys):
        number = float(len(spec["channels"]))
        observed = None if spec["measurements"][0]["name"] == "blinded" else number
        return Limit(observed, (0.5 * number, 1.0, 2.0, 3.0, np.inf), level)

    def fit_strength(spec):
        return Strength(float(len(spec["channels"])), 0.5, 0.1, 1.3, {})

    def fit_signal_shape(masses, weights, **options):
        key = masses.tobytes() + weights.tobytes()
        if key not in FITS:
            FITS[key] = signal_fit.fit_signal_shape(masses, weights, **options)
        return FITS[key]

    monkeypatch.setattr(spectra, "fit_signal_shape", fit_signal_shape)
    monkeypatch.setattr(limits, "upper_limit", upper_limit)
    monkeypatch.setattr(limits, "fit_strength", fit_strength)


def rows(run, dataset, category):
    table = pq.read_table(run.path / "candidates" / f"{dataset}.parquet").to_pylist()
    return [row["mass"] for row in table if row["category"] == category]


def test_each_category_of_each_year_is_a_channel(tau3mu, phi_pi):
    content = json.loads(
        json.dumps(limit_branching(tau3mu(), phi_pi(), 0.3).as_json(), allow_nan=False)
    )
    names = [channel["name"] for channel in content["channels"]]
    assert names == ["A_2017", "B_2017", "A_2018", "B_2018"]
    for channel in content["channels"]:
        expected = content["years"][channel["year"]]["events"][channel["category"]]
        peaking = 1 - channel["signal_fit"]["flat"]
        assert channel["signal"] == pytest.approx(peaking * sum(expected.values()), rel=1e-12)
        fit = channel["signal_fit"]
        # the fixed tail of the fit, which these Gaussian masses lack, moves the mean upwards
        assert fit["shape"]["mean"] == pytest.approx(1.777, abs=0.3 * fit["shape"]["cb_sigma"])
    assert content["fraction_b"]["value"] == 0.3
    assert content["fraction_b"]["uncertainty"] == 0.03
    assert content["corrections"]["trimuon"]["value"] == 1.28
    assert content["branching"] == 1e-7
    # each category, each year and all together, in units of B
    groups = {known["name"]: known for known in content["limits"]}
    assert list(groups) == ["all", "2017", "2018", *names]
    assert groups["2018"]["channels"] == ["A_2018", "B_2018"]
    assert [limit["level"] for limit in groups["all"]["limits"]] == [0.90, 0.95]
    assert groups["all"]["limits"][0]["expected"] == pytest.approx([2e-7, 1e-7, 2e-7, 3e-7, "inf"])


def test_one_year_and_one_category_have_one_limit(tau3mu, phi_pi):
    simulation = (("d18", "tau3mu_d", "2018D", 0.25, (100,)),)
    run = tau3mu(years=("2018",), simulation=simulation, categories=("A",))
    content = limit_branching(run, phi_pi(), levels=(0.9,)).as_json()
    assert [known["name"] for known in content["limits"]] == ["2018"]


def test_workspaces_are_made_of_limit_json_alone(tau3mu, phi_pi):
    limit = limit_branching(tau3mu(years=("2018",), simulation=ONE_YEAR), phi_pi())
    again = BranchingLimit.from_json(json.loads(json.dumps(limit.as_json())))
    assert again == limit
    assert repr(again) == "BranchingLimit(2018, A_2018, B_2018; blinded)"
    assert "<td>2018</td><td>90%</td><td>2e-07</td><td>–</td>" in again._repr_html_()
    names = [channel.name for channel in limit.channels]
    assert again.workspace(names) == limit.workspace(names)
    (channel,) = again.mass_channels(["B_2018"])
    assert channel.signal == limit.channels[1].signal
    assert channel.signal_shifts == limit.channels[1].signal_shifts
    assert channel.observed is None
    assert len(channel.edges) == 39


def test_data_in_the_windows_are_not_looked_at_unless_asked(tau3mu, phi_pi):
    """Of a run that is not blind: other data in the windows change nothing."""
    run, normalisation = tau3mu(years=("2018",), simulation=ONE_YEAR, blind=False), phi_pi()
    before = limit_branching(run, normalisation).as_json()
    assert before["blinded"]
    assert not before["run_blinded"]
    changed = RunFolder(shutil.copytree(run.path, run.path.with_name("changed")))
    path = changed.path / "candidates" / "data2018.parquet"
    table = pq.read_table(path)
    more = {"mass": [1.76] * 99, "category": ["A"] * 99, "weight": [1.0] * 99}
    pq.write_table(pa.concat_tables([table, pa.table(more, schema=table.schema)]), path)
    after = limit_branching(changed, normalisation).as_json()
    for key in ("channels", "limits"):
        assert json.dumps(after[key]) == json.dumps(before[key])
    for known in before["limits"]:
        assert known["fitted"] is None
        assert [limit["observed"] for limit in known["limits"]] == [None, None]
    assert [channel["observed"] for channel in before["channels"]] == [None, None]

    seen = limit_branching(changed, normalisation, unblind=True).as_json()
    assert not seen["blinded"]
    for category, channel in zip("AB", seen["channels"], strict=True):
        masses = rows(changed, "data2018", category)
        by_hand = [
            sum(low <= mass < high for mass in masses)
            for low, high in zip(channel["edges"], channel["edges"][1:], strict=False)
        ]
        assert channel["observed"] == by_hand
        # the background is that of the sidebands
        assert channel["background"] == before["channels"]["AB".index(category)]["background"]
    assert seen["limits"][0]["limits"][0]["observed"] == pytest.approx(2e-7)
    assert seen["limits"][0]["fitted"]["branching"] == pytest.approx(2e-7)


def test_a_blind_run_gives_nothing_observed(tau3mu, phi_pi):
    run, normalisation = tau3mu(years=("2018",), simulation=ONE_YEAR), phi_pi()
    with pytest.raises(StillBlindError, match=r"the run is blind"):
        limit_branching(run, normalisation, unblind=True).as_json()
    content = limit_branching(run, normalisation).as_json()
    assert (content["blinded"], content["run_blinded"]) == (True, True)


def test_each_category_has_its_own_window(tau3mu):
    run = tau3mu(years=("2018",), simulation=ONE_YEAR, blind=False)
    windows = category_windows(run)
    data = masses_of_data(run, "2018", windows, unblind=False)
    for category, half in (("A", 0.024), ("B", 0.038)):
        expected = [
            mass
            for mass in rows(run, "data2018", category)
            if 1.62 <= mass < 2.0 and abs(mass - 1.777) > half
        ]
        assert sorted(data[category]) == sorted(expected)
        assert min(abs(data[category] - 1.777)) < half + 0.01


def test_bins_of_a_classifier_have_the_window_of_their_category(tau3mu, phi_pi):
    """With few candidates, the shape too: 10 in A1 alone can't be fitted."""
    simulation = (("d18", "tau3mu_d", "2018D", 0.25, (10, 300, 90, 0)),)
    run = tau3mu(years=("2018",), simulation=simulation, split=True)
    assert category_windows(run)["B2"] == ((1.777 - 0.038, 1.777 + 0.038),)
    content = limit_branching(run, phi_pi()).as_json()
    assert [channel["name"] for channel in content["channels"]] == ["A1_2018", "A2_2018", "B1_2018"]
    first = content["channels"][0]
    assert "the signal's shape is that of A1, A2 together" in first["notes"]
    assert first["signal_fit"]["effective_entries"] > 200
    assert content["notes"] == ["category B2 of 2018 is left out: no simulated signal in it"]


def test_what_can_not_be_used_is_refused(tau3mu, phi_pi):
    run, normalisation = tau3mu(years=("2018",), simulation=ONE_YEAR), phi_pi()
    for options, line in (
        ({"fraction_b": 1.2}, "the fraction of Ds from b hadrons is 1.2, not between 0 and 1"),
        ({"fraction_b_error": 0.1}, "has an error, but no value"),
        ({"fraction_b": 0.2, "fraction_b_error": 0.3}, r"0.2 ± 0.3; its error must be smaller"),
        ({"levels": (90.0,)}, r"a confidence level lies between 0 and 1"),
    ):
        with pytest.raises(InputError, match=line):
            limit_branching(run, normalisation, **options).as_json()
    few = tau3mu("few", years=("2018",), simulation=(("d", "tau3mu_d", "2018D", 1, (9, 9)),))
    with pytest.raises(InputError, match=r"simulated signal of category A of 2018 can't be fitted"):
        limit_branching(few, normalisation).as_json()
    analysis = run.read("analysis.json")
    analysis["blind"] |= {"windows": [], "hidden": [], "by_category": {"A": [[1.7, 1.8]]}}
    unknown = RunFolder(shutil.copytree(run.path, run.path.with_name("unknown")))
    unknown.write("analysis.json", analysis)
    with pytest.raises(InputError, match=r"has no window of the category B, in which data are"):
        limit_branching(unknown, normalisation).as_json()
    simulated = tau3mu("mc", years=(), simulation=ONE_YEAR)
    with pytest.raises(InputError, match=r"no data, from whose sidebands"):
        limit_branching(simulated, normalisation).as_json()
