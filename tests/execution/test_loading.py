"""Analyses are loaded as their files are now."""

import os
import sys

import pytest

from bphcoffea.execution import load_analysis

ANALYSIS = """
from bphcoffea.analysis import Analysis, Cut, Selection, Variable
from bphcoffea.inputs import TwoMuTrackSchema
from bounds import LEAST

class Mine(Analysis):
    schema = TwoMuTrackSchema
    selection = Selection(Cut("charge", Variable("charge", lambda e: e.Triplet.charge) > LEAST + 1))
"""


def loaded(folder):
    """The requirements of the analysis."""
    (cut,) = load_analysis(str(folder / "mine.py")).selection
    return cut.requirements


@pytest.mark.parametrize(("edited", "bound"), [("mine.py", 3), ("bounds.py", 8)])
def test_an_edit_that_keeps_time_and_size_counts(edited, bound, tmp_path, monkeypatch):
    """As Python tells edited modules by these, whose time is rounded to seconds."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "mine.py").write_text(ANALYSIS)
    (tmp_path / "bounds.py").write_text("LEAST = 1\n")
    assert str(*loaded(tmp_path)) == "charge > 2"
    file = tmp_path / edited
    times = file.stat()
    file.write_text(file.read_text().replace("LEAST + 1", "LEAST + 2").replace("= 1", "= 7"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert str(*loaded(tmp_path)) == f"charge > {bound}"
