"""Names that notebooks import from the package itself."""

import subprocess
import sys

import pytest

import bphcoffea

NAMES = {
    *("Analysis", "Fileset", "Options", "RunFolder"),
    *("InputError", "DeclarationError", "FilesetError", "CorrectionsError", "FacilityError"),
    *("RunError", "FitError"),
    *(
        "blinded",
        "compare_runs",
        "fit_mass",
        "load_analysis",
        "load_classifier",
        "load_corrections",
    ),
    *("load_facility", "load_fileset", "plot_run", "run"),
}


def test_public_names_are_those_of_the_list():
    assert set(bphcoffea.__all__) == NAMES
    for name in NAMES:
        assert getattr(bphcoffea, name).__module__.startswith("bphcoffea."), name
        assert getattr(bphcoffea, name).__doc__, name


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("bphcoffea", "numpy"),
        # what --help shows, among others the options of the searches
        ("bphcoffea.cli", "awkward"),
        # processes that draw start before
        ("bphcoffea.presentation.plotting", "matplotlib"),
        ("bphcoffea.analysis.declaration", "coffea.lookup_tools"),
    ],
)
def test_importing_loads_nothing_that_is_heavy_and_seldom_needed(module, heavy):
    code = f"import sys, {module}; print({heavy!r} in sys.modules, {module!r} in sys.modules)"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.split() == ["False", "True"]


def test_names_are_imported_in_any_order():
    # a function and the module that defines it must not take each other's place
    code = "import bphcoffea.execution.checkpoints; from bphcoffea import run; print(callable(run))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "True"
