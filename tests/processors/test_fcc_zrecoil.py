"""The recoil against a Z in files of FCC-ee, against a loop over events; and on made-up leptons."""

import itertools
import json
import math
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from builders import write_nano
from coffea.nanoevents import FCC, NanoEventsFactory, transforms
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.patches import StepPatch

from bphcoffea.datasets import Fileset, load_fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.inputs import FCCSchema
from bphcoffea.physics import recoil_mass
from bphcoffea.presentation.run_figures import figures_of_run
from bphcoffea.results import RunFolder

ROOT = Path(__file__).parents[2]
PARTICLES = "ReconstructedParticles/ReconstructedParticles"
#: Branch of the positions of leptons, by sample; and the number of selected events.
INDEX = {
    "p8_ee_WW_ecm240_edm4hep.root": "{0}_objIdx/{0}_objIdx.index",
    "test_FCC_Spring2021.root": "{0}#0/{0}#0.index",
    "test_FCC_Winter2023.root": "{0}#0/{0}#0.index",
}
SELECTED = {
    "p8_ee_WW_ecm240_edm4hep.root": 0,
    "test_FCC_Spring2021.root": 3,
    "test_FCC_Winter2023.root": 76,
}
LISTS = ("Electron", "Muon", "Photon")
FLAVOURS = {"Electron": 11, "Muon": 13}
PROCESSOR = ROOT / "processors" / "fcc_zrecoil.py"


@pytest.fixture(scope="module")
def zrecoil():
    return load_analysis(str(PROCESSOR))


def fileset(path, **metadata):
    known = {"is_mc": True, "era": "FCC-ee", "energy": 0.24, "cross_section": 0.201868} | metadata
    return Fileset.model_validate({"zh": {"files": {str(path): "events"}, "metadata": known}})


@pytest.fixture(scope="module")
def runs(nanoaod, zrecoil, tmp_path_factory):
    """Runs over one file each, in several chunks, by its name."""
    top = tmp_path_factory.mktemp("runs")
    options = Options("iterative", chunksize=60)
    return {
        name: run(zrecoil, fileset(nanoaod / name, luminosity=5000), top / name, options)
        for name in INDEX
    }


def leptons_of(path):
    """Leptons of each event: flavour, charge, and the four-momentum from the file's components."""
    leaves = ("momentum.x", "momentum.y", "momentum.z", "mass", "charge")
    with uproot.open(path) as file:
        tree = file["events"]
        columns = [tree[f"{PARTICLES}.{leaf}"].array().to_list() for leaf in leaves]
        lists = {
            flavour: tree[INDEX[path.name].format(name)].array().to_list()
            for name, flavour in FLAVOURS.items()
        }
    events = []
    for number, values in enumerate(zip(*columns, strict=True)):
        particles = list(zip(*values, strict=True))
        leptons = []
        for flavour, positions in lists.items():
            for position in positions[number]:
                x, y, z, mass, charge = particles[position]
                energy = math.sqrt(x * x + y * y + z * z + mass * mass)
                leptons.append((flavour, charge, (energy, x, y, z)))
        events.append(leptons)
    return events


def mass_of(momentum):
    energy, x, y, z = momentum
    squared = energy**2 - x**2 - y**2 - z**2
    return math.copysign(math.sqrt(abs(squared)), squared)


def nearest_pair(leptons):
    """Flavour, mass and recoil of the pair nearest to the Z; None without a pair."""
    best = None
    kept = [lepton for lepton in leptons if math.hypot(*lepton[2][1:3]) > 10]
    for first, second in itertools.combinations(kept, 2):
        if first[0] != second[0] or first[1] + second[1] != 0:
            continue
        energy, *momentum = (a + b for a, b in zip(first[2], second[2], strict=True))
        mass = mass_of((energy, *momentum))
        if best is None or abs(mass - 91.2) < abs(best[1] - 91.2):
            best = (first[0], mass, mass_of((240 - energy, *momentum)))
    return best


def passed(events):
    pairs = [nearest_pair(leptons) for leptons in events]
    return [pair for pair in pairs if pair is not None and 80 < pair[1] < 100]


@pytest.mark.samples
@pytest.mark.parametrize("name", INDEX)
def test_agrees_with_the_loop(name, nanoaod, runs):
    folder = runs[name]
    events = leptons_of(nanoaod / name)
    pairs = [nearest_pair(leptons) for leptons in events]
    expected = passed(events)
    rows = {row["step"]: row["events"] for row in folder.cutflow["zh"]}
    assert rows == {
        "all": len(events),
        "two_leptons": sum(
            any(
                sum(f == flavour and math.hypot(*p[1:3]) > 10 for f, _, p in leptons) >= 2
                for flavour in FLAVOURS.values()
            )
            for leptons in events
        ),
        "opposite_charge": sum(pair is not None for pair in pairs),
        "mass": len(expected),
    }
    assert len(expected) == SELECTED[name]
    table = folder.candidates("zh").to_pydict()
    assert table["pair1_flavour"] == [flavour for flavour, _, _ in expected]
    # the loop adds components of single precision, the analysis goes over pT, η and φ
    np.testing.assert_allclose(table["pair1_mass"], [m for _, m, _ in expected], rtol=1e-9)
    np.testing.assert_allclose(table["pair1_recoil"], [r for _, _, r in expected], rtol=1e-9)
    for histogram, bins, column in (
        ("m_z", (125, 0, 250), 1),
        ("recoil", (100, 0, 200), 2),
        ("recoil_zoom", (100, 80, 160), 2),
    ):
        filled = folder.histograms()[histogram]
        for region, flavours in {"all": (11, 13), "electrons": (11,), "muons": (13,)}.items():
            values = [pair[column] for pair in expected if pair[0] in flavours]
            counts, edges = np.histogram(values, bins[0], bins[1:])
            got = filled["zh", region, "nominal", :]
            np.testing.assert_array_equal(got.values(), counts)
            np.testing.assert_allclose(got.axes[0].edges, edges)
    without = folder.histograms()["nminus1_pair1_mass"]["zh", "all", "nominal", :]
    masses = [pair[1] for pair in pairs if pair is not None]
    np.testing.assert_array_equal(without.values(), np.histogram(masses, 125, (0, 250))[0])


@pytest.mark.samples
@pytest.mark.filterwarnings("ignore:No matched collection:UserWarning")
@pytest.mark.parametrize("name", INDEX)
def test_collections_are_those_of_coffea(name, nanoaod, open_events):
    events = open_events(nanoaod / name, FCCSchema, "events")
    theirs = NanoEventsFactory.from_root(
        {str(nanoaod / name): "events"},
        schemaclass=FCC.get_schema("latest" if "edm4hep" in name else "pre-edm4hep1"),
        mode="virtual",
        # coffea's schema breaks on the parameters, which uproot cannot read
        iteritems_options={"filter_name": "/^(?!.*(PARAMETERS|_.*Map))/"},
    ).events()
    for collection in ("ReconstructedParticles", "Jet", "Electron", "Muon", "Photon"):
        ours = events[collection]
        other = theirs.ReconstructedParticles if collection in LISTS else theirs[collection]
        if collection in LISTS:
            suffix = "_objIdx" if "edm4hep" in name else "idx0"
            other = other[theirs[f"{collection}{suffix}"].index]
        assert ak.all(ak.num(ours) == ak.num(other))
        for field in ("px", "py", "pz", "mass", "charge"):
            got = ak.to_numpy(ak.flatten(getattr(ours, field)))
            expected = ak.to_numpy(ak.flatten(other[field]))
            np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.samples
def test_only_leptons_are_read(runs):
    leaves = ("momentum.x", "momentum.y", "momentum.z", "mass", "charge")
    for name, folder in runs.items():
        lists = [INDEX[name].format(flavour) for flavour in FLAVOURS]
        weight = ["EventHeader/EventHeader.weight"] if "edm4hep" in name else []
        assert folder.read("metrics.json")["columns"] == sorted(
            [*(f"{PARTICLES}.{leaf}" for leaf in leaves), *lists, *weight]
        )


@pytest.mark.samples
def test_simulation_alone_is_scaled_to_the_luminosity_of_its_metadata(nanoaod, runs):
    folder = runs["test_FCC_Winter2023.root"]
    record = folder.normalisation["zh"]
    assert record.scale == pytest.approx(0.201868 * 5.0e6 / 100, rel=1e-12)
    assert not folder.read("lumis.json")


@pytest.mark.samples
def test_figures_without_data_show_the_expected_events(runs):
    folder = runs["test_FCC_Winter2023.root"]
    figure = next(figure for name, figure in figures_of_run(folder) if name == "recoil")
    (axes,) = figure.axes
    assert {"Simulation", "5 $ab^{-1}$ (240 GeV)"} <= {text.get_text() for text in axes.texts}
    (stack, *_) = (patch for patch in axes.patches if isinstance(patch, StepPatch))
    counts = folder.histograms()["recoil"]["zh", "all", "nominal", :].values()
    np.testing.assert_allclose(stack.get_data().values, counts * 0.201868 * 5.0e6 / 100)


@pytest.mark.samples
def test_command_line(nanoaod, bphcoffea, tmp_path):
    """Build, check, run and plot simulation at its luminosity; run it again without one."""
    files, options = tmp_path / "zh.json", ["--mc", "--era", "FCC-ee", "--tree", "events"]
    for name, sample in (
        ("zh", "test_FCC_Winter2023.root"),
        ("ww", "p8_ee_WW_ecm240_edm4hep.root"),
    ):
        metadata = {"process": name, "cross_section": 0.2, "energy": 0.24, "luminosity": 5000}
        meta = [part for key, value in metadata.items() for part in ("--meta", f"{key}={value}")]
        place = nanoaod / sample
        ended = bphcoffea("fileset", "build", place, "--name", name, *options, *meta, "-o", files)
        assert ended.status == 0, ended.err
    assert bphcoffea("fileset", "check", files, "--analysis", PROCESSOR).status == 0
    folder = tmp_path / "run"
    command = ("run", PROCESSOR, files, "-o", folder, "--executor", "iterative")
    ended = bphcoffea(*command)
    assert ended.status == 0, ended.err
    # the others are drawn alike
    finished = RunFolder(folder)
    stored, kept = (
        finished.read("histograms.json"),
        ("recoil", "nminus1_pair1_mass"),
    )
    finished.write("histograms.json", {name: stored[name] for name in kept})
    ended = bphcoffea("plot", folder)
    assert ended.status == 0, ended.err
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {"cutflow_zh", "cutflow_ww", "recoil", "recoil_muons", "nminus1_pair1_mass"} <= drawn

    content = {"zh": json.loads(files.read_text())["zh"]}
    del content["zh"]["metadata"]["luminosity"]
    files.write_text(json.dumps(content))
    ended = bphcoffea(
        "run", PROCESSOR, files, "-o", folder, "--executor", "iterative", "--overwrite"
    )
    assert "there are no data, and no 'luminosity'" in ended.out + ended.err


@pytest.mark.samples
def test_files_without_lists_of_leptons_are_refused(open_events, tmp_path):
    with pytest.raises(InputError, match="the tree lists no leptons"):
        open_events(write_nano(tmp_path / "nano.root", 20), FCCSchema, "Events")


@pytest.mark.parametrize("wrong", [-1, 2])
def test_positions_of_missing_particles_are_refused(wrong):
    values, index = ak.Array([[1.0], [2.0, 3.0]]), ak.Array([[0], [1, 0]])
    stack = [values, index, "Muon#0"]
    transforms.bphcoffea_listed(stack)
    assert stack[0].to_list() == [1.0, 3.0, 2.0]
    with pytest.raises(InputError, match="Muon#0 refers to a particle that does not exist, in 1"):
        transforms.bphcoffea_listed([values, ak.Array([[0], [wrong]]), "Muon#0"])


def test_the_fileset_of_public_files_is_valid(zrecoil):
    datasets = load_fileset(ROOT / "datasets" / "fcc_zh.json")
    assert {dataset.metadata.process for dataset in datasets.root.values()} == {"ZH", "WW", "ZZ"}
    assert all(dataset.metadata.luminosity == 5000 for dataset in datasets.root.values())


LEPTONS = st.lists(
    st.tuples(
        st.sampled_from(sorted(FLAVOURS.values())),
        st.sampled_from([-1, 1]),
        st.sampled_from([9.9, 10.0, 10.1, 45.6, 50.0, 115.0]),
        st.sampled_from([-2.5, -0.3, 0.0, 0.4, 1.0]),
        st.floats(-3.1, 3.1),
    ),
    max_size=6,
)
PAIR = [(13, 1, 50.0, 0.0, 0.0), (13, -1, 45.6, 0.4, 2.9)]
#: Two pairs, of masses 85.0 and 91.2 GeV.
NEAR_AND_FAR = [(13, 1, 45.6, 0.0, 0.0), (13, -1, 45.6, 0.0, 2.4), (13, -1, 45.6, 0.0, 3.1)]


@settings(max_examples=8)
@given(st.lists(LEPTONS, min_size=1, max_size=20))
@example([PAIR, NEAR_AND_FAR, [], [(11, -1, 115.0, 0.0, 0.0)] * 2, [(11, 1, 45.6, 0.0, 0.0)] * 2])
@example([[(11, 1, 10.0, 0.0, 0.0), (11, -1, 45.6, 0.0, 3.0)], [*PAIR, (11, 1, 9.9, 0.4, 0.0)]])
@example([[(11, 1, 115.0, 1.0, 0.0), (11, -1, 115.0, 1.0, 3.1)]])  # a recoil of negative square
def test_the_nearest_pair_of_made_events(zrecoil, events):
    masses = {11: 0.000511, 13: 0.10566}
    fields = {
        name: {
            key: [[value(lepton) for lepton in event if lepton[0] == flavour] for event in events]
            for key, value in {
                "charge": lambda lepton: lepton[1],
                "pt": lambda lepton: lepton[2],
                "eta": lambda lepton: lepton[3],
                "phi": lambda lepton: lepton[4],
                "mass": lambda lepton: masses[lepton[0]],
            }.items()
        }
        for name, flavour in FLAVOURS.items()
    }
    made = ak.zip(
        {
            name: ak.zip({key: _numbers(lists) for key, lists in of.items()})
            for name, of in fields.items()
        },
        depth_limit=1,
    )
    for objects in zrecoil.objects:
        made = ak.with_field(made, objects.select(made), objects.name)
    found = zrecoil.prepare(made).pair
    for event, pairs in zip(events, found.to_list(), strict=True):
        leptons = []
        for flavour, charge, pt, eta, phi in event:
            p = (pt * math.cos(phi), pt * math.sin(phi), pt * math.sinh(eta))
            # the pT of the file decides, which is 10 exactly
            shrunk = 0.999999 if pt == 10 else 1.0
            energy = math.sqrt(sum(x * x for x in p) + masses[flavour] ** 2)
            leptons.append((flavour, charge, (energy, *(x * shrunk for x in p))))
        expected = nearest_pair(leptons)
        assert (expected is None) == (not pairs)
        if expected is None:
            continue
        first = pairs[0]
        distances = [abs(pair["mass"] - 91.2) for pair in pairs]
        assert distances == sorted(distances)
        # masses of collinear leptons are small differences of large numbers
        assert abs(first["mass"] - 91.2) == pytest.approx(abs(expected[1] - 91.2), abs=1e-4)
        if sum(abs(distance - distances[0]) < 1e-4 for distance in distances) == 1:
            assert first["flavour"] == expected[0]
            assert first["recoil"] == pytest.approx(expected[2], abs=1e-3)


def test_recoil_at_rest_and_beyond_the_energy():
    def pair(pt):
        return [
            ak.zip({"pt": [pt], "eta": [0.0], "phi": [phi], "mass": [0.0]}) for phi in (0.0, np.pi)
        ]

    assert recoil_mass(240.0, *pair(45.6))[0] == pytest.approx(240 - 91.2)
    one, _ = pair(130.0)
    assert recoil_mass(240.0, one)[0] == pytest.approx(-math.sqrt(130**2 - 110**2))


def _numbers(lists):
    counts = [len(values) for values in lists]
    return ak.unflatten(np.array([x for values in lists for x in values], dtype=float), counts)
