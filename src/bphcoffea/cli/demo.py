"""``bphcoffea demo``: whole analyses on toys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bphcoffea.cli.arguments import Executor, ExecutorOption, Output
from bphcoffea.cli.fit import fit
from bphcoffea.cli.limits import limit
from bphcoffea.cli.plot import plot
from bphcoffea.cli.run import run
from bphcoffea.cli.toys import toys
from bphcoffea.statistics import searches


def demo(
    output: Output = Path("demo"),
    events: Annotated[int, typer.Option(min=1, help="Number of toy events.")] = 200_000,
    executor: ExecutorOption = "futures",
    with_searches: Annotated[
        bool, typer.Option("--all", help="Also run the searches and set their limits.")
    ] = False,
) -> None:
    """Run, fit and plot toys of Ds → φπ, in about a minute; with --all, also all searches."""
    phi_pi = _run("ds_phipi", output, events, executor)
    fit(phi_pi, by="year")
    plot(phi_pi)
    if not with_searches:
        return
    for name, search in searches().items():
        directory = _run(name, output / name, events, executor)
        limit(directory, phi_pi, **search.toy_options)
        plot(directory)


def _run(analysis: str, folder: Path, events: int, executor: Executor) -> Path:
    """Make the toys of an analysis, run it over them and return the run's folder."""
    samples, results = folder / "toys", folder / "run"
    toys(analysis, samples, events, 1, overwrite=True)
    corrections = [samples / "corrections.toml"]
    filesets = [str(samples / "fileset.json")]
    run(analysis, filesets, results, corrections=corrections, executor=executor, overwrite=True)
    return results
