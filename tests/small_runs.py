"""Copies of runs with few histograms, because each figure takes half a second."""

import json
import shutil

from bphcoffea.results import RunFolder

#: Histograms of the copies.
KEPT = ("mass", "nminus1_track_pt")


def edited(folder, name, change):
    """Change the content of a JSON file."""
    path = folder / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def small_copy(run, folder, kept=KEPT, without=("candidates",)):
    """Copy a run with some of its histograms."""
    ignored = shutil.ignore_patterns(*without, "histograms.root", "figures", "*.html")
    shutil.copytree(run.path, folder, ignore=ignored)
    leave_few_histograms(folder, kept)
    return RunFolder(folder)


def leave_few_histograms(folder, kept=KEPT):
    """Remove the other histograms of a run."""

    def keep(content):
        for name in set(content) - set(kept):
            del content[name]

    edited(folder, "histograms.json", keep)
    edited(folder, "analysis.json", lambda content: keep(content["histograms"]))
