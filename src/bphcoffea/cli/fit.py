"""``bphcoffea fit``: the mass fit of a run."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from bphcoffea import results, statistics
from bphcoffea.cli.arguments import Datasets, DerivedOutput, RunDirectory, suggesting
from bphcoffea.cli.status import note_missing_events
from bphcoffea.cli.terminal import console, new_table, say
from bphcoffea.errors import FitError
from bphcoffea.storage import UnwritableError


def fit(
    directory: RunDirectory,
    dataset: Datasets = None,
    by: Annotated[
        Literal["dataset", "era", "year"] | None,
        typer.Option(help="Also fit each dataset, era or year separately."),
    ] = None,
    output: DerivedOutput = None,
) -> None:
    """Fit the mass histogram of a run and write fit.json, or fit-GLOB.json for some datasets."""
    run = results.RunFolder(directory, output)
    with suggesting({statistics.StillBlindError: " (run --unblind)"}):
        record = statistics.fit_mass(run, dataset, by)
    _print_fit(record)
    name = f"fit-{results.file_name(','.join(dataset))}.json" if dataset else "fit.json"
    with suggesting({UnwritableError: " (--output)"}):
        say(f"fit: {run.write(name, record.as_json())}")
    note_missing_events(run)
    if not record.fit.valid:
        raise FitError(
            "\n".join(f"{directory}: the fit is not valid: {text}" for text in record.fit.problems)
        )


def _print_fit(record: statistics.FitRecord) -> None:
    """Print the parameters, goodness and notes of a fit."""
    headers = ("parameter", "value", "error", "unit")
    table = new_table(*headers, title="mass fit", numbers=slice(0))
    for name, parameter in record.parameters.items():
        error = "–" if parameter.error is None else f"{parameter.error:.4g}"
        error = "fixed" if parameter.fixed else error
        table.add_row(name, f"{parameter.value:.6g}", error, parameter.unit)
    console.print(table)
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
