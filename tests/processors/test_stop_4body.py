"""Stops with two soft leptons against a loop over events, on PHYSLITE and on made events."""

import itertools
import math
from collections import Counter

import awkward as ak
import numpy as np
import pytest
import uproot
from builders import write_nano
from conftest import ROOT
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bphcoffea.corrections import load_corrections
from bphcoffea.datasets import Fileset, load_fileset
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.inputs import ReducedPHYSLITESchema, branch_filter, form_of
from bphcoffea.processing import Processor, branch_needs

METADATA = {"dataset": "made", "is_mc": True, "era": "2018", "hlt": ()}
STEPS = ("jet_cleaning", "two_leptons", "opposite_charge", "soft_leptons", "jet")
OBJECTS = ("baseline_muon", "baseline_electron", "jet", "electron", "muon")
LOOSE = "DFCommonElectronsLHLooseBL"


@pytest.fixture(scope="module")
def stop_4body():
    return load_analysis(str(ROOT / "processors" / "stop_4body.py"))


def distance(one, other):
    dphi = (one["phi"] - other["phi"] + math.pi) % (2 * math.pi) - math.pi
    return math.sqrt(dphi**2 + (one["eta"] - other["eta"]) ** 2)


def by_pt(particles):
    return sorted(particles, key=lambda particle: -particle["pt"])


def objects_of(event):
    """Return the objects of an event, GeV, after each overlap in turn is removed."""
    muons = [
        m
        for m in event["Muons"]
        if m["pt"] > 4 and abs(m["eta"]) < 2.4 and m["quality"] % 4 <= 1
        if abs(m["z0_sin_theta"]) < 0.05
    ]
    electrons = [
        e
        for e in event["Electrons"]
        if e["pt"] > 4.5 and abs(e["eta"]) < 2.47 and e[LOOSE] and abs(e["z0_sin_theta"]) < 0.05
        if not any(distance(e, m) < 0.01 for m in muons)
    ]
    jets = [
        j
        for j in event["Jets"]
        if j["pt"] > 20 and abs(j["eta"]) < 2.8 and j["NNJvtPass"]
        if not any(distance(j, e) < 0.2 for e in electrons)
    ]

    def apart(lepton):
        cone = min(0.4, 0.04 + 10 / lepton["pt"])
        return not any(distance(lepton, jet) < cone for jet in jets)

    found = (muons, electrons, jets, filter(apart, electrons), filter(apart, muons))
    return dict(zip(OBJECTS, map(by_pt, found), strict=True))


def select(event):
    """Return the objects, the number of steps passed, variables and regions of an event."""
    objects = objects_of(event)
    jets = objects["jet"]
    leptons = by_pt([*objects["electron"], *objects["muon"]])
    passes = (
        event["clean"],
        len(leptons) == 2,
        sum(lepton["charge"] for lepton in leptons) == 0,
        len(leptons) >= 2 and leptons[0]["pt"] < 100 and leptons[1]["pt"] < 50,
        len(jets) >= 1,
    )
    steps = len(list(itertools.takewhile(bool, passes)))
    if steps < len(STEPS):
        return objects, steps, None, []
    x, y = event["soft"]
    for particle in (*leptons, *jets):
        x -= particle["pt"] * math.cos(particle["phi"])
        y -= particle["pt"] * math.sin(particle["phi"])
    met = math.hypot(x, y)
    first, second = (lepton["pt"] for lepton in leptons)
    ht = sum(particle["pt"] for particle in (*leptons, *jets))
    found = {
        "met": met,
        "met_significance": met / math.sqrt(ht),
        "r_2l": met / (first + second),
        "r_2l4j": met / (met + first + second + sum(jet["pt"] for jet in jets[:4])),
        "lepton1_pt": first,
        "lepton2_pt": second,
        "jet1_pt": jets[0]["pt"],
        "n_jet": len(jets),
    }
    regions = []
    if met > 400 and found["met_significance"] > 10 and jets[0]["pt"] > 150:
        regions.append("high_met")
        if first < 25 and second < 10 and found["r_2l"] > 25 and found["r_2l4j"] > 0.44:
            regions.append("high_met_small_dm")
        if 10 < second < 50 and found["r_2l"] > 13 and found["r_2l4j"] > 0.38:
            regions.append("high_met_large_dm")
    return objects, steps, found, regions


def compare(result, events):
    """Compare the result of events with the loop; return the number of events of each region."""
    passing, members, sums, rows, counts = Counter(), Counter(), Counter(), [], Counter()
    for event in events:
        objects, steps, found, regions = select(event)
        counts.update({name: len(of) for name, of in objects.items()})
        passing.update(STEPS[:steps])
        if found is not None:
            rows.append(found | {f"in_{region}": True for region in regions})
            for name in ("all", *regions):
                members[name] += 1
                sums[name] += event["weight"]
    cutflow = {row["step"]: row["events"] for row in result.cutflow.rows()}
    assert cutflow == {"all": len(events)} | {step: passing[step] for step in STEPS}
    for name in OBJECTS:
        assert result.objects[name].rows()[-1]["candidates"] == counts[name]
    table = result.candidates.arrays()
    for name in rows[0] if rows else ():
        if not name.startswith("in_"):
            np.testing.assert_allclose(table[name], [row[name] for row in rows], rtol=1e-9)
    for histogram in ("met", "n_jet"):
        filled = result.histograms[histogram]
        for name in filled.axes["category"]:
            total = filled[name, "nominal", :].sum(flow=True)
            total = getattr(total, "value", total)
            assert total == pytest.approx(sums[name], rel=1e-9, abs=1e-9)
    for name in ("high_met", "high_met_small_dm", "high_met_large_dm"):
        np.testing.assert_array_equal(
            table[f"in_{name}"], [row.get(f"in_{name}", False) for row in rows]
        )
    return members


@pytest.fixture(scope="module")
def sample(nanoaod):
    """The file, opened once: that takes a second."""
    with uproot.open(nanoaod / "PHYSLITE_example.root") as file:
        yield file


def events_of(tree):
    """Return the events of a file, read with uproot alone, as the loop takes them."""

    def lists(branch):
        return tree[branch].array().to_list()

    def particles(name, **fields):
        prefix = f"Analysis{name}AuxDyn."
        columns = {key: lists(prefix + leaf) for key, leaf in fields.items()}
        columns["pt"] = [[x / 1000 for x in of] for of in columns["pt"]]
        return [
            [dict(zip(columns, values, strict=True)) for values in zip(*of_event, strict=True)]
            for of_event in zip(*columns.values(), strict=True)
        ]

    kinematics = {"pt": "pt", "eta": "eta", "phi": "phi"}
    charged = {**kinematics, "charge": "charge"}
    muons = particles("Muons", **charged, quality="quality")
    electrons = particles("Electrons", **charged, **{LOOSE: LOOSE})
    jets = particles("Jets", **kinematics, NNJvtPass="NNJvtPass")
    heights, kinds = (lists(f"PrimaryVerticesAuxDyn.{leaf}") for leaf in ("z", "vertexType"))
    primary = [z[of.index(1)] for z, of in zip(heights, kinds, strict=True)]
    muon_link = "AnalysisMuonsAuxDyn.combinedTrackParticleLink"
    links = {
        "GSFTrackParticles": (
            electrons,
            [
                [of[0]["m_persIndex"] for of in event]
                for event in lists("AnalysisElectronsAuxDyn.trackParticleLinks")
            ],
        ),
        "CombinedMuonTrackParticles": (muons, lists(f"{muon_link}/{muon_link}.m_persIndex")),
    }
    for tracks, (leptons, positions) in links.items():
        z0, vz, theta = (lists(f"{tracks}AuxDyn.{x}") for x in ("z0", "vz", "theta"))
        for event, indices in enumerate(positions):
            for lepton, i in zip(leptons[event], indices, strict=True):
                z = z0[event][i] + vz[event][i] - primary[event]
                lepton["z0_sin_theta"] = z * math.sin(theta[event][i]) / 10
    terms = [lists(f"MET_Core_AnalysisMETAuxDyn.{leaf}") for leaf in ("name", "mpx", "mpy")]
    soft = []
    for names, x, y in zip(*terms, strict=True):
        term = names.index("PVSoftTrkCore")
        soft.append((x[term] / 1000, y[term] / 1000))
    clean = lists("EventInfoAuxDyn.DFCommonJets_eventClean_LooseBad")
    weights = [of[0] for of in lists("EventInfoAuxDyn.mcEventWeights")]
    keys = ("Muons", "Electrons", "Jets", "soft", "clean", "weight")
    columns = zip(muons, electrons, jets, soft, clean, weights, strict=True)
    return [dict(zip(keys, values, strict=True)) for values in columns]


@pytest.mark.samples
def test_physlite_agrees_with_the_loop(stop_4body, sample, nanoaod, tmp_path, open_events):
    events = open_events(sample, ReducedPHYSLITESchema, "CollectionTree", **METADATA)
    (result,) = Processor(stop_4body).process(events).values()
    members = compare(result, events_of(sample["CollectionTree"]))
    # Z → ee with little missing momentum
    assert members == {"all": 23}
    numbers = result.candidates.arrays()
    assert set(numbers["run"]) == {300000}
    assert numbers["event"].dtype == np.uint64
    files = {str(nanoaod / "PHYSLITE_example.root"): "CollectionTree"}
    dataset = {"files": files, "metadata": {"is_mc": True, "era": "2018"}}
    fileset = Fileset.model_validate({"made": dataset})
    folder = run(stop_4body, fileset, tmp_path / "run", Options("iterative"))
    for rows in (folder.cutflow["made"], result.cutflow.rows()):
        assert [row["events"] for row in rows] == [100, 100, 41, 41, 33, 23]


@pytest.mark.samples
def test_branches_are_those_of_links_and_of_the_weight_as_well(stop_4body, sample):
    form = form_of(sample, "CollectionTree", branch_filter(ReducedPHYSLITESchema))
    datasets = {"mc": METADATA, "data": METADATA | {"is_mc": False}}
    needs = branch_needs(stop_4body, datasets, dict.fromkeys(datasets, form))
    required = {name: set(of.required) for name, of in needs.items()}
    assert required["mc"] - required["data"] == {"EventInfoAuxDyn.mcEventWeights"}
    assert required["mc"] >= {
        *(f"EventInfoAuxDyn.{name}" for name in ("runNumber", "lumiBlock", "eventNumber")),
        *(f"GSFTrackParticlesAuxDyn.{name}" for name in ("z0", "vz", "theta")),
        *("AnalysisElectronsAuxDyn.trackParticleLinks", "MET_Core_AnalysisMETAuxDyn.name"),
    }
    assert "AnalysisTauJetsAuxDyn.pt" not in required["mc"]


@pytest.mark.samples
def test_files_of_other_formats_are_refused(bphcoffea, tmp_path):
    nano = write_nano(tmp_path / "nano_dy.root", 20)
    files = tmp_path / "files.json"
    options = ("--name", "dy", "--mc", "--era", "2018", "--tree", "Events")
    ended = bphcoffea("fileset", "build", nano, "-o", files, *options)
    assert ended.status == 0
    ended = bphcoffea("fileset", "check", files, "--analysis", ROOT / "processors/stop_4body.py")
    assert ended.status == 2
    assert "nano_dy.root: the tree is not PHYSLITE: it lacks the branch EventInfo" in ended.err


FIELDS = {
    "Muons": ("pt", "eta", "phi", "mass", "charge", "z0_sin_theta", "quality"),
    "Electrons": ("pt", "eta", "phi", "mass", "charge", "z0_sin_theta", LOOSE),
    "Jets": ("pt", "eta", "phi", "mass", "NNJvtPass"),
}
KINDS = {"quality": np.uint8, LOOSE: np.bool_, "NNJvtPass": np.bool_}


def as_array(events):
    """Return made events as the schema gives them."""
    columns = {}
    for name, fields in FIELDS.items():
        counts = [len(event[name]) for event in events]
        flat = [particle for event in events for particle in event[name]]
        record = {
            field: np.array(
                [particle.get(field, 0.1) for particle in flat], KINDS.get(field, float)
            )
            for field in fields
        }
        columns[name] = ak.unflatten(ak.zip(record), counts)
    soft = np.array([event["soft"] for event in events])
    columns["TrackSoftTerm"] = ak.zip({"x": soft[:, 0], "y": soft[:, 1]})
    columns["EventInfo"] = ak.zip(
        {"DFCommonJets_eventClean_LooseBad": [event["clean"] for event in events]}
    )
    columns["genWeight"] = [event["weight"] for event in events]
    for number in ("run", "luminosityBlock", "event"):
        columns[number] = np.arange(len(events))
    array = ak.Array(ak.zip(columns, depth_limit=1), behavior=ReducedPHYSLITESchema.behavior())
    return ak.with_parameter(ak.with_name(array, "NanoEvents"), "metadata", METADATA)


def processed(analysis, events):
    (result,) = Processor(analysis).process(as_array(events)).values()
    return compare(result, events)


PLACE = {
    "eta": st.sampled_from([-2.8, -2.47, -2.4, 0.0, 0.005, 0.1, 0.15, 0.3, 0.39, 0.5, 2.39, 2.5]),
    "phi": st.sampled_from([-3.1, 0.0, 0.005, 0.1, 3.1]),
}
TRACK = {"charge": st.sampled_from([-1.0, 1.0]), "z0_sin_theta": st.sampled_from([0, -0.05, 0.049])}
SOFT = st.sampled_from([4.0, 4.1, 4.5, 4.6, 9.0, 10.0, 24.0, 25.0, 27.8, 40.0, 50.0, 99.0, 100.0])
muon = st.fixed_dictionaries({**PLACE, **TRACK, "pt": SOFT, "quality": st.integers(0, 31)})
electron = st.fixed_dictionaries({**PLACE, **TRACK, "pt": SOFT, LOOSE: st.booleans()})
jet = st.fixed_dictionaries(
    {**PLACE, "pt": st.sampled_from([20.0, 20.1, 150.0, 500.0]), "NNJvtPass": st.booleans()}
)
event = st.fixed_dictionaries(
    {
        "Muons": st.lists(muon, max_size=3),
        "Electrons": st.lists(electron, max_size=3),
        "Jets": st.lists(jet, max_size=4),
        "soft": st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
        "clean": st.booleans(),
        "weight": st.sampled_from([-1.0, 0.5, 2.0]),
    }
)


def lepton(pt, eta, charge, phi=0.0, **fields):
    return {"pt": pt, "eta": eta, "phi": phi, "charge": charge, "z0_sin_theta": 0.0} | fields


def with_objects(muons=(), electrons=(), jets=(), soft=(0.0, 0.0)):
    return {
        "Muons": [m | {"quality": 8} for m in muons],
        "Electrons": [e | {LOOSE: True} for e in electrons],
        "Jets": [{"pt": pt, "eta": eta, "phi": 0.0, "NNJvtPass": True} for pt, eta in jets],
        "soft": soft,
        "clean": True,
        "weight": 1.0,
    }


NOTHING = with_objects()
#: A muon removes an electron, which therefore does not remove the jet, which removes the muon.
CHAIN = with_objects([lepton(20.0, 0.0, 1.0)], [lepton(20.0, 0.005, 1.0)], [(50.0, 0.15)])
#: An electron removes the jet in which a muon is, so that the muon stays.
SAVED = with_objects([lepton(20.0, 0.3, -1.0)], [lepton(20.0, 0.0, 1.0)], [(50.0, 0.19), (99.0, 2)])
#: Leptons at 0.3 from a jet: the cone is 0.4 at 20 GeV, and 0.24 at 50 GeV.
CONES = with_objects(
    [lepton(20.0, 0.3, 1.0), lepton(49.0, 0.3, -1.0), lepton(20.0, 1.0, 1.0)], jets=[(50.0, 0.0)]
)
#: Muons at a third and a half of the bounds of both regions.
SMALL = with_objects([lepton(12.0, 1.5, 1.0), lepton(5.0, -1.5, -1.0)], jets=[(500.0, 0.0)])
LARGE = with_objects([lepton(20.0, 1.5, 1.0), lepton(12.0, -1.5, -1.0)], jets=[(500.0, 0.0)])


@settings(max_examples=8)
@given(st.lists(event, min_size=1, max_size=30))
@example([NOTHING])
@example([NOTHING, CHAIN, SAVED, CONES, SMALL, LARGE])
def test_made_events_agree_with_the_loop(stop_4body, events):
    processed(stop_4body, events)


def test_overlaps_are_removed_in_their_order():
    counts = {
        name: {key: len(of) for key, of in objects_of(event).items()}
        for name, event in {"chain": CHAIN, "saved": SAVED, "cones": CONES}.items()
    }
    expected = {
        "chain": (1, 0, 1, 0, 0),
        "saved": (1, 1, 1, 1, 1),
        "cones": (3, 0, 1, 0, 2),
    }
    assert {name: tuple(of.values()) for name, of in counts.items()} == expected


def test_each_region_is_reached(stop_4body):
    members = processed(stop_4body, [SMALL, LARGE, CHAIN, SAVED, NOTHING])
    assert members["high_met_small_dm"] == 1
    assert members["high_met_large_dm"] == 1
    assert members["high_met"] == 2
    assert members["all"] == 3


TOML = """
name = "2018"
eras = ["2018"]
[momentum.muon]
scale = 0.02
"""


def test_missing_momentum_moves_with_the_muons(stop_4body, tmp_path):
    path = tmp_path / "2018.toml"
    path.write_text(TOML)
    corrected = stop_4body.corrected(load_corrections([path]))
    events = [SMALL, LARGE, SAVED, CONES, NOTHING, CHAIN]
    (result,) = Processor(corrected).process(as_array(events)).values()
    assert list(result.histograms["met"].axes["variation"]) == [
        "nominal",
        "muon_scaleUp",
        "muon_scaleDown",
    ]
    for name, factor in {"muon_scaleUp": 1.02, "muon_scaleDown": 0.98}.items():
        moved = as_array(events)
        moved = ak.with_field(moved, moved.Muons.pt * factor, ["Muons", "pt"])
        (slow,) = Processor(stop_4body).process(moved).values()
        for histogram in ("met", "r_2l", "lepton1_pt", "m_ll"):
            for category in result.histograms[histogram].axes["category"]:
                np.testing.assert_array_equal(
                    result.histograms[histogram][category, name, :].view(flow=True),
                    slow.histograms[histogram][category, "nominal", :].view(flow=True),
                )


def test_the_fileset_of_open_data_is_valid():
    datasets = load_fileset(ROOT / "datasets" / "atlas_open_data_template.json")
    trees = {f.object_path for d in datasets.root.values() for f in d.files.values()}
    assert trees == {"CollectionTree"}
    assert {d.metadata.is_mc for d in datasets.root.values()} == {True, False}
