"""τ → 3μ on NanoAOD: triplets against three nested loops, and steps that files can't answer."""

import math

import awkward as ak
import pytest
import uproot
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bphcoffea.datasets.fileset import Fileset
from bphcoffea.execution import Options, blinded, load_analysis, run
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.processing.processor import Processor

MUON_MASS = 0.10566
PHI = {"A": (0.99, 1.05), "B": (0.98, 1.06), "C": (0.965, 1.075)}


@pytest.fixture(scope="module")
def nano():
    return load_analysis("tau3mu_nano")


def momentum(muon):
    pt, eta, phi = muon["pt"], muon["eta"], muon["phi"]
    p = (pt * math.cos(phi), pt * math.sin(phi), pt * math.sinh(eta))
    return (math.sqrt(sum(x * x for x in p) + muon["mass"] ** 2), *p)


def mass_of(muons):
    total = [sum(parts) for parts in zip(*map(momentum, muons), strict=True)]
    return math.sqrt(max(total[0] ** 2 - sum(x * x for x in total[1:]), 0.0))


def distance(a, b):
    d_phi = abs(a["phi"] - b["phi"])
    return math.hypot(a["eta"] - b["eta"], min(d_phi, 2 * math.pi - d_phi))


def category_of(triplet):
    """By the errors of pT alone, each moved up and down."""
    variance = 0.0
    for moved in triplet:
        both = [
            mass_of([dict(m, pt=m["pt"] + sign * m["ptErr"]) if m is moved else m for m in triplet])
            for sign in (1, -1)
        ]
        variance += ((both[0] - both[1]) / 2) ** 2
    relative = math.sqrt(variance) / mass_of(triplet)
    return "A" if relative < 0.007 else "B" if relative < 0.0105 else "C"


def passes(step, triplet):
    pairs = [(triplet[i], triplet[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    opposite = [mass_of(pair) for pair in pairs if pair[0]["charge"] != pair[1]["charge"]]
    if step == "muon_id":
        return all(m["isGlobal"] and m["isPFcand"] for m in triplet)
    if step == "acceptance":
        return all(
            abs(m["eta"]) < 2.4 and m["pt"] > 2 and (m["pt"] > 3.5 or abs(m["eta"]) >= 1.2)
            for m in triplet
        )
    if step == "mass":
        return 1.62 < mass_of(triplet) < 2.02
    if step == "delta_r":
        return all(distance(*pair) < 0.8 for pair in pairs)
    if step == "delta_z":
        return all(abs(a["dz"] - b["dz"]) < 0.5 for a, b in pairs)
    if step == "phi_veto":
        low, high = PHI[category_of(triplet)]
        return all(not low < m < high for m in opposite)
    return all(not 0.766 < m < 0.800 for m in opposite)


STEPS = ("muon_id", "acceptance", "mass", "delta_r", "delta_z", "phi_veto", "omega_veto")
REDUCED = ("acceptance", "mass", "delta_r", "omega_veto")


def triplets_of(event):
    """Three nested loops over the muons of an event."""
    return [
        (event[i], event[j], event[k])
        for i in range(len(event))
        for j in range(i + 1, len(event))
        for k in range(j + 1, len(event))
        if abs(event[i]["charge"] + event[j]["charge"] + event[k]["charge"]) == 1
    ]


def nested_loops(events, steps):
    """Events and candidates of each step."""
    n_events, n_candidates = [len(events)], [0]
    alive = []
    for event in events:
        triplets = triplets_of(event)
        alive.append(triplets)
        n_candidates[0] += len(triplets)
    for step in steps:
        alive = [[t for t in triplets if passes(step, t)] for triplets in alive]
        n_events.append(sum(bool(triplets) for triplets in alive))
        n_candidates.append(sum(map(len, alive)))
    return n_events, n_candidates


def counts(result):
    return result.cutflow.events.tolist(), result.cutflow.candidates.tolist()


FIELDS = ("pt", "eta", "phi", "charge", "ptErr", "dz", "isGlobal", "isPFcand")
MUON = st.fixed_dictionaries(
    {
        "pt": st.sampled_from([1.875, 3.25, 3.75, 6.5]),
        "eta": st.sampled_from([0.5, 0.625, 0.75, 1.25, 2.5]),
        "phi": st.sampled_from([-3.0625, 3.0, 3.125, 0.0]),
        "charge": st.sampled_from([-1, 1]),
        "ptErr": st.sampled_from([0.015625, 0.0625, 0.125]),
        "dz": st.sampled_from([0.0, 0.25, 0.5625]),
        "isGlobal": st.sampled_from([True, True, True, False]),
        "isPFcand": st.just(True),
    }
)


@settings(max_examples=8)
@given(made=st.lists(st.lists(MUON, max_size=6), min_size=5, max_size=60), reduced=st.booleans())
def test_triplets_agree_with_three_nested_loops(made, reduced, nano, open_events, tmp_path_factory):
    path = tmp_path_factory.mktemp("nano") / "muons.root"
    kept = FIELDS[:4] if reduced else FIELDS
    filled = ak.Array(
        [[{"mass": MUON_MASS} | {k: m[k] for k in kept} for m in event] for event in [*made, []]]
    )
    assume(ak.fields(filled))  # without a muon there is nothing to write
    floats = [name for name in ("mass", "pt", "eta", "phi", "ptErr", "dz") if name in filled.fields]
    for name in floats:
        filled[name] = ak.values_astype(filled[name], "float32")
    with uproot.recreate(path) as file:
        file.mktree("Events", {"Muon": filled.type.content}).extend({"Muon": filled})
    events = open_events(path, ReducedNanoAODSchema, "Events")
    result = Processor(nano).process(events)["test"]
    steps = REDUCED if reduced else STEPS
    assert result.cutflow.steps == ("all", *steps)
    assert counts(result) == nested_loops(filled.to_list(), steps)
    names = list(result.histograms["mass"].axes["category"])
    in_category = result.histograms["mass"][{"variation": "nominal"}].values().sum(axis=1)
    expected = dict.fromkeys(names, 0)
    for triplet in (t for event in filled.to_list() for t in triplets_of(event)):
        if all(passes(step, triplet) for step in steps):
            expected["unknown" if reduced else category_of(triplet)] += 1
    assert dict(zip(names, in_category.tolist(), strict=True)) == expected


@pytest.mark.samples
def test_a_real_file(slim_nanoaod, nano, open_events):
    path = slim_nanoaod / "nano_dimuon.root"
    with uproot.open(path) as file:
        arrays = file["Events"].arrays(filter_name="Muon_*")
    fields = ("pt", "eta", "phi", "mass", "charge", "ptErr", "dz", "isGlobal", "isPFcand")
    muons = ak.zip({name: arrays[f"Muon_{name}"] for name in fields}).to_list()
    result = Processor(nano).process(open_events(path, ReducedNanoAODSchema, "Events"))["test"]
    assert counts(result) == nested_loops(muons, STEPS)
    assert result.cutflow.candidates[0] > 0


def test_a_run_reports_what_its_files_cannot_answer(nano, tmp_path):
    muons = ak.Array(
        [[{"pt": 5.0, "eta": 0.5, "phi": p, "mass": MUON_MASS, "charge": 1} for p in (3.0, 3.1)]]
    )
    with uproot.recreate(tmp_path / "reduced.root") as file:
        file.mktree("Events", {"Muon": muons.type.content}).extend({"Muon": muons})
    fileset = Fileset.model_validate(
        {
            "reduced": {
                "files": {str(tmp_path / "reduced.root"): "Events"},
                "metadata": {"is_mc": False, "era": "2012", "hlt": []},
            }
        }
    )
    folder = run(blinded(nano, fileset), fileset, tmp_path / "run", Options("iterative"))
    (note,) = [n for n in folder.read("ledger.json")["notes"] if "absent" in n]
    assert note.startswith("dataset 'reduced': absent steps and columns: l1 (")
    for part in (
        "vertex (NanoAOD holds no fit",
        "muon_id (no branch Muon_isGlobal, Muon_isPFcand)",
    ):
        assert part in note
    assert [row["step"] for row in folder.cutflow["reduced"]] == ["all", *REDUCED]
    assert folder.hidden == (pytest.approx((1.727, 1.827)),)
