"""Same-sign WW with a hadronic τ against a loop over events, on NanoAOD and on made events."""

from collections import Counter
from operator import itemgetter

import awkward as ak
import numpy as np
import pytest
from coffea.nanoevents.methods import base, vector
from conftest import ROOT
from correction_files import binning, category, correction, stored
from ssww_tau_loop import EDGES, FLAVOURS, KINDS, is_jet, is_tau, leptons, select, steps, vbs_pair

from bphcoffea.corrections import load_corrections
from bphcoffea.execution import load_analysis
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.processing.processor import Processor

FIELDS = {
    "Jet": ("pt", "eta", "phi", "mass", "jetId", "puId", "btagDeepFlavB"),
    "Muon": ("pt", "eta", "phi", "charge", "pfRelIso04_all", "looseId", "tightId"),
    "Electron": ("pt", "eta", "phi", "charge", "mvaFall17V2Iso_WPL", "mvaFall17V2Iso_WP90"),
    "Tau": (
        *("pt", "eta", "phi", "charge"),
        *(f"idDeepTau2017v2p1VS{name}" for name in ("jet", "e", "mu")),
    ),
}
PATHS = ("IsoMu27", "Ele35_WPTight_Gsf", "Ele27_WPTight_Gsf")
HISTOGRAMS = {
    "m_jj": ("m_jj",),
    "lepton_pt": ("lepton_pt",),
    "tau_pt": ("tau1_pt",),
    "met": ("met",),
    "m_jj_tau_pt": ("m_jj", "tau1_pt"),
}


def metadata_of(era, primary_dataset=None):
    metadata = {"dataset": "made", "is_mc": True, "era": era, "hlt": ()}
    return metadata | ({"primary_dataset": primary_dataset} if primary_dataset else {})


@pytest.fixture(scope="module")
def ssww_tau():
    return load_analysis(str(ROOT / "processors" / "ssww_tau.py"))


def made(seed, count=800, era="2018", primary_dataset=None):
    """Events around the thresholds, of which the first has no object."""
    rng = np.random.default_rng(seed)

    def one_of(*values, p=None, dtype=np.float32):
        return lambda number: rng.choice(np.array(values, dtype=dtype), number, p=p)

    def often(probability):
        return lambda number: rng.random(number) < probability

    def above(least, scale, *thresholds):
        """Momenta, of which one in five is at a threshold or next to it."""

        def drawn(number):
            values = np.round(least + rng.exponential(scale, number))
            near = rng.choice(thresholds, number) + rng.choice([0, 1], number)
            return np.where(rng.random(number) < 0.2, near, values).astype(np.float32)

        return drawn

    def particles(numbers, **draws):
        """Particles of which there are 0, 1, 2, … with some probabilities."""
        counts = rng.choice(len(numbers), count, p=numbers)
        counts[0] = 0
        number = int(counts.sum())
        columns = {"phi": rng.uniform(-np.pi, np.pi, number).astype(np.float32)}
        columns |= {name: draw(number) for name, draw in draws.items()}
        return ak.zip({name: ak.unflatten(values, counts) for name, values in columns.items()})

    bits = {"dtype": np.uint8}
    charge = one_of(-1, 1, dtype=np.int32)
    quarters = [*np.arange(-5, 5.25, 0.25)]
    jets = particles(
        [0.04, 0.06, 0.1, 0.2, 0.2, 0.2, 0.2],
        pt=above(25, 80, 30, 50),
        eta=one_of(*quarters),
        mass=above(0, 10, 0),
        jetId=one_of(0, 1, 2, 6, p=[0.03, 0.03, 0.34, 0.6], dtype=np.int32),
        puId=one_of(0, 4, 6, 7, p=[0.05, 0.05, 0.1, 0.8], dtype=np.int32),
        btagDeepFlavB=one_of(0.01, 0.303, 0.3035, 0.9, p=[0.7, 0.08, 0.1, 0.12]),
    )
    muons = particles(
        [0.5, 0.44, 0.06],
        pt=above(8, 80, 10, 30),
        eta=one_of(*np.arange(-2.5, 2.6, 0.1)),
        charge=charge,
        pfRelIso04_all=one_of(0.05, 0.15, 0.2, 0.4, p=[0.79, 0.07, 0.07, 0.07]),
        looseId=often(0.5),
        tightId=often(0.85),
    )
    electrons = particles(
        [0.5, 0.44, 0.06],
        pt=above(12, 80, 15, 35, 38),
        eta=one_of(*np.arange(-2.5, 2.6, 0.1)),
        charge=charge,
        mvaFall17V2Iso_WPL=often(0.5),
        mvaFall17V2Iso_WP90=often(0.8),
    )
    taus = particles(
        [0.1, 0.6, 0.2, 0.1],
        pt=above(26, 40, 29),
        eta=one_of(*np.arange(-2.5, 2.6, 0.1)),
        charge=charge,
        idDeepTau2017v2p1VSjet=one_of(0, 63, 127, 255, p=[0.05, 0.1, 0.5, 0.35], **bits),
        idDeepTau2017v2p1VSe=one_of(0, 3, 7, 255, p=[0.03, 0.07, 0.5, 0.4], **bits),
        idDeepTau2017v2p1VSmu=one_of(0, 7, 15, p=[0.05, 0.05, 0.9], **bits),
    )
    # what meets a working point also meets the looser ones
    muons["looseId"] = muons.looseId | muons.tightId
    electrons["mvaFall17V2Iso_WPL"] = electrons.mvaFall17V2Iso_WPL | electrons.mvaFall17V2Iso_WP90
    events = {
        "Jet": jets,
        "Muon": muons,
        "Electron": electrons,
        "Tau": taus,
        "MET": ak.zip(
            {"pt": one_of(20, 50, 51, 120)(count), "phi": rng.uniform(-np.pi, np.pi, count)}
        ),
        "HLT": ak.zip({name: often(0.7)(count) for name in PATHS}),
        "genWeight": rng.choice([-1.0, 1.0, 2.0], count),
        "run": np.ones(count, dtype=np.int64),
        "luminosityBlock": np.ones(count, dtype=np.int64),
        "event": np.arange(count),
    }
    array = ak.Array(ak.zip(events, depth_limit=1), behavior={**base.behavior, **vector.behavior})
    named = ak.with_name(array, "NanoEvents")
    return ak.with_parameter(named, "metadata", metadata_of(era, primary_dataset))


def as_lists(events):
    """Return the events as dictionaries of the fields that the loop reads."""
    content = {
        name: ak.zip({field: events[name][field] for field in fields})
        for name, fields in FIELDS.items()
    }
    content["MET"] = ak.zip({"pt": events.MET.pt})
    paths = [path for path in PATHS if path in events.HLT.fields]
    content["HLT"] = ak.zip({path: events.HLT[path] for path in paths})
    weight = events.genWeight if "genWeight" in events.fields else np.ones(len(events))
    content |= {"genWeight": weight, "event": events.event}
    return ak.to_list(ak.zip(content, depth_limit=1))


def looped(events):
    """Return how many events pass each step, and the selected: event, regions, quantities."""
    dataset = (events.metadata["era"], events.metadata.get("primary_dataset"))
    names = steps(*dataset)
    passing, selected = Counter({"all": len(events)}), []
    for event in as_lists(events):
        passed, regions, quantities = select(event, *dataset)
        passing.update(names[:passed])
        if quantities is not None:
            selected.append((event, {"all", *regions}, quantities))
    return {name: passing[name] for name in ("all", *names)}, selected


def check_histograms(analysis, result, selected, weight=itemgetter("genWeight"), of="nominal"):
    """Compare all histograms of a variation; return the number of events of each region."""
    regions = {}
    for region in analysis.filled_names:
        members = [(event, found) for event, names, found in selected if region in names]
        regions[region] = len(members)
        weights = [weight(event) for event, _ in members]
        for name, quantities in HISTOGRAMS.items():
            filled = result.histograms[name][region, of, ...]
            expected = filled.copy().reset()
            columns = [[found[one] for _, found in members] for one in quantities]
            expected.fill(*columns, weight=weights)
            np.testing.assert_array_equal(filled.view(flow=True), expected.view(flow=True))
    return regions


def compare(analysis, events):
    """Compare the processor with the loop, and return the number of events of each region."""
    (result,) = Processor(analysis).process(events).values()
    counts, selected = looped(events)
    assert {row["step"]: row["events"] for row in result.cutflow.rows()} == counts
    pairs = [vbs_pair(list(filter(is_jet, event["Jet"])))[1] for event in as_lists(events)]
    assert result.objects["vbs_jet"].rows()[-1]["candidates"] == sum(map(len, pairs))
    table = result.candidates.arrays()
    assert list(table["event"]) == [event["event"] for event, _, _ in selected]
    for region in analysis.filled_names[1:]:
        assert list(table[f"in_{region}"]) == [region in names for _, names, _ in selected]
    for name in ("lepton_pt", "tau1_pt", "met"):
        assert list(table[name]) == [found[name] for _, _, found in selected]
    # the square of the mass is a difference of large numbers
    masses = [found["m_jj"] for _, _, found in selected]
    np.testing.assert_allclose(table["m_jj"], masses, rtol=1e-9)
    return check_histograms(analysis, result, selected)


@pytest.fixture(scope="module")
def samples(nanoaod, open_events):
    """Z decays in simulation, and dimuons of low mass in data."""
    return {
        name: open_events(
            nanoaod / f"nano_{name}.root", ReducedNanoAODSchema, "Events", is_mc=is_mc, era="2018"
        )
        for name, is_mc in (("dy", True), ("dimuon", False))
    }


@pytest.mark.samples
@pytest.mark.parametrize(("name", "triggered", "pairs"), [("dy", 9, 1), ("dimuon", 4, 0)])
def test_nanoaod_as_it_is_agrees_with_the_loop(name, triggered, pairs, ssww_tau, samples):
    assert compare(ssww_tau, samples[name])["all"] == 0
    counts, _ = looped(samples[name])
    steps = ("trigger", "vbs_pair", "one_loose_lepton")
    assert [counts[step] for step in steps] == [triggered, pairs, 0]


@pytest.mark.samples
def test_nanoaod_with_opened_cuts_agrees_with_the_loop(ssww_tau, samples):
    """One muon of each event is kept, and the τ are turned away from the muons that they are."""
    events = samples["dimuon"]
    events = ak.with_field(events, events.Muon[:, :1], "Muon")
    events = ak.with_field(events, events.Electron[events.Electron.pt < 0], "Electron")
    for name, field, value in (
        *(("Tau", f"idDeepTau2017v2p1VS{of}", 255) for of in ("jet", "e", "mu")),
        *(("Muon", "pt", 50), ("Muon", "tightId", True), ("Muon", "pfRelIso04_all", 0)),
        *(("Muon", "looseId", True), ("Tau", "pt", 50), ("HLT", "IsoMu27", True)),
    ):
        values = ak.full_like(events[name][field], value)
        events = ak.with_field(events, values, [name, field])
    events = ak.with_field(events, events.Tau.phi + 1.5, ["Tau", "phi"])
    events = ak.with_field(events, 3 * events.Jet.pt, ["Jet", "pt"])
    regions = compare(ssww_tau, events)
    assert [regions[name] for name in ("all", *KINDS)] == [9, 1, 5, 1, 0]


@pytest.mark.parametrize(
    ("era", "primary_dataset"),
    [("2016H", "SingleElectron"), ("2017C", "SingleMuon"), ("2018A", "EGamma")],
)
def test_made_events_agree_with_the_loop(era, primary_dataset, ssww_tau):
    assert compare(ssww_tau, made(1, 300, era, primary_dataset))["all"] > 3


def test_made_events_reach_each_region(ssww_tau):
    regions = compare(ssww_tau, made(2, 2000))
    assert list(regions) == ["all", *KINDS, *(f"{k}_{f}" for k in KINDS for f in FLAVOURS)]
    assert min(regions.values()) >= 3, regions


def test_edges_of_histograms(ssww_tau):
    histograms = {histogram.name: histogram.empty() for histogram in ssww_tau.histograms}
    for name, edges in EDGES.items():
        assert list(histograms[name].axes[-1].edges) == edges


def test_events_without_any_object(ssww_tau):
    events = made(7, 20)
    for name in FIELDS:
        events = ak.with_field(events, events[name][events[name].pt < 0], name)
    assert not any(compare(ssww_tau, events).values())
    assert not any(compare(ssww_tau, made(7, 20)[:0]).values())


TOML = """
name = "2018"
eras = ["2018*"]
[jet_energy.Jet]
file = "payloads.json"
sources = { Total = "jes" }
"""
#: Scale factors below and above 50 GeV, whose products are exact.
FACTORS = {
    "muon_id": ("Muon", 0.5, 1.5),
    "muon_isolation": ("Muon", 1.25, 0.75),
    "electron_id": ("Electron", 0.5, 1.25),
    "tau_vs_jet": ("Tau", 1.5, 0.75),
    "tau_vs_e": ("Tau", 0.5, 2.0),
    "tau_vs_mu": ("Tau", 1.25, 0.5),
}


@pytest.fixture(scope="module")
def corrections(tmp_path_factory):
    """Scale factors of all objects, and jet energies that are uncertain by a quarter."""
    path = tmp_path_factory.mktemp("corrections") / "2018.toml"
    payloads = [
        correction(
            name,
            {"pt": "real", "syst": "string"},
            category("syst", {"nom": binning("pt", [0.0, 50.0, 1e4], values)}),
        )
        for name, (_, *values) in FACTORS.items()
    ]
    jes = {"JetEta": "real", "JetPt": "real"}
    stored(path.with_name("payloads.json"), *payloads, correction("jes", jes, 0.25))
    sections = (f'[objects.{name}]\nfile = "payloads.json"\nname = "{name}"\n' for name in FACTORS)
    path.write_text(TOML + "".join(f'{section}out_of_range = "error"\n' for section in sections))
    return load_corrections([path])


def moved(events, sign):
    """Return events with jets and missing momentum of a variation of the jet energy."""
    jets, met = events.Jet, events.MET
    factor = 1 + 0.25 * sign
    px, py = (
        met.pt * function(met.phi) - ak.sum((factor - 1) * jets.pt * function(jets.phi), axis=1)
        for function in (np.cos, np.sin)
    )
    met = ak.zip({"pt": np.hypot(px, py), "phi": np.arctan2(py, px)})
    for field in ("pt", "mass"):
        events = ak.with_field(events, factor * jets[field], ["Jet", field])
    return ak.with_field(events, met, "MET")


def weight_of(event):
    """Return the weight of an event with one lepton and one τ, from their momenta."""
    weight = event["genWeight"]
    jets = vbs_pair([jet for jet in event["Jet"] if is_jet(jet)])[1]
    muons, electrons = leptons(event, jets, 35)
    taus = [tau for tau in event["Tau"] if is_tau(tau, muons + electrons, jets)]
    selected = {"Muon": muons, "Electron": electrons, "Tau": taus}
    for collection, below, above in FACTORS.values():
        for one in selected[collection]:
            weight *= below if one["pt"] < 50 else above
    return weight


def test_scale_factors_and_jet_energies(ssww_tau, corrections):
    events = made(5, 600)
    corrected = ssww_tau.corrected(corrections)
    (result,) = Processor(corrected).process(events).values()
    variations = {"nominal": 0, "jes_TotalUp": 1, "jes_TotalDown": -1}
    assert list(result.histograms["m_jj"].axes["variation"]) == list(variations)
    counts = {}
    for name, sign in variations.items():
        _, selected = looped(moved(events, sign) if sign else events)
        regions = check_histograms(corrected, result, selected, weight_of, name)
        counts[name] = regions["signal"], regions["fakes"]
    assert len(set(counts.values())) == 3
