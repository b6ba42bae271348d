"""The page of a report: one HTML file that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from bphcoffea import __version__
from bphcoffea.report.comparison import compare
from bphcoffea.report.figures import with_shared_parts
from bphcoffea.report.sections import RunReport
from bphcoffea.results import RunFolder
from bphcoffea.statistics import check_unblinding
from bphcoffea.storage import OccupiedError, write_file

#: Name of the file in the folder of a run, and its owner in ``written.json``.
FILE = "report.html"
#: Text by which a file is recognised as a report, so that it may be replaced.
MARK = '<meta name="generator" content="bphcoffea'


def write_report(
    runs: Sequence[RunFolder],
    path: Path | None = None,
    *,
    unblind: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Path:
    """Write a report of a run, or a comparison of several runs, into one HTML file.

    The page shows whether each run is complete, its results, its figures and how it was made. It
    loads nothing from elsewhere.

    Parameters
    ----------
    runs
        Folders of finished runs; differences are relative to the first one.
    path
        The file; by default ``report.html`` in the folder of the run, or in the current folder if
        there are several runs.
    unblind
        Also show the data and limits that the analysis declares blind; the runs must have kept
        them.
    progress
        Called with the number of drawn histograms, and of all histograms.

    Returns
    -------
    The path of the file.

    Raises
    ------
    StillBlindError
        If `unblind` is set and a run left out data.
    OccupiedError
        If there is a file at `path` that is not a report.
    UnwritableError
        If the file cannot be written.
    """
    for run in runs:
        if unblind:
            check_unblinding(run)
    if path is None and len(runs) > 1:
        path = Path(FILE)
    if path is not None and path.exists() and not _is_report(path):
        raise OccupiedError(f"{path}: exists already and is not a report; choose another file")
    page = render(runs, unblind=unblind, progress=progress)
    # names of files may be no UTF-8
    content = page.encode(errors="backslashreplace")
    if path is None:
        with runs[0].replacing(FILE) as temporary:
            (temporary / FILE).write_bytes(content)
        return runs[0].output / FILE
    return write_file(path, content)


def render(
    runs: Sequence[RunFolder],
    *,
    unblind: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> str:
    """Return the page; see :func:`write_report`."""
    several = len(runs) > 1
    reports = [
        RunReport(run, f"r{number}-" if several else "", unblind=unblind, progress=progress)
        for number, run in enumerate(runs, start=1)
    ]
    names = short_names([run.path for run in runs])
    environment = Environment(
        loader=PackageLoader("bphcoffea.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    page = environment.get_template("report.html").render(
        reports=list(zip(names, reports, strict=True)),
        comparison=compare(reports, names) if several else None,
        version=__version__,
    )
    return with_shared_parts(page)


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return the names of some folders, with as many parents as are needed to tell them apart.

    >>> short_names([Path("/a/old/run"), Path("/a/new/run")])
    ['old/run', 'new/run']
    """
    parts = [Path(os.path.abspath(path)).parts for path in paths]  # noqa: PTH100 - links stay
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-length:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{number}: {path}" for number, path in enumerate(paths, start=1)]


def _is_report(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return MARK in file.read(2000)
    except (OSError, ValueError):
        return False
