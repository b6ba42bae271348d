"""``bphcoffea demo``: whole analyses on toys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import bphcoffea
from bphcoffea import execution, statistics
from bphcoffea.cli.arguments import Executor, ExecutorOption, Output
from bphcoffea.cli.fit import check_valid, yields_in_words
from bphcoffea.cli.limits import limit
from bphcoffea.cli.plot import plot
from bphcoffea.cli.summary import print_next, print_summary
from bphcoffea.cli.terminal import say
from bphcoffea.cli.toys import toys

if TYPE_CHECKING:
    from bphcoffea.results import RunFolder


def demo(
    output: Output = Path("demo"),
    events: Annotated[int, typer.Option(min=1, help="Number of toy events.")] = 200_000,
    executor: ExecutorOption = "futures",
    with_searches: Annotated[
        bool, typer.Option("--all", help="Also run the searches and set their limits.")
    ] = False,
) -> None:
    """Run, fit and plot toys of Ds → φπ, in about a minute; with --all, also all searches."""
    try:
        phi_pi = _run("ds_phipi", output, events, executor)
        fitted = statistics.fit_mass(phi_pi, by="year")
        phi_pi.write("fit.json", fitted.as_json())
        check_valid(fitted, phi_pi)
        plot(phi_pi.path)
        if with_searches:
            for name, search in statistics.searches().items():
                run = _run(name, output / name, events, executor)
                print_summary(run)
                settings: dict[str, Any] = {**search.toy_options}
                limit(run.path, phi_pi.path, **settings)
                plot(run.path)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note("to begin again, repeat the command")
        raise
    print_summary(phi_pi)
    say(f"fit: {yields_in_words(fitted)}")
    say(f"figure of the fit: {phi_pi.output / 'figures' / 'mass.png'}")
    print_next("report", phi_pi.path, "all of it in one page")


def _run(analysis: str, folder: Path, events: int, executor: Executor) -> RunFolder:
    """Make the toys of an analysis, and run it over them."""
    samples = folder / "toys"
    toys(analysis, samples, events, 1, overwrite=True)
    corrections = bphcoffea.load_corrections([samples / "corrections.toml"])
    options = execution.Options(executor, overwrite=True, checkpoints=execution.default_place())
    return execution.run(
        bphcoffea.load_analysis(analysis).corrected(corrections),
        bphcoffea.load_fileset(samples / "fileset.json"),
        folder / "run",
        options,
    )
