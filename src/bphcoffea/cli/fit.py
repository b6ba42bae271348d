"""``bphcoffea fit``: the mass fit of a run."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import typer

from bphcoffea import analysis, results, statistics
from bphcoffea.cli.arguments import Datasets, DerivedOutput, RunDirectory, suggesting
from bphcoffea.cli.status import note_missing_events
from bphcoffea.cli.terminal import new_table, say, show_table
from bphcoffea.errors import FitError
from bphcoffea.rounding import rounded, with_error
from bphcoffea.storage import UnwritableError

_PEAKS, _BACKGROUNDS = get_args(analysis.PeakShape), get_args(analysis.BackgroundShape)


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def fit(
    directory: RunDirectory,
    dataset: Datasets = None,
    by: Annotated[
        Literal["dataset", "era", "year", "category"] | None,
        typer.Option(help="Also fit each dataset, era, year, or category or region separately."),
    ] = None,
    peak: Annotated[
        analysis.PeakShape | None,
        typer.Option(
            metavar="SHAPE",
            help=f"Function of the peaks, by default that of the analysis: {_listed(_PEAKS)}.",
        ),
    ] = None,
    background: Annotated[
        analysis.BackgroundShape | None,
        typer.Option(
            metavar="SHAPE",
            help=f"Function of the background, likewise: {_listed(_BACKGROUNDS)}.",
        ),
    ] = None,
    backend: Annotated[
        Literal["builtin", "zfit"],
        typer.Option(help="What evaluates the model: this package, or zfit if it is installed."),
    ] = "builtin",
    sweights: Annotated[
        bool,
        typer.Option("--sweights", help="Also write the candidates with their sWeights."),
    ] = False,
    output: DerivedOutput = None,
) -> None:
    """Fit the mass histogram of a run and write fit.json, or fit-GLOB.json for some datasets."""
    run = results.RunFolder(directory, output)
    with suggesting({statistics.StillBlindError: " (run --unblind)"}):
        record = statistics.fit_mass(
            run, dataset, by, shape=peak, background=background, backend=backend
        )
    _print_fit(record)
    of_datasets = f"-{results.file_name(','.join(dataset))}" if dataset else ""
    with suggesting({UnwritableError: " (--output)"}):
        say(f"fit: {run.write(f'fit{of_datasets}.json', record.as_json())}")
        for path in statistics.write_sweights(
            run, record if sweights and record.fit.valid else None, f"sweights{of_datasets}"
        ):
            say(f"sWeights: {path}")
    note_missing_events(run)
    check_valid(record, run)


def check_valid(record: statistics.FitRecord, run: results.RunFolder) -> None:
    """Raise a FitError that says why a fit must not be used, unless it is valid."""
    FitError.raise_for(f"{run.path}: the fit is not valid: {text}" for text in record.fit.problems)


def yields_in_words(record: statistics.FitRecord) -> str:
    """Return the fitted yields and the goodness of a fit in one line."""
    yields = [
        f"{name} = {with_error(parameter.value, parameter.error or 0.0)}"
        for name, parameter in record.parameters.items()
        if name.startswith("n_")
    ]
    if record.fit.p_value is not None:
        yields.append(f"p-value {record.fit.p_value:.2g}")
    return ", ".join(yields)


def _print_fit(record: statistics.FitRecord) -> None:
    """Print the parameters, goodness and notes of a fit."""
    headers = ("parameter", "value", "error", "unit")
    table = new_table(*headers, title="mass fit", numbers=slice(0))
    for name, parameter in record.parameters.items():
        value, error = f"{parameter.value:.6g}", "fixed" if parameter.fixed else "–"
        if parameter.error is not None:
            value, error = rounded(parameter.value, parameter.error)
        table.add_row(name, value, error, parameter.unit)
    show_table(table)
    fit = record.fit
    if fit.p_value is not None:
        say(f"χ²/ndof = {fit.chi2:.1f}/{fit.ndof}, p-value {fit.p_value:.2g}")
    for note in fit.notes:
        say(f"note: {note}")
    for peak, simulation in record.nominal.simulation.items():
        names = ", ".join(simulation.datasets)
        for text in simulation.fit.problems:
            say(f"note: simulation of {peak} ({names}) is not fitted: {text}")
    for text in record.alternative.fit.problems if record.alternative else ():
        say(f"note: the alternative model is not valid: {text}")
