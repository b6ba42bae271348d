"""``bphcoffea report``: a run, or several side by side, as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bphcoffea import report as pages
from bphcoffea import results, statistics, storage
from bphcoffea.cli.arguments import suggesting
from bphcoffea.cli.status import note_missing_events
from bphcoffea.cli.terminal import say
from bphcoffea.progress import progress


def report(
    directories: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Folders of runs; several are compared."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The page; by default DIR/report.html, or ./report.html for several runs.",
        ),
    ] = None,
    unblind: Annotated[
        bool,
        typer.Option("--unblind", help="Also show data and limits that the analysis blinds."),
    ] = False,
) -> None:
    """Write what a run did and found into one HTML page, or compare several runs."""
    runs = [results.RunFolder(directory) for directory in directories]
    hints = {
        statistics.StillBlindError: " (run --unblind)",
        storage.OccupiedError: " (--output)",
        storage.UnwritableError: " (--output)",
    }
    with suggesting(hints), progress(None, "Drawing", "histogram") as bar:
        path = pages.write_report(runs, output, unblind=unblind, progress=bar.update)
    say(f"report: {path}")
    for run in runs:
        note_missing_events(run)
