"""``bphcoffea template`` on a small workspace: what is printed, and the files beside it."""

import json

import matplotlib as mpl
import pytest
from matplotlib.image import imread
from narrow import WIDTH, too_wide
from two_regions import two_regions
from typer.testing import CliRunner

from bphcoffea import cli
from bphcoffea.errors import FitError


def run(*arguments):
    words = ["template", *map(str, arguments)]
    result = CliRunner().invoke(cli.app, words, env={"COLUMNS": str(WIDTH)})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert too_wide(result.stdout) == []
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("templates")
    (path / "workspace.json").write_text(json.dumps(two_regions()))
    return path


def files(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_fit(folder):
    text = run("fit", folder, "--minos")
    assert "MINOS" in text
    assert "signal_region" in text
    assert {"fit.json", "yields.json", "yields.tex"} <= files(folder)
    assert {f"figures/{name}.png" for name in ("pulls", "pulls-bins", "correlations")} <= files(
        folder
    )
    assert "figures/post-fit-signal_region.png" in files(folder)
    content = json.loads((folder / "fit.json").read_text())
    assert content["asimov"] is False
    # something is drawn
    for path in (folder / "figures").iterdir():
        assert imread(path)[..., :3].std() > 0.05, path


def test_others(folder):
    assert "observed" in run("significance", folder)
    assert "expected +1σ" in run("limit", folder)
    assert "95%" in run("scan", folder, "--points", 7)
    assert "tagging" in run("rank", folder)
    assert "χ²/ndof" in run("gof", folder)
    names = ("significance", "limit", "scan", "ranking", "goodness")
    assert {f"{name}.json" for name in names} <= files(folder)
    assert {f"figures/{name}.png" for name in ("cls", "scan", "ranking")} <= files(folder)
    assert mpl.rcParams["font.family"] != ["sans-serif", "DejaVu Sans"]


def test_another_file_of_a_folder(tmp_path):
    path = tmp_path / "point_1.json"
    path.write_text(json.dumps(two_regions()))
    run("significance", path)
    assert {"point_1.json", "point_1-significance.json", "written.json"} <= files(tmp_path)


def test_blinded(tmp_path):
    spec = two_regions()
    spec["measurements"][0]["name"] = "blinded"
    (tmp_path / "workspace.json").write_text(json.dumps(spec))
    text = run("fit", tmp_path)
    assert "blinded" in text
    assert "hidden" in text
    assert "observed" not in run("limit", tmp_path)
    written = (tmp_path / "yields.json").read_text()
    assert json.loads(written)["post-fit"]["channels"][0]["data"] is None
    with pytest.raises(FitError, match="blinded"):
        run("gof", tmp_path)
