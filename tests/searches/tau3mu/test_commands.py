"""`bphcoffea limit`, `export` and `plot` of a run of τ → 3μ, from its folder to the figures."""

import importlib.util
import json
from itertools import pairwise

import numpy as np
import pytest
from narrow import WIDTH, too_wide

from bphcoffea.presentation import style
from bphcoffea.progress import INTERVAL_S
from bphcoffea.results import RunFolder
from bphcoffea.searches.tau3mu.figures import figures_of_limit
from bphcoffea.searches.tau3mu.limit_record import BranchingLimit
from bphcoffea.searches.tau3mu.spectra import EDGES
from bphcoffea.statistics.cls_limits import upper_limit

SIMULATION = (("d18", "tau3mu_d", "2018D", 0.25, (300,)),)


@pytest.fixture
def call(bphcoffea):
    def call(*words):
        ended = bphcoffea(*words)
        return ended.status, ended

    return call


@pytest.fixture(scope="module")
def runs(tau3mu, phi_pi):
    run = tau3mu(years=("2018",), simulation=SIMULATION, categories=("A",), blind=False)
    return run, phi_pi()


def test_a_limit_and_what_is_made_of_it(runs, call, monkeypatch):
    run, normalisation = runs
    monkeypatch.setenv(INTERVAL_S, "0.001")
    options = ("--normalisation", normalisation.path, "--level", "0.9", "--f-b", "0.3")
    status, output = call("limit", run.path, *options)
    assert status == 0, output.err
    assert "Setting limits: 1 of 1 point (100%)" in output.err
    content = run.read("limit.json")
    (known,) = content["limits"]
    (limit,) = known["limits"]
    assert limit["expected"] == sorted(limit["expected"])
    for text in (
        "upper limits on B(τ → 3μ) at 90% CL",
        "blinded",
        f"{1e8 * limit['expected'][2]:.3g}",
        "2018: 2,000 Ds → φπ fitted, luminosity of the search over theirs 2;",
        "trimuon 1.28",
        "note: no simulation of τ from b hadrons",
        "note: the run is not blind",
    ):
        assert text in output.out

    status, output = call("export", run.path, "--format", "pyhf")
    assert status == 0, output.err
    (written,) = (run.path / "datacards").glob("*.json")
    assert written.name == "tau3mu_2018.json"
    spec = json.loads(written.read_text())
    again = upper_limit(spec, level=0.9, toys=0)
    assert 1e-7 * again.expected[2] == pytest.approx(limit["expected"][2], rel=1e-9)

    monkeypatch.setenv("COLUMNS", str(WIDTH))
    status, output = call("export", run.path, "--format", "combine")
    assert status == 0, output.err
    assert "1 file in" in " ".join(output.out.split())
    assert too_wide(output.out) == []
    monkeypatch.delenv("COLUMNS")
    card = (run.path / "datacards" / "tau3mu_2018.txt").read_text()
    assert "tau3mu_2018.root" in card
    for source in ("br_ds_phipi", "br_ds_taunu", "trigger_2018", "ds_yield_2018"):
        assert f"\n{source} " in card

    if importlib.util.find_spec("ROOT"):
        status, output = call("export", run.path, "--format", "roofit")
        assert status == 0, output.err
        names = {path.name for path in (run.path / "parametric").iterdir()}
        assert names == {"tau3mu_2018.root", "tau3mu_2018.txt"}

    # another limit: what was written of the one before is removed, and nothing else
    (run.path / "datacards" / "tau3mu_mine.txt").write_text("mine")
    run.write("limit.json", {**content, "limits": [{**known, "name": "other"}]})
    call("export", run.path, "--format", "pyhf")
    names = {path.name for path in (run.path / "datacards").iterdir()}
    assert names == {"tau3mu_other.json", "tau3mu_mine.txt"}

    # without drawing them, which takes most of the time
    names = []
    monkeypatch.setattr(style, "save", lambda _, __, name, ___: names.append(name) or [])
    status, output = call("plot", run.path)
    assert status == 0, output.err
    assert {"limit_mass_A_2018", "limit_cl90"} <= set(names)
    assert f"Drawing: {len(names)} of {len(names)} figures (100%)" in output.err


def test_figures_show_no_data_in_the_windows(runs, call, tmp_path):
    run, normalisation = runs
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    elsewhere = ("-o", tmp_path / "elsewhere")
    words = ("limit", run.path, "--normalisation", normalisation.path, "--level", "0.9")
    assert call(*words, *elsewhere)[0] == 0
    # what is made of it is made of that limit
    status, output = call("export", run.path, "--format", "pyhf", *elsewhere)
    assert (status, output.out) == (0, f"1 file in {elsewhere[1] / 'datacards'}\n")
    assert before == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    content = RunFolder(run.path, elsewhere[1]).read("limit.json")
    content["limits"][0]["limits"][0]["observed"] = 5e-7
    masses = run.candidates("data2018")["mass"].to_numpy().astype(float)
    counts = np.histogram(masses, EDGES)[0]
    for unblind in (False, True):
        figures = dict(figures_of_limit(run, BranchingLimit.from_json(content), unblind=unblind))
        (axes,) = figures["limit_mass_A_2018"]().axes
        (points,) = axes.containers
        drawn = dict(zip(*points.lines[0].get_data(), strict=True))
        for number, (low, high) in enumerate(pairwise(EDGES)):
            count = sum(y for x, y in drawn.items() if low < x < high)
            inside = high > 1.753 + 1e-9 and low < 1.801 - 1e-9
            assert count == (0 if inside and not unblind else counts[number])
        texts = [text.get_text() for text in axes.texts]
        assert ("Blinded" in texts) is not unblind
        assert ("Data blinded in 1.753–1.801 GeV" in texts) is not unblind
        labels = figures["limit_cl90"]().axes[0].get_legend_handles_labels()[1]
        assert ("Observed" in labels) is unblind


def test_options_of_the_other_search_are_refused(runs, call):
    run, normalisation = runs
    words = ("limit", run.path, "--normalisation", normalisation.path)
    status, output = call(*words, "--points", "5", "--f-prompt", "0.9", "--mass", "1.0")
    assert (status, output.err.count("\n")) == (2, 1)
    assert "the search 'tau3mu' takes no --f-prompt, --mass, --points" in output.err
    run.write("analysis.json", {**run.read("analysis.json"), "search": "hnl"})
    status, output = call(*words, "--f-b", "0.3", "--level", "0.9")
    assert (status, output.err.count("\n")) == (2, 1)
    assert "the search 'hnl' takes no --f-b, --level" in output.err
    run.write("analysis.json", {**run.read("analysis.json"), "search": None})
    assert "the analysis 'tau3mu' is no search: it has no limit" in call(*words)[1].err
    run.write("analysis.json", {**run.read("analysis.json"), "search": "other"})
    status, output = call(*words)
    assert "the search 'other' is not installed; there are: hnl, tau3mu" in output.err
    run.write("analysis.json", {**run.read("analysis.json"), "search": "tau3mu"})


def test_bad_numbers_and_missing_parts_are_one_line(runs, call, tau3mu, phi_pi):
    run, normalisation = runs
    words = ("limit", run.path, "--normalisation", normalisation.path)
    fit = normalisation.read("fit.json")
    del fit["by"]
    blind = tau3mu("blind", years=("2018",), simulation=SIMULATION, categories=("A",))
    unknown = phi_pi("unknown", luminosities={"data17": 1.0, "data18": None})
    for call_words, line in (
        ((*words, "--trimuon-only", "0.5"), "--trimuon-only 0.5: a factor of 1 or more"),
        ((*words, "--level", "95"), "a confidence level lies between 0 and 1"),
        ((*words, "--f-b", "2"), "the fraction of Ds from b hadrons is 2, not between 0 and 1"),
        (
            ("limit", run.path, "--normalisation", phi_pi("whole", fit=fit).path),
            "fit each year by itself (fit --by year)",
        ),
        (
            ("limit", run.path, "--normalisation", unknown.path),
            "the luminosity of data18 is not known",
        ),
        (
            ("limit", blind.path, "--normalisation", normalisation.path, "--unblind"),
            "the run is blind: it has no data in 1.753–1.801 GeV; run again unblinded (run",
        ),
        (("export", blind.path, "--format", "combine"), "no limit; make one with: bphcoffea limit"),
    ):
        status, output = call(*call_words)
        assert (status, output.err.count("\n")) == (2, 1), output.err
        assert line in output.err
