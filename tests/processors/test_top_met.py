"""Top and missing momentum against a loop over events, on NanoAOD and on made events."""

from collections import Counter

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents.methods import base, vector
from conftest import ROOT
from correction_files import category, correction, stored
from top_met_loop import FILTERS, STEPS, TRIGGERS, is_jet, select

from bphcoffea.corrections import load_corrections
from bphcoffea.execution import load_analysis
from bphcoffea.inputs import ReducedNanoAODSchema, form_of
from bphcoffea.processing.processor import Processor
from bphcoffea.processing.tracing import branch_needs

METADATA = {"dataset": "tt", "is_mc": True, "era": "2022C", "hlt": ()}
FIELDS = {
    "Jet": (
        *("pt", "eta", "phi", "mass", "btagPNetB", "neHEF", "neEmEF", "chHEF", "muEF", "chEmEF"),
        *("chMultiplicity", "neMultiplicity"),
    ),
    "FatJet": (
        *("pt", "eta", "phi", "mass", "particleNetWithMass_TvsQCD", "particleNetWithMass_WvsQCD"),
    ),
    "Electron": ("pt", "eta", "phi", "mass", "mvaIso_WP80"),
    "Muon": ("pt", "eta", "phi", "mass", "looseId", "tightId"),
}


@pytest.fixture(scope="module")
def top_met():
    return load_analysis(str(ROOT / "processors" / "top_met.py"))


@pytest.fixture(scope="module")
def sample(slim_tt, open_events):
    return open_events(slim_tt, ReducedNanoAODSchema, "Events", **METADATA)


def made(seed, count=600):
    """Events around the thresholds, in which the triggers fire and particles are hard."""
    rng = np.random.default_rng(seed)

    def particles(rate, **fields):
        counts = rng.poisson(rate, count)
        number = int(counts.sum())
        common = {
            "pt": np.round(rng.exponential(80, number) + 20, -1),
            "eta": np.round(rng.normal(0, 1.5, number), 1),
            "phi": rng.uniform(-np.pi, np.pi, number),
            "mass": rng.uniform(0, 30, number),
        }
        drawn = {name: draw(number) for name, draw in fields.items()}
        columns = {**common, **drawn}
        return ak.zip({name: ak.unflatten(values, counts) for name, values in columns.items()})

    def score(below):
        return lambda number: np.where(rng.random(number) < below, 0.01, 0.95)

    def often(probability):
        return lambda number: rng.random(number) < probability

    jets = particles(
        3,
        btagPNetB=score(0.8),
        **{name: score(0.95) for name in ("neHEF", "neEmEF", "muEF", "chEmEF")},
        chHEF=lambda number: rng.choice([0.01, 0.3], number, p=[0.1, 0.9]),
        chMultiplicity=lambda number: rng.integers(0, 12, number).astype(np.uint8),
        neMultiplicity=lambda number: rng.integers(0, 12, number).astype(np.uint8),
    )
    fat_jets = particles(
        0.7,
        particleNetWithMass_TvsQCD=score(0.6),
        particleNetWithMass_WvsQCD=score(0.5),
        pt=lambda number: rng.choice([150.0, 200.0, 400.0], number),
    )
    events = {
        "Jet": jets,
        "FatJet": fat_jets,
        "Electron": particles(0.2, mvaIso_WP80=often(0.8)),
        "Muon": particles(0.3, looseId=often(0.9), tightId=often(0.7)),
        "PuppiMET": ak.zip(
            {
                "pt": rng.choice([50.0, 100.0, 250.0, 251.0, 400.0, 800.0], count),
                "phi": rng.uniform(-np.pi, np.pi, count),
            }
        ),
        "HLT": ak.zip({name: often(0.8)(count) for name in TRIGGERS}),
        "Flag": ak.zip({name: often(0.98)(count) for name in FILTERS}),
        "genWeight": rng.choice([-1.0, 1.0, 2.0], count),
        "run": np.ones(count, dtype=np.int64),
        "luminosityBlock": np.ones(count, dtype=np.int64),
        "event": np.arange(count),
    }
    array = ak.Array(ak.zip(events, depth_limit=1), behavior={**base.behavior, **vector.behavior})
    return ak.with_parameter(ak.with_name(array, "NanoEvents"), "metadata", METADATA)


def as_lists(events):
    """Return the events as dictionaries of the fields that the loop reads."""
    content = {
        name: ak.zip({field: events[name][field] for field in fields})
        for name, fields in FIELDS.items()
    }
    met = events.PuppiMET
    content["PuppiMET"] = ak.zip({"pt": met.pt, "phi": met.phi})
    triggers = [name for name in TRIGGERS if name in events.HLT.fields]
    content["HLT"] = ak.zip({name: events.HLT[name] for name in triggers})
    content["Flag"] = ak.zip({name: events.Flag[name] for name in FILTERS})
    content["genWeight"] = events.genWeight
    return ak.to_list(ak.zip(content, depth_limit=1))


def compare(analysis, events):
    """Compare the processor with the loop, and return the number of events of each region."""
    (result,) = Processor(analysis).process(events).values()
    passing, regions, weights = Counter(), Counter(), Counter()
    masses = {}
    for event in as_lists(events):
        steps, members, mt = select(event)
        passing.update(STEPS[:steps])
        if steps == len(STEPS):
            for name in ("all", *members):
                regions[name] += 1
                weights[name] += event["genWeight"]
                masses.setdefault(name, []).append((mt, event["genWeight"]))
    rows = {row["step"]: row["events"] for row in result.cutflow.rows()}
    assert rows == {"all": len(events)} | {step: passing[step] for step in STEPS}
    mt, met = result.histograms["mt"], result.histograms["met"]
    for name in mt.axes["category"]:
        total = met[name, "nominal", :].sum(flow=True).value
        assert total == pytest.approx(weights[name], rel=1e-9, abs=1e-9)
        filled = [entry for entry in masses.get(name, []) if entry[0] is not None]
        edges = np.r_[-np.inf, mt.axes[2].edges, np.inf]
        expected, _ = np.histogram(
            [m for m, _ in filled], edges, weights=[w for _, w in filled] or None
        )
        np.testing.assert_allclose(
            mt[name, "nominal", :].values(flow=True), expected, rtol=1e-9, atol=1e-9
        )
    table = result.candidates.arrays()
    found = table["top1_mt"][~np.isnan(table["top1_mt"])]
    np.testing.assert_allclose(
        found, [m for m, _ in masses.get("all", []) if m is not None], rtol=1e-6, atol=1e-3
    )
    return regions


@pytest.mark.samples
def test_nanoaod_as_it_is_agrees_with_the_loop(top_met, sample):
    regions = compare(top_met, sample)
    # no trigger of missing momentum fires in the 200 events
    assert regions == {}


@pytest.mark.samples
def test_nanoaod_with_more_missing_momentum_agrees_with_the_loop(top_met, sample):
    path = TRIGGERS[0]
    events = ak.with_field(sample, ak.ones_like(sample.HLT[path]), ["HLT", path])
    events = ak.with_field(events, 6 * sample.PuppiMET.pt, ["PuppiMET", "pt"])
    regions = compare(top_met, events)
    assert regions["all"] == 77
    assert (regions["signal"], regions["multijet"], regions["top"]) == (24, 48, 1)


@pytest.mark.parametrize("seed", range(4))
def test_made_events_agree_with_the_loop(top_met, seed):
    regions = compare(top_met, made(seed))
    assert regions["all"] > 80


def test_made_events_reach_each_region(top_met):
    regions = compare(top_met, made(99, 6000))
    for name in top_met.filled_names:
        assert regions[name] > 3, name


def test_regions_of_the_template_fit_share_no_events(top_met):
    (result,) = Processor(top_met).process(made(98, 6000)).values()
    (fit,) = top_met.describe().measurements
    table = result.candidates.arrays()
    members = [table[f"in_{region.name}"] for region in fit.regions]
    assert all(np.count_nonzero(member) > 3 for member in members)
    assert np.max(np.sum(members, axis=0)) == 1


def test_events_without_any_object(top_met):
    events = made(7, 50)
    for name in FIELDS:
        events = ak.with_field(events, events[name][events[name].pt < 0], name)
    assert compare(top_met, events) == {}


TOML = """
name = "2022"
eras = ["2022*"]
[jet_energy.Jet]
file = "FILE"
simulation = "Summer22_22Sep2023_V3_MC_L1L2L3Res_AK4PFPuppi"
resolution = "Summer22_22Sep2023_JRV1_MC_PtResolution_AK4PFPuppi"
scale_factor = "Summer22_22Sep2023_JRV1_MC_ScaleFactor_AK4PFPuppi"
sources = { Total = "Summer22_22Sep2023_V3_MC_Total_AK4PFPuppi" }
[jet_energy.FatJet]
file = "FILE"
sources = { Total = "Summer22_22Sep2023_V3_MC_Total_AK4PFPuppi" }
[unclustered_energy.PuppiMET]
"""


@pytest.mark.samples
def test_jets_fat_jets_and_missing_momentum_vary_together(
    top_met, sample, nanoaod, slim_tt, tmp_path
):
    path = tmp_path / "2022.toml"
    path.write_text(TOML.replace("FILE", str(nanoaod / "jet_jerc_Summer22_V3.json.gz")))
    corrected = top_met.corrected(load_corrections([path]))
    fired = TRIGGERS[0]
    events = ak.with_field(sample, ak.ones_like(sample.HLT[fired]), ["HLT", fired])
    events = ak.with_field(events, 6 * sample.PuppiMET.pt, ["PuppiMET", "pt"])
    (result,) = Processor(corrected).process(events).values()
    met = result.histograms["met"]
    resolved = corrected.for_dataset(METADATA)
    calibrated, (calibration, _) = resolved.calibrated(events), resolved.calibrations
    assert ("FatJet", "pt") in calibration.paths
    variations = {name: (shift, a) for shift, of in resolved.shifts for name, a in of.items()}
    sources = ("jer", "jes_Total", "unclustered")
    assert list(variations) == [source + side for source in sources for side in ("Up", "Down")]
    of_generator = ("scale_", "ps_")
    shapes = [name for name in met.axes["variation"] if not name.startswith(of_generator)]
    assert shapes == ["nominal", *variations]
    for name, (shift, amounts) in variations.items():
        moved = calibrated
        everywhere = [np.full(len(events), amount) for amount in amounts]
        if name not in ("jerUp", "jes_TotalUp", "unclusteredDown"):
            continue  # the other direction is the same code
        for field, values in shift.shifted(calibrated, everywhere).items():
            moved = ak.with_field(moved, values, list(field))
        (slow,) = Processor(top_met).process(moved).values()
        for histogram in ("mt", "met", "top_mass"):
            for region in corrected.filled_names:
                np.testing.assert_array_equal(
                    result.histograms[histogram][region, name, :].view(flow=True),
                    slow.histograms[histogram][region, "nominal", :].view(flow=True),
                )
        if name == "jes_TotalUp":
            compare(top_met, moved)
        assert np.any(ak.flatten(moved.FatJet.pt) != ak.flatten(calibrated.FatJet.pt)) == (
            name.startswith("jes")
        )
    with uproot.open(slim_tt) as file:
        forms = {"tt": form_of(file, "Events")}
    branches = branch_needs(corrected, {"tt": METADATA}, forms)["tt"].required
    assert {"GenJet_pt", "Jet_genJetIdx", "FatJet_phi", "RawPuppiMET_phi"} <= set(branches)
    assert "GenJetAK8_pt" not in branches


def at_point(values):
    """Numbers by the key of the uncertainty, at the loose working point."""
    keys = zip(("central", "up", "down"), values, strict=True)
    return category("systematic", {k: category("working_point", {"L": v}) for k, v in keys})


BTAG = """
name = "2022"
eras = ["2022*"]
[btag.bjet]
file = "sf.json"
heavy = "heavy"
light = "light"
efficiency_file = "sf.json"
efficiencies = "efficiency"
out_of_range = "clamp"
"""


def test_jets_have_scale_factors_of_the_loose_working_point(top_met, tmp_path):
    inputs = {"working_point": "string", "flavor": "int", "abseta": "real", "pt": "real"}
    numbers = {"heavy": (0.9, 1.0, 0.8), "light": (1.3, 1.5, 1.1)}
    efficiency = {0: 0.1, 4: 0.3, 5: 0.8}
    points = {"L": category("flavor", efficiency)}
    stored(
        tmp_path / "sf.json",
        *(
            correction(name, {"systematic": "string", **inputs}, at_point(values))
            for name, values in numbers.items()
        ),
        correction("efficiency", inputs, category("working_point", points)),
    )
    (tmp_path / "era.toml").write_text(BTAG)
    events = made(3)
    flavours = np.random.default_rng(1).choice([0, 4, 5], int(ak.sum(ak.num(events.Jet))))
    jets = ak.with_field(events.Jet, ak.unflatten(flavours, ak.num(events.Jet)), "hadronFlavour")
    events = ak.with_field(events, jets, "Jet")
    corrected = top_met.corrected(load_corrections([tmp_path / "era.toml"]))
    (result,) = Processor(corrected).process(events).values()

    def weight(event, heavy, light):
        product = 1.0
        for jet in filter(is_jet, event):
            flavour = jet["hadronFlavour"]
            scale = light if flavour == 0 else heavy
            if jet["btagPNetB"] > 0.047:
                product *= scale
            else:
                product *= (1 - scale * efficiency[flavour]) / (1 - efficiency[flavour])
        return product

    table = result.candidates.arrays()
    chosen = [jets[number].to_list() for number in table["event"].tolist()]
    assert any(jet["hadronFlavour"] == 5 for event in chosen for jet in event)
    found = table["weight_bjet"].tolist()
    assert found == pytest.approx([weight(event, 0.9, 1.3) for event in chosen], rel=1e-12)
    met, generator = result.histograms["met"], events.genWeight[table["event"]].to_numpy()
    for side, heavy, light in (
        ("heavyUp", 1.0, 1.3),
        ("heavyDown", 0.8, 1.3),
        ("lightUp", 0.9, 1.5),
        ("lightDown", 0.9, 1.1),
    ):
        expected = sum(
            g * weight(event, heavy, light) for g, event in zip(generator, chosen, strict=True)
        )
        total = met["all", f"bjet_{side}", :].sum(flow=True).value
        assert total == pytest.approx(expected, rel=1e-9)
