"""A small run to report on, and a browser."""

import pytest
import services
from services import why_no_chromium
from small_runs import small_copy

from bphcoffea.report import write_report
from bphcoffea.results import RunFolder
from bphcoffea.statistics import fit_mass


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
