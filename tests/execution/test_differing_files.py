"""Files of a dataset that differ: what is accounted for, what is reported, what is refused."""

import json
import shutil

import builders
import numpy as np
import pytest
import uproot

from bphcoffea.datasets import Fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.results import RunFolder
from bphcoffea.storage.servers import ONCE


@pytest.fixture
def run_over(dimuon, tmp_path):
    """Run the dimuon analysis over datasets: files, and metadata where they are not the default."""

    def run_over(max_chunks=None, chunksize=100_000, analysis=dimuon, **datasets):
        content = {}
        for name, (files, metadata) in datasets.items():
            trees = files if isinstance(files, dict) else dict.fromkeys(map(str, files), "Events")
            known = {"is_mc": False, "era": "2018"} | metadata
            content[name] = {"files": {str(f): t for f, t in trees.items()}, "metadata": known}
        options = Options("iterative", max_chunks=max_chunks, chunksize=chunksize, overwrite=True)
        return run(analysis, Fileset.model_validate(content), tmp_path / "run", options)

    return run_over


def total(folder, dataset, variation="nominal", histogram="jpsi"):
    return folder.histograms()[histogram][dataset, "all", variation, :].sum(flow=True).value


def steps(folder, dataset):
    return {row["step"]: row["events"] for row in folder.cutflow[dataset]}


def notes(folder):
    return "\n".join(folder.read("ledger.json")["notes"])


def test_a_file_without_events_may_lack_branches(run_over, tmp_path):
    full = builders.write_nano(tmp_path / "full.root", 50)
    empty = builders.write_empty_nano(tmp_path / "empty.root")
    folder = run_over(mixed=([empty, full], {}), nothing=([empty], {}))
    assert folder.complete
    assert steps(folder, "mixed") == {"all": 50, "opposite_sign": 50, "acceptance": 50}
    assert steps(folder, "nothing") == dict.fromkeys(steps(folder, "mixed"), 0)
    assert total(folder, "mixed") == 50
    assert total(folder, "nothing") == 0
    assert folder.read("ledger.json")["datasets"]["nothing"]["dataset_events"] == 0


def test_a_run_over_files_without_events_is_empty(run_over, tmp_path):
    empty = builders.write_empty_nano(tmp_path / "empty.root")
    folder = run_over(data=([empty], {}), simulation=([empty], {"is_mc": True}))
    assert folder.complete
    assert {name: rows[0]["events"] for name, rows in folder.cutflow.items()} == {
        "data": 0,
        "simulation": 0,
    }


def test_a_dataset_without_events_has_a_table_of_candidates(ds_phipi, data, run_over, tmp_path):
    with uproot.recreate(tmp_path / "empty.root") as file:
        file.mkdir("Tree3Mu").mktree("ntuple", {"evt": np.uint32})
    full = {data / "tree3mu_phipi_2017.root": "Tree3Mu/ntuple"}
    empty = {tmp_path / "empty.root": "Tree3Mu/ntuple"}
    known = {"era": "2017D"}
    folder = run_over(analysis=ds_phipi, a=(full, known), b=(empty, known))
    assert folder.candidates("a").num_rows > 0
    assert folder.candidates("b").num_rows == 0
    assert folder.candidates("b").schema == folder.candidates("a").schema


def test_a_path_that_a_file_lacks_has_not_fired_there(run_over, tmp_path):
    every_second = np.arange(50) % 2 == 0
    files = [
        builders.write_nano(
            tmp_path / "a.root", 50, HLT_A=every_second, HLT_B=np.ones(50, dtype=np.bool_)
        ),
        builders.write_nano(tmp_path / "b.root", 50, seed=2, HLT_A=every_second),
        builders.write_nano(tmp_path / "c.root", 50, seed=3),
    ]
    folder = run_over(d=(files, {"hlt": ["HLT_A", "B"]}))
    assert steps(folder, "d")["hlt"] == 50 + 25
    assert "HLT_A is absent from 1 of 3 files (50 of 150 events)" in notes(folder)
    assert "HLT_B is absent from 2 of 3 files (100 of 150 events)" in notes(folder)


def test_a_path_that_no_file_has_is_an_error_before_the_run(run_over, tmp_path):
    files = [builders.write_nano(tmp_path / "a.root", 50, HLT_A=np.ones(50, dtype=np.bool_))]
    with pytest.raises(InputError, match=r"^dataset 'd': no file has the branch HLT_Typo;"):
        run_over(d=(files, {"hlt": ["A", "Typo"]}))


def test_scale_weights_that_a_file_lacks_are_one_there(run_over, tmp_path):
    weight = np.ones(50, np.float32)
    files = [
        builders.write_nano(
            tmp_path / "a.root",
            50,
            genWeight=weight,
            LHEScaleWeight=np.full((50, 9), 1.5, np.float32),
        ),
        builders.write_nano(tmp_path / "b.root", 50, seed=2, genWeight=weight),
    ]
    folder = run_over(d=(files, {"is_mc": True}))
    assert total(folder, "d") == 100
    assert total(folder, "d", "generator_scaleUp") == 50 * 1.5 + 50
    assert "LHEScaleWeight is absent from 1 of 2 files (50 of 100 events)" in notes(folder)
    without = run_over(d=(files[1:], {"is_mc": True}))
    assert list(without.histograms()["jpsi"].axes["variation"]) == ["nominal"]
    assert "LHEScaleWeight" not in notes(without)


@pytest.mark.parametrize("number", [44, 45])
def test_scale_weights_of_unknown_meaning_are_reported(run_over, tmp_path, number):
    weights = np.tile(np.linspace(0.8, 1.2, number).astype(np.float32), (50, 1))
    file = builders.write_nano(
        tmp_path / "a.root", 50, genWeight=np.ones(50, np.float32), LHEScaleWeight=weights
    )
    folder = run_over(d=([file], {"is_mc": True}))
    assert total(folder, "d", "generator_scaleUp") == 50
    expected = f"no envelope is known for {number} weights in LHEScaleWeight"
    assert expected in notes(folder)
    assert "(50 candidates)" in notes(folder)


@pytest.mark.parametrize("branch", ["genWeight", "luminosityBlock"])
def test_numbers_that_some_files_lack_are_refused(run_over, tmp_path, branch):
    first = builders.write_nano(tmp_path / "a.root", 10, genWeight=np.full(10, 5, np.float32))
    second = tmp_path / "b.root"
    with uproot.open(first) as file, uproot.recreate(second) as out:
        tree = file["Events"]
        counted = {n for n in tree.keys() if n == "nMuon" or n.startswith("Muon_")}  # noqa: SIM118
        kept = [n for n in tree.keys() if n != branch and n not in counted]  # noqa: SIM118
        columns = {name: tree[name].array(library="np") for name in kept}
        columns["Muon"] = builders.ak.zip(builders.pairs_of_muons(10))
        kinds = {n: v.type.content if n == "Muon" else v.dtype for n, v in columns.items()}
        out.mktree("Events", kinds).extend(columns)
    with pytest.raises(InputError, match=f"{branch} is absent from 1 of 2 files .*b.root"):
        run_over(d=([first, second], {"is_mc": True}))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_a_generator_weight_that_is_not_finite_is_a_fault_of_its_chunk(run_over, tmp_path, bad):
    weights = np.ones(50)
    good = builders.write_nano(tmp_path / "a.root", 50, genWeight=weights)
    weights[33] = bad
    wrong = builders.write_nano(tmp_path / "b.root", 50, seed=2, genWeight=weights)
    folder = run_over(d=([good, wrong], {"is_mc": True}), chunksize=25)
    assert not folder.complete
    (failure,) = folder.read("ledger.json")["failed"]
    assert (failure["file"], failure["start"], failure["attempts"]) == (str(wrong), 25, 1)
    assert failure["error"].startswith("weight 'generator' is ")
    assert failure["error"].endswith("for 1 of 25 events, the first of them in entry 33")
    assert total(folder, "d") == 75


def test_a_scale_weight_that_is_not_finite_is_a_fault_of_its_chunk(run_over, tmp_path):
    weights = np.full((50, 9), 1.1, np.float32)
    weights[7, 3] = np.nan
    file = builders.write_nano(
        tmp_path / "a.root", 50, genWeight=np.ones(50, np.float32), LHEScaleWeight=weights
    )
    folder = run_over(d=([file], {"is_mc": True}), chunksize=10)
    (failure,) = folder.read("ledger.json")["failed"]
    assert (failure["start"], failure["stop"]) == (0, 10)
    assert "weight 'generator_scale'" in failure["error"]
    assert failure["error"].endswith("in entry 7")
    assert total(folder, "d", "generator_scaleUp") == pytest.approx(44, rel=1e-6)


def test_the_same_file_under_two_names_is_refused_for_data(run_over, tmp_path):
    original = builders.write_nano(tmp_path / "a.root", 20)
    copied = shutil.copy(original, tmp_path / "b.root")
    linked = tmp_path / "c.root"
    linked.symlink_to(original)
    for other in (copied, linked, f"file://{original}"):
        with pytest.raises(InputError, match=r"is the same file as .*would count twice"):
            run_over(d=([original, other], {}))
        with pytest.raises(InputError, match=r"is the same file as .* of dataset 'd'"):
            run_over(d=([original], {}), e=([other], {}))
    folder = run_over(d=([original, copied], {"is_mc": True}))
    assert steps(folder, "d")["all"] == 40
    assert "is the same file as" in notes(folder)


def test_parts_of_one_file_may_belong_to_two_datasets(run_over, tmp_path):
    file = builders.write_nano(tmp_path / "a.root", 20)

    def part(start, stop):
        return {file: {"object_path": "Events", "steps": [[start, stop]]}}, {}

    folder = run_over(d=part(0, 12), e=part(12, 20))
    assert [steps(folder, name)["all"] for name in "de"] == [12, 8]
    with pytest.raises(InputError, match="is the same file"):
        run_over(d=part(0, 12), e=part(11, 20))


def test_a_uuid_that_is_not_that_of_the_file_is_an_error(run_over, tmp_path):
    file = builders.write_nano(tmp_path / "a.root", 20)
    with uproot.open(file) as root:
        known = str(root.file.uuid)
    entry = {"object_path": "Events", "uuid": known.upper()}
    assert steps(run_over(d=({file: entry}, {})), "d")["all"] == 20
    other = "00000000-0000-11ef-aaaa-beefdeadbeef"
    for uuid in (other, "none"):
        with pytest.raises(InputError, match=f"its UUID is {known}, but {uuid} in the fileset"):
            run_over(d=({file: entry | {"uuid": uuid}}, {}))


def test_a_dataset_whose_steps_are_empty_does_not_vanish(run_over, tmp_path):
    file = builders.write_nano(tmp_path / "a.root", 100)
    other = builders.write_nano(tmp_path / "b.root", 50)
    entry = {"object_path": "Events", "steps": [], "num_entries": 100}
    folder = run_over(d=({file: entry}, {}), e=([other], {}))
    assert steps(folder, "d")["all"] == 0
    assert "dataset 'd': the fileset's steps select none of its 100 events" in notes(folder)
    ledger = folder.read("ledger.json")
    assert ledger["partial"]
    assert ledger["datasets"]["d"]["dataset_events"] == 100
    assert ledger["datasets"]["d"]["expected_events"] == 0
    with pytest.raises(InputError, match="no entries to read"):
        run_over(d=({file: entry}, {}))


@pytest.mark.parametrize("known", [False, True], ids=["opened", "known"])
def test_a_run_of_some_chunks_is_partial(run_over, tmp_path, known):
    files = {
        builders.write_nano(tmp_path / f"{n}.root", 40, seed=n): {
            "object_path": "Events",
            **({"num_entries": 40} if known else {}),
        }
        for n in range(3)
    }
    if known:  # what is not asked for, and known, is not opened
        (tmp_path / "2.root").unlink()
    folder = run_over(d=(files, {"luminosity": 6.0}), chunksize=10, max_chunks=2)
    ledger = folder.read("ledger.json")
    assert ledger["partial"]
    assert ledger["complete"]
    counts = ledger["datasets"]["d"]
    assert (counts["processed_events"], counts["dataset_events"]) == (20, 120)
    assert RunFolder(folder.path).read("luminosity.json")["luminosity"] == pytest.approx(1.0)
    whole = run_over(d=(dict(list(files.items())[:2]), {"luminosity": 6.0}))
    assert not whole.read("ledger.json")["partial"]


def test_files_that_are_not_asked_for_may_be_unfit(run_over, tmp_path):
    good = builders.write_nano(tmp_path / "a.root", 40)
    (tmp_path / "b.root").write_text("text")
    folder = run_over(d=([good, tmp_path / "b.root"], {"luminosity": 6.0}), max_chunks=1)
    assert folder.complete
    assert folder.read("ledger.json")["datasets"]["d"]["dataset_events"] is None
    # nobody knows which part of the luminosity it was
    assert folder.read("luminosity.json")["luminosity"] is None


def test_check_sees_what_a_run_needs(bphcoffea, tmp_path):
    a = builders.write_nano(tmp_path / "a.root", 10, HLT_A=np.ones(10, dtype=np.bool_))
    b = builders.write_nano(tmp_path / "b.root", 10, seed=2)
    copied = shutil.copy(b, tmp_path / "c.root")
    path = tmp_path / "fileset.json"
    metadata = {"is_mc": False, "era": "2018", "hlt": ["A", "Typo"]}
    files = dict.fromkeys(map(str, (a, b, copied)), "Events")
    path.write_text(json.dumps({"d": {"files": files, "metadata": metadata}}))
    status, out, errors = bphcoffea("fileset", "check", path, "--analysis", "dimuon")
    assert status == 2
    assert len(errors) == 2
    assert "no file has the branch HLT_Typo" in errors[0]
    assert "c.root: is the same file as" in errors[1]
    assert "HLT_A is absent from 2 of 3 files (20 of 30 events)" in " ".join(out.split())


def test_a_file_of_which_nothing_is_asked_may_be_unreadable(run_over, tmp_path):
    good = builders.write_nano(tmp_path / "a.root", 40)
    nothing = {"object_path": "Events", "steps": []}
    folder = run_over(d=({good: "Events", tmp_path / "none.root": nothing}, {}))
    assert folder.complete
    assert steps(folder, "d")["all"] == 40


def test_chunks_of_nanoaod_are_resumed(dimuon, tmp_path):
    """Coffea's schema changes the metadata of a chunk between looking for it and keeping it."""
    good = builders.write_nano(tmp_path / "a.root", 40)
    entries = {str(good): "Events", str(tmp_path / "none.root"): "Events"}
    content = {"d": {"files": entries, "metadata": {"is_mc": False, "era": "2018"}}}
    fileset = Fileset.model_validate(content)
    options = Options(
        "iterative", chunksize=10, retries=ONCE, checkpoints=str(tmp_path / "kept"), resume=True
    )
    resumed = [
        run(dimuon, fileset, tmp_path / "run", options).read("metrics.json")["chunks_resumed"]
        for _ in range(2)
    ]
    assert resumed == [0, 4]


SUBSAMPLES = """
import numpy as np

from bphcoffea.analysis import Analysis, Axis, Cut, Histogram, Selection, Variable, Weight
from bphcoffea.analysis import subsample
from bphcoffea.corrections import Factor
from bphcoffea.inputs import ReducedNanoAODSchema

quarks = Variable("quarks", lambda events: events.LHE.Nb)

class Doubled(Weight):
    name = "doubled"

    def evaluate(self, values, context):
        return Factor(np.full(len(values(quarks)), 2.0))

class Parts(Analysis):
    weights = (Doubled().only_when(lambda metadata: metadata.get("subsample") == "b"),)
    schema = ReducedNanoAODSchema
    selection = Selection(
        subsample("b", quarks >= 1),
        subsample("light", quarks.equals(0)),
        Cut("odd", Variable("number", lambda events: events.event % 2) > 0),
    )
    histograms = (Histogram("quarks", quarks, Axis(5, 0, 5)),)
"""


def test_parts_of_a_simulated_sample_are_datasets_of_the_same_files(run_over, tmp_path):
    (tmp_path / "parts.py").write_text(SUBSAMPLES)
    analysis = load_analysis(str(tmp_path / "parts.py"))
    rng = np.random.default_rng(5)
    branches = {
        "LHE_Nb": rng.integers(0, 3, 200).astype(np.uint8),
        "genWeight": rng.choice([2.0, -1.0], 200).astype(np.float32),
    }
    file = builders.write_nano(tmp_path / "a.root", 200, **branches)
    simulated = {"is_mc": True, "cross_section": 3.0}
    parts = {name: ([file], simulated | {"subsample": name}) for name in ("b", "light")}
    data = ([builders.write_nano(tmp_path / "b.root", 5, LHE_Nb=branches["LHE_Nb"][:5])], {})
    folder = run_over(analysis=analysis, whole=([file], simulated), d=data, **parts)
    histogram = folder.histograms()["quarks"]
    whole, b, light = (histogram[name, "all", "nominal", :] for name in ("whole", "b", "light"))
    np.testing.assert_array_equal(whole.values(), 0.5 * b.values() + light.values())
    assert light[0].value == whole[0].value != 0
    assert b[1].value == 2 * whole[1].value != 0
    selected = branches["LHE_Nb"][::2]
    assert [steps(folder, name)["odd"] for name in ("b", "light")] == [
        np.count_nonzero(selected > 0),
        np.count_nonzero(selected == 0),
    ]
    assert "subsample_b" not in steps(folder, "whole")
    # each part is normalised like the whole sample
    sums = {folder.normalisation[name].generator_sumw for name in ("whole", "b", "light")}
    assert sums == {float(branches["genWeight"].sum())}
    counted_twice = [n for n in folder.read("ledger.json")["notes"] if "is the same file" in n]
    assert len(counted_twice) == 2
    assert all("whole" in note for note in counted_twice)
    with pytest.raises(InputError, match=r"^dataset 'd': its subsample 'c' is not one of the "):
        run_over(analysis=analysis, d=([file], simulated | {"subsample": "c"}))
