"""The commands that build and check template models, with the example of the documentation."""

import json
import re
import shutil

import pyhf
import pytest
from conftest import ROOT
from narrow import WIDTH, too_wide

from bphcoffea.statistics.pyhf_backend import schemas
from bphcoffea.statistics.templates import axes_of
from bphcoffea.storage import replacing

DOCS = ROOT / "docs" / "templates.md"


@pytest.fixture
def model(template_folder, tmp_path):
    """The model file of the documentation, beside the runs that it names."""
    (text,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    for year in ("2022", "2023"):
        shutil.copytree(template_folder / year / "results", tmp_path / f"results{year}")
    path = tmp_path / "model.toml"
    path.write_text(text)
    return path


def test_the_example_of_the_documentation(model, bphcoffea):
    ended = bphcoffea("template", "build", model)
    assert ended.status == 0, ended.err
    assert "norm_top_results2022" in ended.out
    assert "blind: the expectation takes the place of data" in ended.out
    folder = model.with_suffix("")
    spec = json.loads((folder / "workspace.json").read_text())
    assert spec["measurements"][0]["name"] == "blinded"
    with schemas():
        parameters = pyhf.Workspace(spec).model().config
    assert {"scale_results2022", "scale_results2023", "tilt", "fakes"} <= set(parameters.par_order)
    assert parameters.channel_nbins == {
        **dict.fromkeys(("sr_results2022", "sr_results2023"), 5),
        **dict.fromkeys(("cr_results2022", "cr_results2023"), 2),
    }
    record = json.loads((folder / "preparation.json").read_text())
    assert record["processes"]["top"] == ["top_mc"]
    assert record["channels"]["sr_results2022"]["hidden_bins"] == [0, 1, 2, 3, 4]
    done = {(s["variation"], s["done"]) for s in record["steps"] if s["process"] == "signal"}
    assert ("smear", "has one side; the other one is its mirror image") in done
    assert ("smear", "relative differences are averaged over 3 bins") in done
    assert ["cr_results2023", "w_jets", "factors", "shapes"] in record["nuisances"]["tilt"]
    assert (folder / "combine" / "shapes.root").is_file()
    # figures of fits have the variable and its edges
    axis = axes_of(folder)["sr_results2022"]
    assert (axis.label, len(axis.edges)) == (record["channels"]["sr_results2022"]["variable"], 6)
    assert axes_of(folder.parent) == {}
    # the findings that were recorded are those of the model file
    built, fresh = (bphcoffea("template", "check", path) for path in (folder, model))
    assert built.status == fresh.status == 0
    assert built.out == fresh.out
    assert "one-sided: sr_results2022 top smear: has the side up only" in built.out


def test_a_declared_model_is_built_in_its_run(model, bphcoffea, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    run = model.parent / "results2022"
    ended = bphcoffea("template", "build", run)
    assert ended.status == 0, ended.err
    assert too_wide(ended.out) == []
    workspace = json.loads((run / "templates" / "model" / "workspace.json").read_text())
    assert [channel["name"] for channel in workspace["channels"]] == ["sr", "cr"]
    unblinded = bphcoffea("template", "build", run, "-o", model.parent / "open", "--unblind")
    assert unblinded.status == 0, unblinded.err
    opened = json.loads((model.parent / "open" / "workspace.json").read_text())
    assert opened["measurements"][0]["name"] == "observed"
    assert opened["channels"] == workspace["channels"]
    assert opened["observations"][1] == workspace["observations"][1]
    assert all(count % 1 == 0 for count in opened["observations"][0]["data"])
    findings = bphcoffea("template", "check", run).out
    assert "findings" in findings
    assert too_wide(findings) == []


@pytest.mark.parametrize("where", ["file", "run"])
def test_results_of_an_earlier_model_are_removed(model, bphcoffea, where):
    run = model.parent / "results2022"
    place = {"file": model, "run": run}[where]
    folder = {"file": model.with_suffix(""), "run": run / "templates" / "model"}[where]
    bphcoffea("template", "build", place)
    with replacing(folder, "template-fit") as temporary:
        (temporary / "fit.json").write_text("{}")
    (folder / "mine.txt").write_text("kept")
    assert (folder / "fit.json").is_file()
    assert bphcoffea("template", "build", place).status == 0
    assert not (folder / "fit.json").exists()
    assert (folder / "mine.txt").is_file()
    assert (folder / "workspace.json").is_file()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('histogram = "met"', ["runs: must list the folders"]),
        ('runs = "x"', ["histogram: is missing", "regions: is missing"]),
        (
            'runs = "x"\nhistogram = "met"\nregions = ["a", "a"]\nsmooth = 1',
            ["smooth: unknown key"],
        ),
        ('runs = "x"\nhistogram = "met"\nregions = ["a", "a"]', ["the region 'a' is listed twice"]),
        (
            'runs = "x"\nhistogram = "met"\nregions = "a"\n[[normalisations]]\nname="n"\nsize=-1',
            ["normalisations.0: size -1.0 is impossible"],
        ),
        (
            'runs = "x"\nhistogram = "met"\nregions = "a"\n[[free]]\nname = "mu"',
            ["two parameters are named 'mu'"],
        ),
        (
            'runs = "x"\nhistogram = "met"\nregions = "a"\nrebin = [3, 1]',
            ["rebin: edges must be at least two and ascend"],
        ),
        ('runs = "x"\nhistogram = "met"\nregions = "a"\nname = "a/b"', ["name: String should"]),
        ('runs = "nowhere"\nhistogram = "met"\nregions = "a"', ["no finished run here"]),
        ("runs = ", ["not a TOML file"]),
    ],
)
def test_faults_of_a_model_file_have_a_line_each(tmp_path, bphcoffea, text, lines):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    ended = bphcoffea("template", "build", path)
    assert ended.status == 2
    assert len(ended.errors) == len(lines)
    for found, expected in zip(ended.errors, lines, strict=True):
        assert expected in found
        assert str(tmp_path) in found


def test_what_is_no_model(template_folder, tmp_path, bphcoffea):
    assert "no such model file" in bphcoffea("template", "build", tmp_path / "x.toml").errors[0]
    ended = bphcoffea("template", "check", tmp_path)
    assert ended.status == 2
    assert "neither a run, nor a template model" in ended.errors[0]
    run = template_folder / "2022" / "results"
    ended = bphcoffea("template", "build", run, "--name", "other", "-o", tmp_path / "out")
    assert ended.errors == [f"bphcoffea: error: {run}: no template fit 'other'; there are: model"]
