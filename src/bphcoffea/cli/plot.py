"""``bphcoffea plot``: the figures of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bphcoffea import datasets, presentation, results, statistics
from bphcoffea.cli.arguments import DerivedOutput, RunDirectory, load_named, suggesting
from bphcoffea.cli.completion import (
    complete_analysis,
    complete_category,
    complete_dataset,
    complete_histogram,
)
from bphcoffea.cli.status import note_missing_events
from bphcoffea.cli.terminal import counted, say
from bphcoffea.errors import InputError
from bphcoffea.progress import progress
from bphcoffea.storage import UnwritableError

_CHOICE, _LOOK, _KINDS = "What is drawn", "Look", "Kinds of figures"


def _globs(name: str, text: str, complete: Callable[..., Any]) -> Any:
    return typer.Option(
        name, metavar="GLOB", help=text, rich_help_panel=_CHOICE, autocompletion=complete
    )


def plot(
    directory: RunDirectory,
    histogram: Annotated[
        list[str] | None,
        _globs("--histogram", "Only histograms that match; may be repeated.", complete_histogram),
    ] = None,
    category: Annotated[
        list[str] | None,
        _globs(
            "--category",
            "Only categories or regions that match; may be repeated.",
            complete_category,
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        _globs("--dataset", "Only datasets that match; may be repeated.", complete_dataset),
    ] = None,
    unblind: Annotated[
        bool,
        typer.Option(
            "--unblind",
            help="Also draw the data that the analysis blinds.",
            rich_help_panel=_CHOICE,
        ),
    ] = False,
    shapes: Annotated[
        bool,
        typer.Option(
            "--shapes", help="Scale simulation to the area of the data.", rich_help_panel=_KINDS
        ),
    ] = False,
    variation: Annotated[
        str | None,
        typer.Option(
            metavar="GLOB",
            help="Draw only these variations, each beside the nominal simulation, with the ratio.",
            rich_help_panel=_KINDS,
        ),
    ] = None,
    breakdown: Annotated[
        bool,
        typer.Option("--breakdown", help="Also draw the band by source.", rich_help_panel=_KINDS),
    ] = False,
    efficiency: Annotated[
        bool,
        typer.Option(
            "--efficiency",
            help="Also draw the fraction of the events in each category or region.",
            rich_help_panel=_KINDS,
        ),
    ] = False,
    scale_signal: Annotated[
        float | None,
        typer.Option(
            metavar="FACTOR",
            help="Draw simulated signals as lines, multiplied by this.",
            rich_help_panel=_KINDS,
        ),
    ] = None,
    log: Annotated[
        bool | None,
        typer.Option(
            "--log/--linear",
            help="Scale of counts; by default that of each histogram.",
            rich_help_panel=_LOOK,
        ),
    ] = None,
    experiment: Annotated[
        Literal["CMS", "ATLAS", "LHCb", "FCC", "none"],
        typer.Option(help="Name above the figures, instead of the samples.", rich_help_panel=_LOOK),
    ] = "none",
    label: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Status behind the experiment, such as Preliminary.",
            rich_help_panel=_LOOK,
        ),
    ] = "",
    style: Annotated[
        Path | None,
        typer.Option(
            metavar="TOML", help="Groups, labels and colours of processes.", rich_help_panel=_LOOK
        ),
    ] = None,
    fileset: Annotated[
        Path | None,
        typer.Option(
            metavar="FILESET",
            help="Take labels of datasets from this newer fileset.",
            rich_help_panel=_LOOK,
        ),
    ] = None,
    analysis: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Take title, labels, units, log_y and resonances from this newer analysis.",
            autocompletion=complete_analysis,
            rich_help_panel=_LOOK,
        ),
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also write each figure as PDF.")] = False,
    output: DerivedOutput = None,
) -> None:
    """Draw mass with fit, cutflow, spectra and N-1 distributions of a run into DIR/figures.

    The figures of an earlier call are replaced; other files stay.
    """
    if label and experiment == "none":
        raise InputError("--label: give the experiment that it stands behind as well: --experiment")
    if scale_signal is not None and not scale_signal > 0:
        raise InputError(f"--scale-signal: {scale_signal:g} is not above 0")
    run = results.RunFolder(directory, output)
    labels = presentation.Labels.of(
        run,
        datasets.load_fileset(fileset) if fileset else None,
        load_named(analysis) if analysis else None,
    )
    options = presentation.FigureOptions(
        shapes=shapes,
        unblind=unblind,
        pdf=pdf,
        histograms=tuple(histogram or ()),
        categories=tuple(category or ()),
        datasets=tuple(dataset or ()),
        log_y=log,
        experiment="" if experiment == "none" else experiment,
        status=label,
        style=presentation.load_style(style) if style else presentation.FigureStyle(),
        scale_signal=scale_signal,
        breakdown=breakdown,
        variation=variation,
        efficiency=efficiency,
    )
    hints = {statistics.StillBlindError: " (run --unblind)", UnwritableError: " (--output)"}
    with suggesting(hints), progress(None, "Drawing", "figure") as bar:
        figures = presentation.plot_run(run, options, labels=labels, progress=bar.update)
    say(f"{counted(len(figures), 'figure')} in {run.output / 'figures'}")
    note_missing_events(run)
