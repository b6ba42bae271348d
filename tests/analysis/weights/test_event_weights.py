"""Prefiring and the pT of top quarks against loops over events and generated particles."""

import math

import awkward as ak
import numpy as np
import pytest
import uproot
from builders import fileset_of, write_nano
from hypothesis import example, given
from hypothesis import strategies as st

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Cut,
    Histogram,
    PartonShower,
    PrefiringWeight,
    Selection,
    TopPtWeight,
    Variable,
    WeightContext,
)
from bphcoffea.execution import Options, run
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.processing.candidates import values_of_events

LAST_COPY = 1 << 13
TOP = {"pdgId": 6, "pt": 120.0, "statusFlags": LAST_COPY | 1}
ANTITOP = {"pdgId": -6, "pt": 40.0, "statusFlags": LAST_COPY}

particle = st.fixed_dictionaries(
    {
        "pdgId": st.sampled_from([6, -6, 5, 21]),
        "pt": st.floats(0, 900, width=32),
        "statusFlags": st.sampled_from([1, LAST_COPY, LAST_COPY | 257, LAST_COPY << 1]),
    }
)


def events_of(lists):
    flat = [item for one in lists for item in one]
    kinds = {"pdgId": np.int32, "pt": np.float32, "statusFlags": np.uint16}
    columns = {name: np.array([item[name] for item in flat], kind) for name, kind in kinds.items()}
    particles = ak.unflatten(ak.zip(columns), np.array([len(one) for one in lists]))
    return ak.zip({"GenPart": particles}, depth_limit=1)


def loop(particles):
    """Weight of an event; None without a top quark and antiquark."""
    product = 1.0
    for code in (6, -6):
        last = [p for p in particles if p["pdgId"] == code and p["statusFlags"] & LAST_COPY]
        if not last:
            return None
        product *= math.exp(0.0615 - 0.0005 * float(np.float32(last[0]["pt"])))
    return math.sqrt(product)


@given(lists=st.lists(st.lists(particle, max_size=5), min_size=1, max_size=5))
@example(lists=[[], [TOP, ANTITOP], [TOP | {"statusFlags": 1}, TOP, ANTITOP]])
@example(lists=[[TOP], [ANTITOP, TOP | {"statusFlags": LAST_COPY >> 1}]])
def test_the_weight_of_top_quarks_is_that_of_a_loop(lists):
    events = events_of(lists)
    factor = TopPtWeight().evaluate(
        lambda variable: values_of_events(variable, events), WeightContext(None, {}, shifted=True)
    )
    expected = [loop(one) for one in lists]
    up, down = factor.shifts[""]
    for place, weight in enumerate(expected):
        assert factor.nominal[place] == pytest.approx(weight or 1.0, rel=1e-14)
        assert up[place] == pytest.approx((weight or 1.0) ** 2, rel=1e-14)
        assert down[place] == 1
    assert sum(factor.notes.values()) == expected.count(None)


def test_only_datasets_that_ask_for_it_have_the_weight_of_top_quarks():
    weight = TopPtWeight()
    assert weight.applies({"is_mc": True, "top_pt": True}, None)
    for metadata in (
        {"is_mc": True},
        {"is_mc": False, "top_pt": True},
        {"is_mc": True, "top_pt": 0},
    ):
        assert not weight.applies(metadata, None)


pt = Variable("pt", lambda events: ak.max(events.Muon.pt, axis=1, mask_identity=False))


class Prefired(Analysis):
    """All events, with the weight of prefiring."""

    schema = ReducedNanoAODSchema
    selection = Selection(Cut("muon", pt > 0))
    histograms = (Histogram("pt", pt, Axis(1, 0, 100)),)
    columns = (pt,)
    weights = (PrefiringWeight(),)


def test_prefiring_is_that_of_the_file_and_1_in_files_without(tmp_path):
    rng = np.random.default_rng(3)
    sides = {
        f"L1PreFiringWeight_{side}": rng.uniform(0.9, 1, 30).astype(np.float32)
        for side in ("Nom", "Up", "Dn")
    }
    one = np.ones(30, np.float32)
    files = [
        write_nano(tmp_path / "a.root", 30, genWeight=one, **sides),
        write_nano(tmp_path / "b.root", 30, seed=2, genWeight=one),
    ]
    kinds = dict.fromkeys(files, "Events")
    fileset = fileset_of(kinds, tree="Events", is_mc=True, era="2017")
    folder = run(Prefired(), fileset, tmp_path / "run", Options("iterative"))
    histogram = folder.histograms()["pt"]
    assert set(histogram.axes["variation"]) == {"nominal", "prefiringUp", "prefiringDown"}
    for name, branch in {"nominal": "Nom", "prefiringUp": "Up", "prefiringDown": "Dn"}.items():
        total = 30 + sides[f"L1PreFiringWeight_{branch}"].astype(float).sum()
        assert histogram["D", "all", name, 0].value == pytest.approx(total, rel=1e-12)
    table = folder.candidates("D").to_pydict()
    nominal = [*sides["L1PreFiringWeight_Nom"].astype(float).tolist(), *[1.0] * 30]
    assert sorted(table["weight_prefiring"]) == sorted(nominal)
    (row, *_) = folder.cutflow["D"]
    assert row["sumw"] == pytest.approx(sum(nominal))


class Tops(Analysis):
    schema = ReducedNanoAODSchema
    selection = Selection(Cut("pt", Variable("n", lambda events: ak.num(events.GenPart)) > 0))
    histograms = (
        Histogram("met", Variable("met", lambda events: events.PuppiMET.pt), Axis(10, 0, 200)),
    )
    weights = (TopPtWeight(), PartonShower())


@pytest.mark.samples
@pytest.mark.parametrize("normalised", [True, False])
def test_the_weight_of_top_quarks_changes_no_cross_section(slim_tt, tmp_path, normalised):
    """Scaled to a cross section, all events are as many under all variations."""
    about = {"is_mc": True, "era": "2022", "top_pt": True, "cross_section": 2.0, "luminosity": 3.0}
    fileset = fileset_of([slim_tt], tree="Events", **about)
    analysis = Tops()
    analysis.weights = (TopPtWeight(normalised=normalised), PartonShower())
    folder = run(analysis, fileset, tmp_path / "run", Options("iterative", chunksize=70))
    scaled = folder.normalised_histograms()["met"]["D", "all", ...]
    totals = {name: scaled[name, :].sum(flow=True).value for name in scaled.axes["variation"]}
    assert {"nominal", "top_ptUp", "top_ptDown", "ps_isrUp"} <= set(totals)
    with uproot.open(slim_tt) as file:
        generator = file["Events/genWeight"].array(library="np").astype(float)
        names = ("pdgId", "pt", "statusFlags")
        columns = {name: file[f"Events/GenPart_{name}"].array() for name in names}
    weights = np.array([loop(particles) for particles in ak.zip(columns).to_list()])
    means = {
        name: np.sum(generator * weights**power) / np.sum(generator)
        for name, power in {"nominal": 1, "top_ptUp": 2, "top_ptDown": 0}.items()
    }
    # without, members of the parton shower would still be normalised to the generator alone
    for name, total in totals.items() if normalised else ((name, totals[name]) for name in means):
        mean = 1 if normalised else means[name]
        assert total == pytest.approx(6000 * mean, rel=1e-6), name
    assert abs(means["nominal"] - 1) > 0.001
    record = folder.normalisation["D"]
    expected = np.sum(generator) * (means["nominal"] if normalised else 1)
    assert record.generator_sumw == pytest.approx(expected)
    assert folder.cutflow["D"][0]["sumw"] == pytest.approx(np.sum(generator) * means["nominal"])


@pytest.mark.samples
def test_top_quarks_of_a_real_file(slim_tt):
    names = ("pdgId", "pt", "statusFlags")
    with uproot.open(slim_tt) as file:
        columns = {name: file[f"Events/GenPart_{name}"].array(entry_stop=40) for name in names}
    events = ak.zip({"GenPart": ak.zip(columns)}, depth_limit=1)
    factor = TopPtWeight().evaluate(
        lambda variable: values_of_events(variable, events), WeightContext(None, {})
    )
    expected = [loop(particles) for particles in events.GenPart.to_list()]
    assert None not in expected  # all events have both
    assert factor.nominal.tolist() == pytest.approx(expected, rel=1e-12)
