"""Datacards of mass spectra, read again as Combine would."""

import re
from dataclasses import replace

import numpy as np
import pytest
import tau3mu_cards
import uproot
from combine_card import CombineCard

from bphcoffea.statistics.cls_limits import upper_limit
from bphcoffea.statistics.datacards import write_shape_datacard
from bphcoffea.statistics.mass_background import fit_background
from bphcoffea.statistics.shape_workspace import MassChannel, mass_workspace
from bphcoffea.statistics.signal_shape import SignalShape
from bphcoffea.statistics.strength import fit_strength

EDGES = tuple(np.linspace(1.62, 2.0, 20))
SHAPE = SignalShape(0.3, 1.777, 0.02, 1.2, 3.0, 0.015)


@pytest.fixture(scope="module")
def mass_channels():
    rng = np.random.default_rng(4)
    background = fit_background(1.62 + 0.38 * rng.beta(1.0, 1.7, 200))
    first = MassChannel(
        name="2017A",
        edges=EDGES,
        signal=3.5,
        shape=SHAPE,
        background=background,
        observed=tuple(rng.poisson(10.0, 19).astype(float)),
        signal_stat=0.02,
        mean_error=0.001,
        width_error=0.03,
        signal_shifts={"lumi": 0.06, "trigger_2017": -0.14, "muon": 0.02},
    )
    second = replace(
        first, name="C", signal=8.0, observed=None, signal_shifts={"lumi": 0.06, "muon": 0.03}
    )
    return [first, second]


@pytest.fixture(scope="module")
def card(mass_channels, tmp_path_factory):
    """What a card says, and its templates by channel and name."""
    folder = tmp_path_factory.mktemp("cards")
    write_shape_datacard(mass_channels, folder / "card.txt")
    return parsed(folder / "card.txt")


def parsed(path):
    rows = [line.split() for line in path.read_text().splitlines() if not line.startswith("--")]
    found = {"rows": rows, "sources": {}, "free": {}}
    bins, processes = [], []
    for row in rows:
        match row:
            case ["shapes", "*", "*", file, nominal, varied]:
                found["patterns"] = nominal, varied
                found["file"] = path.parent / file
            case ["bin", *names]:
                bins.append(names)
            case ["process", *names]:
                processes.append(names)
            case ["observation", *values]:
                found["observed"] = dict(zip(bins[0], map(float, values), strict=True))
            case ["rate", *values]:
                columns = list(zip(bins[1], processes[0], strict=True))
                found["rates"] = dict(zip(columns, map(float, values), strict=True))
            case [name, "rateParam", channel, process, start, limits]:
                found["free"][name] = channel, process, float(start), limits
            case [name, "lnN" | "shape" | "shapeN" as kind, *values]:
                effects = dict(zip(columns, values, strict=True))
                given = {key: float(value) for key, value in effects.items() if value != "-"}
                found["sources"][name] = kind, given
    found["ids"] = dict(zip(processes[0], processes[1], strict=True))
    return found


def template(card, channel, process, source=None):
    text = card["patterns"][0 if source is None else 1]
    names = {"$CHANNEL": channel, "$PROCESS": process, "$SYSTEMATIC": source or ""}
    place = re.sub(r"\$[A-Z]+", lambda found: names[found[0]], text)
    with uproot.open(card["file"]) as file:
        histogram = file[place]
        assert histogram.classname == "TH1D"
        assert histogram.axis().edges() == pytest.approx(EDGES)
        return histogram.values()


def test_head(card, mass_channels):
    assert card["rows"][:3] == [["imax", "2"], ["jmax", "1"], ["kmax", "*"]]
    # Combine takes no channel whose name begins with a digit
    assert list(card["observed"]) == ["category_2017A", "C"]
    assert card["ids"] == {"signal": "0", "background": "1"}


def test_sums(card, mass_channels):
    for channel, name in zip(mass_channels, card["observed"], strict=True):
        for process in ("signal", "background"):
            total = np.sum(template(card, name, process))
            assert card["rates"][name, process] == pytest.approx(total, rel=1e-9)
        data = template(card, name, "data_obs")
        assert card["observed"][name] == pytest.approx(np.sum(data), rel=1e-9)
        if channel.observed is None:
            assert data == pytest.approx(channel.background.expected(EDGES))
        else:
            assert tuple(data) == channel.observed
        assert template(card, name, "signal") == pytest.approx(channel.expected_signal())
        assert card["free"][f"background_{channel.name}"][:3] == (name, "background", 1.0)


def test_every_template_is_there(card):
    used = set()
    for name, (kind, effects) in card["sources"].items():
        for (channel, process), value in effects.items():
            if kind == "lnN":
                assert process == "signal"
                continue
            assert value == 1
            assert (kind == "shapeN") == (process == "background")
            nominal = template(card, channel, process)
            for direction in ("Up", "Down"):
                varied = template(card, channel, process, name + direction)
                used.add(f"{channel}/{process}_{name}{direction}")
                assert np.all(varied >= 0)
                assert np.sum(varied) == pytest.approx(np.sum(nominal), rel=1e-9)
                assert not np.allclose(varied, nominal)
    with uproot.open(card["file"]) as file:
        histograms = set(file.keys(cycle=False, filter_classname="TH1D"))
    nominal = {f"{b}/{p}" for b in card["observed"] for p in ("data_obs", "signal", "background")}
    assert histograms == used | nominal


def test_same_model_as_the_workspace(card, mass_channels):
    spec = mass_workspace(mass_channels)
    modifiers = [
        modifier
        for channel in spec["channels"]
        for sample in channel["samples"]
        for modifier in sample["modifiers"]
    ]
    names = {modifier["name"].removeprefix("signal_") for modifier in modifiers} - {"mu"}
    assert {name.removeprefix("signal_") for name in (*card["sources"], *card["free"])} == names
    assert card["sources"]["trigger_2017"] == ("lnN", {("category_2017A", "signal"): 0.86})
    both = {("category_2017A", "signal"): 1.02, ("C", "signal"): 1.03}
    assert card["sources"]["muon"] == ("lnN", both)


def test_slope_is_exponential(card):
    nominal = template(card, "C", "background")
    up, down = (template(card, "C", "background", f"slope_C{way}") for way in ("Up", "Down"))
    steps = np.diff(np.log(up / nominal))
    assert steps == pytest.approx([3.0 / 19] * 18)
    assert np.diff(np.log(down / nominal)) == pytest.approx(-steps)


def test_the_card_of_a_search_is_the_likelihood_of_its_workspace(tmp_path):
    """Strength, error and limit of two categories of τ → 3μ, from the text and the templates."""
    channels = tau3mu_cards.channels(names=["2017A2", "2017B1"])
    write_shape_datacard(channels, tmp_path / "card.txt")
    card = CombineCard(tmp_path / "card.txt")
    workspace = mass_workspace(channels, blinded=False)
    strength = fit_strength(workspace)
    card.bounds = -20, 40
    _, values, error = card.fit()
    assert values["r"] == pytest.approx(strength.value, abs=0.01 * strength.error)
    assert error == pytest.approx(strength.error, rel=0.01)
    fitted = {name.removeprefix("signal_"): x for name, x in strength.parameters.items()}
    assert set(fitted) == {*card.sources, *card.free}
    assert {name: values[name] for name in fitted} == pytest.approx(fitted, abs=0.02)
    card.bounds = 0, 40
    limit = upper_limit(workspace, level=0.9)
    assert card.limit(0.9) == pytest.approx(limit.observed, rel=0.01)
