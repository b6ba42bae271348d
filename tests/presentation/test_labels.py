"""Labels of figures: those that can't be parsed are drawn literally, newer ones replace older."""

import json
import shutil
import textwrap
from pathlib import Path

import matplotlib as mpl
import pytest

from bphcoffea.analysis import Axis, Histogram
from bphcoffea.datasets import Fileset, load_fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.patterns import matches
from bphcoffea.presentation import FigureOptions, Labels, new_figure, plot_run
from bphcoffea.presentation.labels import LabelledRun, literal
from bphcoffea.presentation.minor_ticks import merge_minor_ticks
from bphcoffea.presentation.run_figures import jobs_of_run
from bphcoffea.results import RunFolder
from bphcoffea.statistics import fit_mass
from bphcoffea.storage.manifest import MANIFEST

BAD = "$\\foo{"
UNPARSED = "$\\foo{$"
#: One figure of each kind.
KINDS = ("cutflow_data", "cutflow_*mc*", "mass", "mass_stack", "phi_mass*", "nminus1_mass")


@pytest.fixture(scope="module")
def slim_file(tmp_path_factory):
    """The file of an analysis as Ds → φπ, of few figures."""
    folder = tmp_path_factory.mktemp("analysis")
    shutil.copy(Path(__file__).parents[2] / "processors" / "ds_phipi.py", folder / "base.py")
    path = folder / "slim.py"
    path.write_text(
        textwrap.dedent("""
        import base
        from bphcoffea.analysis import Cut, Selection

        class Slim(base.DsPhiPi):
            selection = Selection(
                Cut("candidate", base.mass.between(1.62, 2.02), base.chi2 >= 0),
                Cut("phi_window", base.phi_mass.between(1.00, 1.04)),
            )
            weights = ()
            shifts = ()
        """)
    )
    return path


@pytest.fixture(scope="module")
def slim(slim_file):
    return load_analysis(str(slim_file))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, shared_folders, slim):
    """A run with a fit, which the tests copy."""
    folder = tmp_path_factory.mktemp("labels")
    toys = load_fileset(shared_folders.toys("ds_phipi", 4000, 3) / "fileset.json")
    names = ("toy_2017", "toy_2018", "toy_ds_phipi_mc", "toy_dplus_phipi_mc")
    fileset = Fileset({name: toys[name] for name in names})
    made = run(slim, fileset, folder / "run", Options("iterative"))
    made.write("fit.json", fit_mass(made).as_json())
    return made, fileset


@pytest.fixture
def folder(fitted, tmp_path):
    shutil.copytree(fitted[0].path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def changed(folder, name, change):
    content = folder.read(name)
    change(content)
    folder.write(name, content)


def drawn(folder, labels=None, *, names=("*",), render=True):
    """What is written in some figures, and the notes; rendering shows that all can be drawn."""
    labelled = LabelledRun(folder, labels)
    texts = {}
    drawings = [drawing for job in jobs_of_run(labelled, FigureOptions()) for drawing in job]
    for name, draw in drawings:
        if not matches(name, names):
            continue
        figure = draw()
        if render:
            merge_minor_ticks(figure)  # as for a file
            figure.draw_without_rendering()
        texts[name] = "\n".join(t.get_text() for t in figure.findobj(mpl.text.Text))
    return texts, labelled.notes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$m(\\mu\\mu)$", None),
        ("Data 2017_B ^", None),
        ("5 \\$ and $x$", None),
        ("", None),
        ("a $ b", r"a \$ b"),
        (BAD, r"\$\foo{"),
        (UNPARSED, r"\$\foo{\$"),
        ("$x$ costs $", r"\$x\$ costs \$"),
        (r"\$5 and $\foo$", r"\$5 and \$\foo\$"),
        ("$$", r"\$\$"),
        ("a\x00b", "a\N{REPLACEMENT CHARACTER}b"),
        ("$a\nb$", "$a b$"),
    ],
)
def test_a_text_is_itself_or_literal(text, expected):
    made = literal(text)
    assert made == (text if expected is None else expected)
    assert literal(made) == made
    figure = mpl.figure.Figure()
    for both in (made, f"N({made}) = 5 $\\pm$ 3", f"{made}, {made}"):
        figure.text(0, 0, both)
    figure.draw_without_rendering()


def break_labels(folder, bad):
    def in_analysis(content):
        content["title"] = bad
        content["fit"]["peaks"][0]["label"] = bad
        for histogram in content["histograms"].values():
            histogram["label"] = histogram["unit"] = bad
        content["histograms"]["phi_mass"]["resonances"] = [{"label": bad, "mass": 1.02}]
        content["histograms"]["nminus1_mass"]["n_minus_1"] = bad

    def in_fit(content):
        for peak in content["model"]["peaks"]:
            peak["label"] = bad

    def in_datasets(content):
        for known in content["datasets"].values():
            known["label"] = bad
            known |= {"process": bad} if known["is_mc"] else {}

    changed(folder, "analysis.json", in_analysis)
    changed(folder, "fit.json", in_fit)
    changed(folder, "provenance.json", in_datasets)


def test_labels_that_are_no_mathtext_are_drawn_literally_and_noted(folder):
    bad = UNPARSED
    break_labels(folder, bad)
    before = {path: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}
    texts, notes = drawn(folder)
    shown = literal(bad)
    assert shown in texts["mass"]
    assert f"N({shown})" in texts["mass"]
    assert f"{shown} [{shown}]" in texts["mass"]
    for place in (
        "title of the analysis",
        "histogram 'mass', label",
        "histogram 'mass', unit",
        "histogram 'nminus1_mass', n_minus_1",
        "histogram 'phi_mass', resonance",
        "peak 'ds', label",
        "dataset 'toy_2017', label",
        "dataset 'toy_ds_phipi_mc', process",
    ):
        (note,) = [note for note in notes if note.startswith(f"{place}: '")]
        assert f"'{bad}' is not valid mathtext" in note
    assert before == {path: path.read_bytes() for path in before}


def test_names_of_datasets_with_dollars_are_drawn(folder, monkeypatch):
    names = {name: f"{name} {UNPARSED}" for name in folder.fileset_metadata}

    def rename(content):
        for name in list(content):
            content[names[name]] = content.pop(name)

    def in_datasets(content):
        rename(content["datasets"])
        for known in content["datasets"].values():
            known.pop("label", None)
            known.pop("process", None)

    changed(folder, "provenance.json", in_datasets)
    changed(folder, "cutflow.json", rename)
    changed(folder, "normalisation.json", rename)
    changed(folder, "luminosity.json", lambda content: rename(content["datasets"]))
    text = (folder.path / "histograms.json").read_text()
    for name, new in names.items():
        text = text.replace(json.dumps(name), json.dumps(new))
    (folder.path / "histograms.json").write_text(text)
    (folder.path / "fit.json").unlink()
    texts, _ = drawn(folder, names=KINDS)
    assert any(literal(names["toy_ds_phipi_mc"]) in text for text in texts.values())


def test_labels_come_from_a_newer_fileset_and_only_they(folder, fitted):
    content = fitted[1].model_dump(mode="json", exclude_defaults=True)
    content["toy_2017"]["metadata"] |= {"label": "NEW", "luminosity": 999.0, "kind": "data"}
    del content["toy_2018"]
    labels = Labels.of(folder, Fileset.model_validate(content))
    texts, notes = drawn(folder, labels, names=KINDS, render=False)
    assert any("NEW" in text for text in texts.values())
    assert not any("999" in text for text in texts.values())
    assert notes == ["toy_2018: not in the fileset; the run's labels are drawn"]
    assert LabelledRun(folder, labels).datasets["toy_2017"].luminosity != 999
    with pytest.raises(InputError, match=r"the fileset has no dataset of the run \(toy_2017, "):
        Labels.of(folder, Fileset({"other": fitted[1]["toy_2017"]}))


def newer(analysis, **changes):
    return type("Newer", (type(analysis),), changes)()


def test_labels_come_from_a_newer_analysis(folder, slim):
    mass, phi, significance = type(slim).histograms
    fit = type(slim).mass_fit
    peaks = tuple(peak.model_copy(update={"label": f"NEW {peak.name}"}) for peak in fit.peaks)
    now = newer(
        slim,
        __doc__="NEW title.",
        columns=(),
        selection=type(slim).selection,
        histograms=(
            mass,
            Histogram("phi_mass", phi.variable, phi.axis, resonances=(("NEW peak", 1.02),)),
            Histogram("flight_bs_significance", significance.variable, significance.axis, True),
        ),
        mass_fit=fit.model_copy(update={"peaks": peaks}),
    )
    labels = Labels.of(folder, analysis=now)
    texts, notes = drawn(folder, labels, names=KINDS, render=False)
    assert notes == []
    assert "N(NEW ds)" in texts["mass"]
    assert "NEW title" in texts["cutflow_data"]
    assert any("NEW peak" in text for text in texts.values())
    assert LabelledRun(folder, labels).analysis.histograms["flight_bs_significance"].log_y
    assert labels.histograms["mass"].label == mass.variable.label
    assert labels.histograms["mass"].unit == "GeV"


def test_an_analysis_with_other_histograms_is_refused(folder, slim):
    mass, phi, significance = type(slim).histograms
    now = newer(
        slim,
        histograms=(
            Histogram("mass", mass.variable, Axis(61, 1.65, 2.01)),
            Histogram("added", phi.variable, phi.axis),
            significance,
        ),
    )
    with pytest.raises(InputError) as raised:
        Labels.of(folder, analysis=now)
    added, gone, binned = str(raised.value).splitlines()
    assert "the histograms added of analysis" in added
    assert "are not in the run" in added
    assert "the histograms phi_mass of" in gone
    assert "are only in the run" in gone
    assert "the histograms mass of" in binned
    assert "have other bins in the run" in binned


def test_the_command_draws_newer_labels_and_leaves_the_run_as_it_is(
    folder, fitted, slim_file, bphcoffea, tmp_path
):
    content = fitted[1].model_dump(mode="json", exclude_defaults=True)
    for known in content.values():
        known["metadata"]["label"] = BAD
    (tmp_path / "new.json").write_text(json.dumps(content))
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    before.pop(folder.path / MANIFEST)  # also lists the figures afterwards
    arguments = ["plot", folder.path, "--fileset", tmp_path / "new.json", "--analysis", slim_file]
    arguments += ["--histogram", "phi_mass"]
    status, _, err = bphcoffea(*arguments)
    assert status == 0
    assert f"warning: dataset 'toy_2017', label: '{BAD}' is not valid mathtext" in "\n".join(err)
    assert before == {path: path.read_bytes() for path in before}
    mine = tmp_path / "mine.py"
    mine.write_text(
        textwrap.dedent("""
        from bphcoffea.analysis import Analysis, Candidates, Cut, Selection, Variable

        x = Variable("x", lambda events: events.Triplet.mass)

        class Mine(Analysis):
            candidates = Candidates("Triplet")
            selection = Selection(Cut("x", x > 0))
        """)
    )
    status, _, (line,) = bphcoffea("plot", folder.path, "--analysis", mine)
    assert status == 2
    assert "are only in the run; give the analysis that was run, or run again" in line


def test_figures_of_one_name_do_not_replace_each_other(folder, monkeypatch):
    monkeypatch.setattr(
        "bphcoffea.presentation.run_figures.jobs_of_run",
        lambda *_: [[(name, new_figure)] for name in ("mass", "Mass", "mass_2")],
    )
    names = ["mass.png", "Mass_2.png", "mass_2_2.png"]
    assert [path.name for path in plot_run(folder)] == names
    with_pdf = [path.name for path in plot_run(folder, FigureOptions(pdf=True))]
    assert with_pdf[::2] == names
    assert with_pdf[1::2] == [name.replace("png", "pdf") for name in names]
