"""A blind run holds nothing of the data in its windows, whichever of its files is looked at."""

import inspect
import itertools
import json
import textwrap

import pyarrow.parquet as pq
import pytest
from blind_runs import assert_files_agree, assert_skims_agree, drawn, three_runs

from bphcoffea.datasets import Fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import (
    NothingToHideError,
    Options,
    blinded,
    load_analysis,
    run,
)
from bphcoffea.execution.checkpoints import Checkpoints, fingerprint
from bphcoffea.results import RunFolder
from bphcoffea.statistics.blindness import StillBlindError, check_fit
from bphcoffea.toys import TOYS

TREE = "Tree3Mu/ntuple"
SEARCH = """
    import awkward as ak
    from bphcoffea.analysis import Analysis, Axis, Blind, Candidates, Categories, Cut, Histogram
    from bphcoffea.analysis import Selection, Variable
    from bphcoffea.inputs import TwoMuTrackSchema

    chi2 = Variable("chi2", lambda e: e.Triplet.vertex.chi2, axis=Axis(20, 0, 20))
    mass = Variable("m", lambda e: e.Triplet.mass, "$m$", "GeV", axis=Axis(40, 1.6, 2.1))
    pt = Variable("pt", lambda e: e.Triplet.mu1.pt, axis=Axis(20, 0, 20))
    side = Variable("side", lambda e: ak.values_astype(e.Triplet.mu1.eta > 0, int))

    class Search(Analysis):
        schema = TwoMuTrackSchema
        candidates = Candidates("Triplet", best=chi2)
        selection = Selection(
            Cut("vertex", chi2.between(0, 10)),
            Cut("mass", mass.between(1.65, 2.05)),
            Cut("pt", pt > 4),
        )
        histograms = (
            Histogram("mass", mass, Axis(40, 1.6, 2.1)),
            Histogram("muon_pt", pt, Axis(40, 0, 20)),
            Histogram("pt_mass", (pt, mass), (Axis(8, 0, 20), Axis(10, 1.6, 2.1))),
        )
        columns = (mass, chi2, pt)
        categories = Categories(("backward", "forward"), side)
        blind = Blind("mass", resolution=0.006)
        overlay_signal = True
"""
DATA, SIGNAL = "toy_2017", "toy_ds_phipi_mc"
MASS = 1.968


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    path = tmp_path_factory.mktemp("analysis") / "search.py"
    path.write_text(textwrap.dedent(SEARCH))
    return load_analysis(str(path))


@pytest.fixture(scope="module")
def fileset(tmp_path_factory):
    """A file of data and one of simulation, which is called signal."""
    folder = tmp_path_factory.mktemp("toys")
    content = json.loads(TOYS["ds_phipi"](folder, 5000, 3).read_text())
    made = {}
    for name in (DATA, SIGNAL):
        path, entry = next(iter(content[name]["files"].items()))
        made[name] = content[name] | {"files": {str(folder / path): entry}}
    made[SIGNAL]["metadata"] |= {"kind": "signal", "mass": MASS}
    return Fileset.model_validate(made)


@pytest.fixture(scope="module")
def runs(search, fileset, tmp_path_factory):
    return three_runs(search, fileset, DATA, tmp_path_factory.mktemp("runs"), hidden_rows)


ITERATIVE = Options("iterative")


def hidden_rows(opened, windows):
    table = opened.candidates(DATA).to_pylist()
    return {
        (row["run"], row["lumi"], row["event"])
        for row in table
        if any(low <= row["m"] <= high for low, high in windows)
    }


def test_no_file_depends_on_the_hidden_events(runs):
    """Without them in the input all is the same, but for the counts of everything that was read."""
    assert len(runs["hidden"]) > 100
    (window,) = runs["blind"].hidden
    assert window == pytest.approx((MASS * 0.982, MASS * 1.018))
    assert_files_agree(runs, DATA)


def test_no_figure_shows_hidden_events(runs):
    figures = [dict(drawn(runs[name])) for name in ("blind", "without")]
    assert len(figures[0]) > 8
    for name, figure in figures[0].items():
        if not name.startswith("cutflow_data"):  # its first row counts every event
            assert figure == figures[1][name], name
        if not name.startswith("cutflow_ds_phipi"):
            of_mass = name.startswith(("mass", "nminus1_m"))
            wanted = "Data blinded in 1." if of_mass else "Without data of m in 1.933–2.003 GeV"
            wanted = "Data blinded in all bins" if name.startswith("pt_mass") else wanted
            assert wanted in "\n".join(figure["texts"]), name


def test_no_skim_holds_hidden_events(runs):
    assert_skims_agree(runs, DATA)
    assert runs["blind"].candidates(DATA).num_rows > 100


def test_counts_of_a_blind_run_don_t_give_the_hidden_ones(runs, fileset):
    """Whatever is subtracted from what: rows, sums of histograms and tables, counts of events."""
    opened, blind = runs["opened"], runs["blind"]
    table = blind.candidates(DATA)
    rows = blind.cutflow[DATA]
    assert rows[-1]["events"] == rows[-1]["sumw"] == table.num_rows
    assert rows[0] == opened.cutflow[DATA][0]
    counts = {row[key] for row in rows for key in ("events", "candidates", "sumw")}
    for name, histogram in blind.histograms().items():
        of_data = histogram[DATA, sum, "nominal", ...]
        counts |= {of_data.sum(flow=flow).value for flow in (True, False)}
        if not name.startswith("nminus1"):
            assert of_data.sum(flow=True).value == table.num_rows
    for metrics in (blind.read("metrics.json"), blind.read("ledger.json")["datasets"][DATA]):
        counts |= {v for v in metrics.values() if isinstance(v, int | float)}
    wanted = {
        opened.cutflow[DATA][step][key] - rows[step][key]
        for step, key in ((-1, "events"), (-1, "candidates"))
    } | {len(runs["hidden"])}
    assert not {abs(a - b) for a, b in itertools.combinations(counts, 2)} & wanted
    # simulation is not hidden
    assert blind.candidates(SIGNAL).equals(opened.candidates(SIGNAL))
    assert blind.cutflow[SIGNAL] == opened.cutflow[SIGNAL]


def test_the_folder_says_whether_it_is_blind(runs):
    blind, opened = (runs[name].analysis.blind for name in ("blind", "opened"))
    assert (blind.variable, blind.blinded, blind.masses) == ("m", True, (MASS,))
    assert (opened.blinded, opened.hidden, runs["opened"].hidden) == (False, (), ())
    # as older versions wrote it
    content = json.loads((runs["blind"].path / "analysis.json").read_text())
    content["blind"] = {"histogram": "mass", "windows": []}
    old = runs["blind"].path.with_name("old")
    old.mkdir()
    (old / "ledger.json").write_text("{}")
    (old / "analysis.json").write_text(json.dumps(content))
    assert RunFolder(old).hidden == ()


def test_masses_are_those_of_signal_and_those_that_are_given(search, fileset, tmp_path):
    data = fileset.select([DATA])
    assert blinded(search, fileset, [1.8]).hidden.masses == (1.8, MASS)
    assert blinded(search, data, [1.8]).hidden.masses == (1.8,)
    assert blinded(search, data, signals=fileset).hidden.masses == (MASS,)
    with pytest.raises(NothingToHideError, match="but no mass is known"):
        blinded(search, data)
    with pytest.raises(NothingToHideError):
        run(search, data, tmp_path / "never")
    # there is nothing to hide without data
    assert blinded(search, fileset.select([SIGNAL])).hidden.windows == ()
    with pytest.raises(InputError, match="an unblinded run hides no data"):
        blinded(search, fileset, [1.8], unblind=True)
    with pytest.raises(InputError, match="-1 GeV must be positive"):
        blinded(search, fileset, [-1])
    with pytest.raises(InputError, match="hides no data"):
        blinded(load_analysis("ds_phipi"), fileset, [1.8])
    unknown = fileset.model_dump(mode="json", exclude_none=True)
    del unknown[SIGNAL]["metadata"]["mass"]
    for files in unknown.values():
        files["files"] = {k: v["object_path"] for k, v in files["files"].items()}
    with pytest.raises(InputError, match="simulated signal without 'mass'"):
        blinded(search, Fileset.model_validate(unknown))


def test_checkpoints_of_an_unblinded_run_are_not_resumed(search, fileset, tmp_path, monkeypatch):
    monkeypatch.setattr(Checkpoints, "clear", lambda _: None)  # as if the run had been cut off
    data = fileset.select([DATA])
    options = Options("iterative", checkpoints=str(tmp_path / "kept"), resume=True)
    opened, blind = blinded(search, data, unblind=True), blinded(search, data, [MASS])
    wider = blinded(search, data, [MASS, 1.8])
    assert len({fingerprint(each) for each in (opened, blind, wider)}) == 3
    resumed = [
        run(analysis, data, tmp_path / "run", options).read("metrics.json")["chunks_resumed"]
        for analysis in (opened, opened, blind, blind)
    ]
    assert resumed == [0, 1, 0, 1]
    rows = pq.read_table(tmp_path / "run" / "candidates" / f"{DATA}.parquet").to_pylist()
    ((low, high),) = blind.hidden.windows
    assert not [row for row in rows if low <= row["m"] <= high]


def test_without_a_mass_a_run_is_refused_in_one_line(search, fileset, bphcoffea, tmp_path):
    (path,) = fileset[DATA].files
    metadata = {"is_mc": False, "era": "2017D"}
    content = {DATA: {"files": {path: TREE}, "metadata": metadata}}
    (tmp_path / "data.json").write_text(json.dumps(content))
    words = ("run", inspect.getfile(type(search)), tmp_path / "data.json", "-o", tmp_path / "run")
    status, _, err = bphcoffea(*words)
    assert status == 2
    assert len(err) == 1
    assert err[0].endswith("or give a mass (--mass), or hide nothing (--unblind)")
    assert not (tmp_path / "run" / "ledger.json").exists()


def test_a_mass_whose_data_are_hidden_is_not_fitted(tmp_path):
    analysis = {
        "name": "mine",
        "fit": {
            "histogram": "mass",
            "peaks": [{"name": "n", "label": "N", "mass": 1.5, "width": 0.1}],
        },
        "histograms": {"mass": {"variable": "m"}},
        "blind": {"histogram": "mass", "variable": "m", "hidden": [[1, 2]]},
    }
    (tmp_path / "ledger.json").write_text("{}")
    (tmp_path / "analysis.json").write_text(json.dumps(analysis))
    with pytest.raises(StillBlindError, match="no data in 1–2 GeV"):
        check_fit(RunFolder(tmp_path))
    analysis["blind"]["variable"] = "other"
    (tmp_path / "analysis.json").write_text(json.dumps(analysis))
    check_fit(RunFolder(tmp_path))
