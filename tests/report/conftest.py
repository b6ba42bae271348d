"""Small runs to report on: with few histograms, because each figure takes half a second."""

import json
import shutil

import pytest
import services
from services import why_no_chromium

from bphcoffea.report import write_report
from bphcoffea.results import RunFolder
from bphcoffea.statistics import fit_mass

#: Histograms of these runs.
KEPT = ("mass", "nminus1_track_pt")


def edited(folder, name, change):
    """Change the content of a JSON file."""
    path = folder / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def small_copy(run, folder, kept=KEPT):
    """Copy a run with some of its histograms."""
    ignored = shutil.ignore_patterns("candidates", "histograms.root", "figures", "*.html")
    shutil.copytree(run.path, folder, ignore=ignored)

    def keep(content):
        for name in set(content) - set(kept):
            del content[name]

    edited(folder, "histograms.json", keep)
    edited(folder, "analysis.json", lambda content: keep(content["histograms"]))
    return RunFolder(folder)


@pytest.fixture(scope="session")
def fitted_run(shared_folders, ds_phipi_run):
    """A fitted run, to be read alone; it has a report."""

    def make(folder):
        run = small_copy(ds_phipi_run, folder)
        run.write("fit.json", fit_mass(run).as_json())
        write_report([run])

    return RunFolder(shared_folders.get("reported_run", make))


@pytest.fixture(scope="module")
def tab():
    """A tab of Chromium."""
    if why_not := why_no_chromium():
        pytest.skip(why_not)
    with services.chromium() as tab:
        yield tab
