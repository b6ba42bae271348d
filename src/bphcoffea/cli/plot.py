"""``bphcoffea plot``: the figures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bphcoffea import datasets, presentation, results, statistics
from bphcoffea.cli.arguments import DerivedOutput, RunDirectory, load_named, suggesting
from bphcoffea.cli.status import note_missing_events
from bphcoffea.cli.terminal import say
from bphcoffea.progress import progress
from bphcoffea.storage import UnwritableError


def plot(
    directory: RunDirectory,
    shapes: Annotated[
        bool,
        typer.Option("--shapes", help="Scale simulation to the area of the data."),
    ] = False,
    unblind: Annotated[
        bool, typer.Option("--unblind", help="Also draw the data that the analysis blinds.")
    ] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also write each figure as PDF.")] = False,
    fileset: Annotated[
        Path | None,
        typer.Option(metavar="FILESET", help="Take labels of datasets from this newer fileset."),
    ] = None,
    analysis: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Take title, labels, units, log_y and resonances from this newer analysis.",
        ),
    ] = None,
    output: DerivedOutput = None,
) -> None:
    """Draw mass with fit, cutflow, spectra and N-1 distributions of a run into DIR/figures."""
    run = results.RunFolder(directory, output)
    labels = presentation.Labels.of(
        run,
        datasets.load_fileset(fileset) if fileset else None,
        load_named(analysis) if analysis else None,
    )
    hints = {statistics.StillBlindError: " (run --unblind)", UnwritableError: " (--output)"}
    with suggesting(hints), progress(None, "Drawing", "histogram") as bar:
        figures = presentation.plot_run(
            run, shapes=shapes, unblind=unblind, labels=labels, pdf=pdf, progress=bar.update
        )
    say(f"{len(figures)} figures in {run.output / 'figures'}")
    note_missing_events(run)
