"""Z → μμ against a loop over events: of coffea's NanoAOD samples, and of moved copies of them."""

import math
from pathlib import Path

import awkward as ak
import energy_payloads
import numpy as np
import pytest
import uproot
from coffea.lookup_tools.rochester_lookup import rochester_lookup
from coffea.lookup_tools.txt_converters import convert_rochester_file

from bphcoffea.analysis.shifts import uniform_noise
from bphcoffea.corrections import load_corrections
from bphcoffea.datasets import Fileset
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.processing import Processor

pytestmark = pytest.mark.samples
FILTERS = [
    "goodVertices",
    "globalSuperTightHalo2016Filter",
    "HBHENoiseFilter",
    "HBHENoiseIsoFilter",
    "EcalDeadCellTriggerPrimitiveFilter",
    "BadPFMuonFilter",
    "eeBadScFilter",
]
FIELDS = {
    "Muon": "pt eta phi mass charge tightId pfRelIso04_all",
    "Electron": "pt eta phi deltaEtaSC pfRelIso03_all mvaFall17V2Iso_WP80",
    "Jet": "pt eta phi jetId puId btagDeepFlavB",
}
STEPS = (
    *("all", "vertex", "filters", "filters_of_data", "trigger", "muon", "two_muons"),
    *("no_electron", "leading_muon", "opposite_charge", "mass"),
)
REGIONS = {
    "all": lambda mass, jets: True,
    "z": lambda mass, jets: 76 < mass < 106,
    "no_jet": lambda mass, jets: not jets,
    "jet": lambda mass, jets: bool(jets),
    "b_jet": lambda mass, jets: any(j["btagDeepFlavB"] > 0.2783 for j in jets),
}


@pytest.fixture(scope="module")
def zmumu():
    return load_analysis(str(Path(__file__).parents[2] / "processors" / "zmumu.py"))


def columns_of(path):
    """What the analysis reads of a file: collections, filters, the event, generator weights."""
    with uproot.open(path) as file:
        tree = file["Events"]
        read = {
            name: {field: tree[f"{name}_{field}"].array() for field in fields.split()}
            for name, fields in FIELDS.items()
        }
        flags = {name: tree[f"Flag_{name}"].array() for name in FILTERS}
        event = {"npvs": tree["PV_npvsGood"].array(), "hlt": tree["HLT_IsoMu24"].array()}
        ones = np.ones(len(event["npvs"]))
        return read, flags, event, tree["genWeight"].array() if "genWeight" in tree else ones


def objects_of(read, number):
    """Raw muons, and selected muons, electrons and jets of one event, from lists."""
    raw = {}
    for name, fields in read.items():
        rows = zip(*(values[number] for values in fields.values()), strict=True)
        raw[name] = [dict(zip(fields, row, strict=True)) for row in rows]
    muons = [
        m
        for m in raw["Muon"]
        if m["pt"] > 15 and abs(m["eta"]) < 2.4 and m["tightId"] and m["pfRelIso04_all"] < 0.25
    ]
    electrons = [
        e
        for e in raw["Electron"]
        if e["pt"] > 15
        and abs(e["eta"]) < 2.4
        and not 1.4442 < abs(np.float32(e["eta"]) + np.float32(e["deltaEtaSC"])) < 1.566
        and e["pfRelIso03_all"] < 0.06
        and e["mvaFall17V2Iso_WP80"]
    ]
    jets = [
        j
        for j in raw["Jet"]
        if j["pt"] > 30
        and abs(j["eta"]) < 2.4
        and j["jetId"] >= 2
        and (j["puId"] >= 4 or j["pt"] >= 50)
        and all(distance(j, lepton) >= 0.4 for lepton in (*muons, *electrons))
    ]
    for objects in (muons, jets):
        objects.sort(key=lambda one: -one["pt"])
    return raw["Muon"], muons, electrons, jets


def distance(first, second):
    phi = math.remainder(first["phi"] - second["phi"], math.tau)
    return math.hypot(first["eta"] - second["eta"], phi)


def mass_of(*muons):
    e = x = y = z = 0.0
    for m in muons:
        momentum = m["pt"] * math.cosh(m["eta"])
        e += math.sqrt(momentum**2 + m["mass"] ** 2)
        x += m["pt"] * math.cos(m["phi"])
        y += m["pt"] * math.sin(m["phi"])
        z += m["pt"] * math.sinh(m["eta"])
    return math.sqrt(max(e**2 - x**2 - y**2 - z**2, 0.0))


def loop(columns, is_mc):
    """Number of events after each step, and the selected ones: position, mass, muons, jets."""
    read, flags, event, _ = columns
    read = {
        name: {field: ak.to_list(array) for field, array in fields.items()}
        for name, fields in read.items()
    }
    flags, event = ({name: ak.to_list(array) for name, array in d.items()} for d in (flags, event))
    counts = {step: 0 for step in STEPS if not is_mc or step != "filters_of_data"}
    selected = []
    for number in range(len(event["npvs"])):
        raw, muons, electrons, jets = objects_of(read, number)
        mass = mass_of(*muons[:2]) if len(muons) > 1 else 0.0
        passed = {
            "all": True,
            "vertex": event["npvs"][number] >= 1,
            "filters": all(flags[name][number] for name in FILTERS[:-1]),
            "filters_of_data": flags["eeBadScFilter"][number],
            "trigger": event["hlt"][number],
            "muon": any(m["pt"] > 18 for m in raw),
            "two_muons": len(muons) == 2,
            "no_electron": not electrons,
            "leading_muon": bool(muons) and muons[0]["pt"] > 25,
            "opposite_charge": len(muons) > 1 and muons[0]["charge"] + muons[1]["charge"] == 0,
            "mass": 25 < mass < 2000,
        }
        for step in counts:
            if not passed[step]:
                break
            counts[step] += 1
        else:
            selected.append((number, mass, muons, jets))
    return counts, selected


def check(result, columns, *, is_mc):
    """Compare a result with the loop; return the number of selected events."""
    counts, selected = loop(columns, is_mc)
    assert {row["step"]: row["events"] for row in result.cutflow.rows()} == counts
    assert list(result.histograms["m_ll"].axes["category"]) == list(REGIONS)
    for region, belongs in REGIONS.items():
        inside = [one for one in selected if belongs(one[1], one[3])]
        filled = {
            "m_ll": [[mass] for _, mass, _, _ in inside],
            "muon1_pt": [[muons[0]["pt"]] for _, _, muons, _ in inside],
            "n_jet": [[len(jets)] for *_, jets in inside],
            "jets_pt": [[j["pt"] for j in jets] for *_, jets in inside],
            "jet2_eta": [[j["eta"] for j in jets[1:2]] for *_, jets in inside],
        }
        for name, entries in filled.items():
            found = result.histograms[name][region, "nominal", :]
            expected = found.copy().reset()
            for (number, *_), values in zip(inside, entries, strict=True):
                expected.fill(values, weight=columns[3][number])
            np.testing.assert_allclose(
                found.values(flow=True), expected.values(flow=True), rtol=1e-9, err_msg=name
            )
    return len(selected)


@pytest.mark.parametrize(
    ("name", "is_mc", "number"), [("nano_dy.root", True, 4), ("nano_dimuon.root", False, 3)]
)
def test_agrees_with_the_loop(name, is_mc, number, zmumu, slim_nanoaod, open_events):
    known = {"is_mc": is_mc, "era": "2018"}
    events = open_events(slim_nanoaod / name, ReducedNanoAODSchema, "Events", **known)
    (result,) = Processor(zmumu).process(events).values()
    assert check(result, columns_of(slim_nanoaod / name), is_mc=is_mc) == number


def test_agrees_with_the_loop_on_moved_events(zmumu, slim_nanoaod):
    """Copies whose quantities are moved, so that each cut decides, and each region has events."""
    random = np.random.default_rng(1)
    times = 60
    read, flags, event, weights = columns_of(slim_nanoaod / "nano_dy.root")

    def moved(field, array):
        array = ak.concatenate([array] * times)
        flat = ak.to_numpy(ak.flatten(array))
        size, kind = len(flat), flat.dtype
        if field == "pt":
            flat = flat * random.uniform(0.3, 3, size)
        elif field in ("eta", "phi", "btagDeepFlavB"):
            flat = flat + random.normal(0, 0.3, size)
        elif field == "charge":
            flat = random.choice([-1, 1], size)
        elif field == "tightId":
            flat = flat | (random.uniform(size=size) < 0.5)
        return ak.unflatten(flat.astype(kind), ak.num(array))

    read = {
        name: {field: moved(field, array) for field, array in fields.items()}
        for name, fields in read.items()
    }
    length = times * len(weights)
    flags = {name: random.uniform(size=length) < 0.98 for name in flags}
    event = {"npvs": random.integers(0, 5, length), "hlt": random.uniform(size=length) < 0.8}
    weights = np.tile(weights, times)
    array = ak.zip(
        {
            **{name: ak.zip(fields) for name, fields in read.items()},
            "Flag": ak.zip(flags),
            "PV": ak.zip({"npvsGood": event["npvs"]}),
            "HLT": ak.zip({"IsoMu24": event["hlt"]}),
            "genWeight": weights,
        },
        depth_limit=1,
    )
    behavior = ReducedNanoAODSchema.behavior()
    events = ak.Array(array.layout, with_name="NanoEvents", behavior=behavior)
    metadata = {"dataset": "moved", "is_mc": True, "era": "2018", "hlt": ()}
    (result,) = Processor(zmumu).process(ak.with_parameter(events, "metadata", metadata)).values()
    assert check(result, (read, flags, event, weights), is_mc=True) > 30
    filled = result.histograms["m_ll"].values()[:, 0].any(axis=-1)
    assert filled.all(), "some region has no event"


def test_a_run_writes_what_the_processor_gives(zmumu, slim_nanoaod, tmp_path):
    path = slim_nanoaod / "nano_dy.root"
    metadata = {"is_mc": True, "era": "2018", "cross_section": 6077.22}
    fileset = Fileset.model_validate({"dy": {"files": {str(path): "Events"}, "metadata": metadata}})
    folder = run(zmumu, fileset, tmp_path / "run", Options("iterative", chunksize=14))
    last = folder.objects["dy"]["jet"][-1]
    assert (last["step"], last["objects"]) == ("ΔR(electron) ≥ 0.4", 19)
    histograms = folder.histograms()
    with uproot.open(folder.path / "histograms.root") as file:
        assert file["dy/pt_mass"].classname == "TH2D"
        for name, category, place in (
            ("pt_mass", "all", "dy/pt_mass"),
            ("m_ll", "b_jet", "dy/b_jet/m_ll"),
        ):
            declared = histograms[name]["dy", category, "nominal", ...]
            np.testing.assert_array_equal(file[place].values(), declared.values())
    table = folder.candidates("dy").to_pandas()
    assert len(table) == 4
    assert table["in_jet"].sum() == (table["n_jet"] > 0).sum()


def test_a_run_with_calibrated_muons(zmumu, nanoaod, slim_nanoaod, tmp_path, caplog):
    """Data and simulation have the momenta of coffea's corrections, whatever the chunks."""
    path = tmp_path / "2018.toml"
    energy_payloads.rochester(nanoaod / "RoccoR2018.txt.gz", tmp_path / "RoccoR.txt")
    path.write_text('name = "2018"\neras = ["*"]\n[muon_momentum.Muon]\nfile = "RoccoR.txt"\n')
    corrected = zmumu.corrected(load_corrections([path]))
    kinds = {"dy": True, "dimuon": False}
    fileset = Fileset.model_validate(
        {
            name: {
                "files": {str(slim_nanoaod / f"nano_{name}.root"): "Events"},
                "metadata": {"is_mc": is_mc, "era": "2018"},
            }
            for name, is_mc in kinds.items()
        }
    )
    with caplog.at_level("INFO"):
        folder = run(corrected, fileset, tmp_path / "run", Options("iterative", chunksize=25))
    assert "corrections '2018': muon_momentum.Muon; not declared: pileup" in caplog.text
    variations = ["nominal", "muon_momentumUp", "muon_momentumDown"]
    assert list(folder.histograms()["m_ll"].axes["variation"]) == variations
    lookup = rochester_lookup(convert_rochester_file(str(tmp_path / "RoccoR.txt")))
    for name, is_mc in kinds.items():
        columns = columns_of(slim_nanoaod / f"nano_{name}.root")
        with uproot.open(slim_nanoaod / f"nano_{name}.root") as file:
            tree = file["Events"]
            muons = {field: tree[f"Muon_{field}"].array() for field in FIELDS["Muon"].split()}
            arguments = [muons[field] for field in ("charge", "pt", "eta", "phi")]
            if is_mc:
                index = tree["Muon_genPartIdx"].array()
                generated = ak.fill_none(tree["GenPart_pt"].array()[ak.mask(index, index >= 0)], 0)
                of_file = ak.zip({field: muons[field] for field in ("pt", "eta", "phi")})
                others = (tree["Muon_nTrackerLayers"].array(), uniform_noise(of_file))
                factors = ak.where(
                    generated > 0,
                    lookup.kSpreadMC(*arguments, ak.where(generated > 0, generated, 1)),
                    lookup.kSmearMC(*arguments, *others),
                )
            else:
                factors = lookup.kScaleDT(*arguments)
        columns[0]["Muon"]["pt"] = factors * muons["pt"]
        _, selected = loop(columns, is_mc)
        assert len(selected) > 2
        masses = folder.candidates(name).to_pandas()["mass"].sort_values()
        np.testing.assert_allclose(masses, sorted(mass for _, mass, *_ in selected), rtol=1e-9)


@pytest.fixture(scope="module")
def alone(zmumu, slim_nanoaod, tmp_path_factory):
    """A fileset of simulation and data, and its run in one chunk a file in this process."""
    paths = {name: slim_nanoaod / f"nano_{name}.root" for name in ("dy", "dimuon")}
    fileset = Fileset.model_validate(
        {
            name: {
                "files": {str(path): "Events"},
                "metadata": {"is_mc": name == "dy", "era": "2018"},
            }
            for name, path in paths.items()
        }
    )
    return fileset, run(zmumu, fileset, tmp_path_factory.mktemp("alone"), Options("iterative"))


def test_chunks_of_several_processes_add_up(zmumu, alone, tmp_path):
    fileset, alone = alone
    several = run(zmumu, fileset, tmp_path, Options("futures", workers=2, chunksize=20))
    for of in ("objects", "regions"):
        for name, parts in getattr(alone, of).items():
            for part, rows in parts.items():
                # sums of weights depend on the order of chunks in their last digits
                expected = [row | {"sumw": pytest.approx(row["sumw"])} for row in rows]
                assert getattr(several, of)[name][part] == expected
    for name, histogram in alone.histograms().items():
        found = several.histograms()[name].values(flow=True)
        np.testing.assert_allclose(found, histogram.values(flow=True), rtol=1e-12)
