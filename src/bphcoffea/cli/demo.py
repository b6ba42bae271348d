"""The command that shows whole analyses on toys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bphcoffea.cli.arguments import Executor, ExecutorOption, Output
from bphcoffea.cli.limits import limit
from bphcoffea.cli.runs import fit, plot, run, toys
from bphcoffea.statistics import searches

app = typer.Typer()


@app.command()
def demo(
    output: Output = Path("demo"),
    events: Annotated[int, typer.Option(min=1, help="Toy events.")] = 200_000,
    executor: ExecutorOption = "futures",
    everything: Annotated[
        bool,
        typer.Option("--all", help="Also the searches and their limits."),
    ] = False,
) -> None:
    """Run, fit and plot toys of Ds → φπ, in about a minute; with --all, also all searches."""
    phi_pi = _run("ds_phipi", output, events, executor)
    fit(phi_pi, by="year")
    plot(phi_pi)
    if not everything:
        return
    for name, search in searches().items():
        found = _run(name, output / name, events, executor)
        limit(found, phi_pi, **search.toy_options)
        plot(found)


def _run(analysis: str, folder: Path, events: int, executor: Executor) -> Path:
    """Make the toys of an analysis and select them; gives the run's folder."""
    made, results = folder / "toys", folder / "run"
    toys(analysis, made, events, 1, overwrite=True)
    corrections = [made / "corrections.toml"]
    filesets = [made / "fileset.json"]
    run(analysis, filesets, results, corrections=corrections, executor=executor, overwrite=True)
    return results
