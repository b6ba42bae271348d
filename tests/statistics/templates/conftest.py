"""Runs of made events that the tests of templates share."""

import pytest
from template_runs import make_run

from bphcoffea.results import RunFolder


@pytest.fixture(scope="session")
def template_folder(shared_folders):
    """Folder with the runs of two eras."""

    def make(folder):
        make_run(folder / "2022", "2022A", 1, mixture=1.2)
        make_run(folder / "2023", "2023B", 2)

    return shared_folders.get("template_runs", make)


@pytest.fixture
def toy_run(template_folder):
    """Run of the first era."""
    return RunFolder(template_folder / "2022" / "results")


@pytest.fixture
def both_runs(toy_run, template_folder):
    """Runs of both eras."""
    return [toy_run, RunFolder(template_folder / "2023" / "results")]
