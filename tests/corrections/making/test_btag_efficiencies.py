"""b-tagging efficiencies from histograms of jets, and from a run, against counts of jets."""

import hist
import numpy as np
import pytest
from builders import fileset_content, write_jets
from correction_files import evaluator

from bphcoffea.analysis import (
    Analysis,
    Cut,
    Histogram,
    Objects,
    Selection,
    each,
    number_of,
    quantity,
)
from bphcoffea.corrections.making import btag_efficiencies
from bphcoffea.datasets import Fileset
from bphcoffea.errors import CorrectionsError
from bphcoffea.execution import Options, run
from bphcoffea.inputs import ReducedNanoAODSchema

FLAVOUR = hist.axis.Integer(0, 6, name="flavour")
ETA = hist.axis.Variable([0, 1.2, 2.5], name="abs_eta")
PT = hist.axis.Variable([20, 50, 100], name="pt")
score, pt = quantity("score", field="btagDeepFlavB"), quantity("pt", unit="GeV")
flavour, abs_eta = quantity("flavour", field="hadronFlavour"), quantity("eta").magnitude()


class Counted(Analysis):
    """All events; jets by flavour, |η| and pT."""

    schema = ReducedNanoAODSchema
    objects = (
        Objects("jet", "Jet", (pt > 20,)),
        Objects("bjet", "jet", (score > 0.5,)),
    )
    selection = Selection(Cut("jet", number_of("jet") >= 0))
    histograms = tuple(
        Histogram(
            name,
            tuple(each(of, variable) for variable in (flavour, abs_eta, pt)),
            (FLAVOUR, ETA, PT),
        )
        for name, of in (("all", "jet"), ("medium", "bjet"))
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two processes, and the columns of their jets."""
    folder = tmp_path_factory.mktemp("btag")
    columns, content = {}, {}
    for name, seed, weight in (("tt", 1, 1.0), ("dy", 2, 3.0)):
        columns[name] = write_jets(folder / f"{name}.root", seed, weight)
        content |= {
            name: fileset_content(
                {name: [folder / f"{name}.root"]},
                "Events",
                is_mc=True,
                era="2018",
                process=name,
                cross_section=2.0 * weight**2,
                luminosity=1.0,
            )[name]
        }
    fileset = Fileset.model_validate(content)
    run(Counted(), fileset, folder / "run", Options("iterative"))
    return folder, columns


def efficiency(columns, kind, eta_bin, pt_bin):
    """Fraction of tagged jets of a flavour in a bin, with the number of jets."""
    inside = (
        (columns["hadronFlavour"] == kind)
        & (np.abs(columns["eta"]) >= ETA.edges[eta_bin])
        & (np.abs(columns["eta"]) < ETA.edges[eta_bin + 1])
        & (columns["pt"] >= PT.edges[pt_bin])
        & (columns["pt"] < PT.edges[pt_bin + 1])
    )
    return np.count_nonzero(inside & (columns["btagDeepFlavB"] > 0.5)), np.count_nonzero(inside)


def test_efficiencies_of_a_run_are_those_of_its_jets(made, bphcoffea):
    folder, columns = made
    path = folder / "efficiencies.json.gz"
    ended = bphcoffea(
        *("corrections", "btag", folder / "run", "--jets", "all", "--tagged", "M=medium"),
        *("--by-process", "-o", path),
    )
    assert ended.status == 0, ended.err
    assert "efficiency, efficiency_tt, efficiency_dy" in ended.out
    expected_events = {"tt": 2000.0, "dy": 18_000.0}  # σ times luminosity, from 400 events each
    for kind in (0, 4, 5):
        for eta_bin, eta in enumerate((0.5, 2.0)):
            for pt_bin, value in enumerate((30.0, 70.0)):
                sums = np.zeros(2)
                for name, of in columns.items():
                    passed, total = efficiency(of, kind, eta_bin, pt_bin)
                    found = evaluator(path, f"efficiency_{name}").evaluate("M", kind, eta, value)
                    assert found == pytest.approx(passed / total, rel=1e-12)
                    sums += np.array([passed, total]) * expected_events[name]
                found = evaluator(path, "efficiency").evaluate("M", kind, eta, value)
                assert found == pytest.approx(sums[0] / sums[1], rel=1e-12)
                # beyond the bins, that of the nearest
                beyond = evaluator(path, "efficiency").evaluate("M", kind, 2.7 * eta_bin, 5000.0)
                if pt_bin == 1:
                    assert beyond == found


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ("--jets", "al", "--tagged", "M=medium"),
            "has no histogram 'al'; did you mean 'all'",
        ),
        (("--jets", "all", "--tagged", "medium"), "--tagged medium: write WP=HIST"),
    ],
)
def test_mistakes_on_the_command_line(made, bphcoffea, words, text):
    folder, _ = made
    ended = bphcoffea("corrections", "btag", folder / "run", *words, "-o", folder / "x.json")
    assert ended.status == 2
    assert text in ended.err
    assert len(ended.err.splitlines()) == 1


def filled(values, *axes):
    made = hist.Hist(*(axes or (FLAVOUR, ETA, PT)), storage=hist.storage.Weight())
    made.view()["value"][...] = values
    return made


def test_bins_without_jets_and_negative_weights_are_reported():
    jets, tagged = np.zeros((6, 2, 2)), np.zeros((6, 2, 2))
    jets[5], tagged[5] = [[10, 10], [20, 0]], [[5, 5], [10, 0]]
    jets[0], tagged[0] = [[10, 10], [10, 10]], [[-1, 2], [12, 3]]
    result = btag_efficiencies(filled(jets), {"L": filled(tagged)}, "eff")
    correction = result.correction.to_evaluator()
    assert correction.evaluate("L", 5, 2.0, 70.0) == 0.5  # that of all bins
    assert [correction.evaluate("L", 0, eta, 30.0) for eta in (0.5, 2.0)] == [0.0, 1.0]
    assert correction.evaluate("L", 4, 0.5, 30.0) == 0
    assert result.notes == (
        "L, flavour 0: 2 of 4 efficiencies are below 0 or above 1, because of negative weights, "
        "and are set to 0 or 1; use wider bins",
        "L, flavour 4: no jets; the efficiency is 0",
        "L, flavour 5: 1 of 4 bins without jets get the efficiency of all bins, 0.5",
    )


def test_other_histograms_are_refused():
    good = filled(1)
    other = hist.axis.Variable([20, 60, 100], name="pt")
    wide = hist.axis.Variable([-0.5, 4.5, 5.5], name="flavour")
    for jets, tagged, text in (
        (filled(1, PT), good, "a histogram of jets has 1 axes, but must have three"),
        (
            good,
            filled(1, FLAVOUR, ETA, other),
            "'L': the tagged jets have other bins than all jets",
        ),
        (
            filled(1, wide, ETA, PT),
            filled(1, wide, ETA, PT),
            "the axis 'flavour' does not separate the flavours 0, 4 and 5; the axes must be "
            "flavour, |η| and pT, in this order",
        ),
    ):
        with pytest.raises(CorrectionsError) as raised:
            btag_efficiencies(jets, {"L": tagged}, "eff")
        assert text in str(raised.value)
