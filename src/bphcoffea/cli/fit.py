"""``bphcoffea fit``: the mass fit of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from bphcoffea.cli.arguments import Datasets, DerivedOutput, RunDirectory, suggesting
from bphcoffea.cli.status import note_missing_events
from bphcoffea.cli.terminal import console, new_table, say
from bphcoffea.errors import FitError
from bphcoffea.storage.disks import UnwritableError


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
    from bphcoffea.results import RunFolder
    from bphcoffea.results.folder import file_name
    from bphcoffea.statistics.blindness import StillBlindError
    from bphcoffea.statistics.run_fit import fit_run

    run = RunFolder(directory, output)
    with suggesting({StillBlindError: " (run --unblind)"}):
        result = fit_run(run, dataset, by)
    _print_fit(result)
    name = f"fit-{file_name(','.join(dataset))}.json" if dataset else "fit.json"
    with suggesting({UnwritableError: " (--output)"}):
        say(f"fit: {run.write(name, result)}")
    note_missing_events(run)
    if not result["valid"]:
        raise FitError(
            "\n".join(f"{directory}: the fit is not valid: {text}" for text in result["problems"])
        )


def _print_fit(result: Mapping[str, Any]) -> None:
    """Print the parameters, goodness and notes of a fit."""
    headers = ("parameter", "value", "error", "unit")
    table = new_table(*headers, title="mass fit", numbers=slice(0))
    for name, parameter in result["parameters"].items():
        error = "fixed" if parameter["fixed"] else f"{parameter['error']:.4g}"
        table.add_row(name, f"{parameter['value']:.6g}", error, parameter.get("unit") or "")
    console.print(table)
    goodness = result["goodness"]
    if goodness["p_value"] is not None:
        chi2 = f"{goodness['chi2']:.1f}/{goodness['ndof']}"
        say(f"χ²/ndof = {chi2}, p-value {goodness['p_value']:.2g}")
    for note in result["notes"]:
        say(f"note: {note}")
    for peak, simulation in result.get("simulation", {}).items():
        names = ", ".join(simulation["datasets"])
        for text in simulation["problems"]:
            say(f"note: simulation of {peak} ({names}) is not fitted: {text}")
    for text in result.get("alternative", {}).get("problems", ()):
        say(f"note: the alternative model is not valid: {text}")
