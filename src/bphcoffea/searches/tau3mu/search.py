"""Search for τ → 3μ, with the interface of `bphcoffea.statistics.search`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from bphcoffea.errors import FitError
from bphcoffea.results import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from bphcoffea.searches.tau3mu.limit_record import BranchingLimit

title: Final = "τ → 3μ"
#: Options that match the toys: a quarter of the Ds from b hadrons, no trigger on three muons.
toy_options: Final[Mapping[str, Any]] = {"f_b": 0.25, "trimuon_only": 1.0}
options: Final[Mapping[str, Any]] = {
    "f_b": Annotated[
        float | None,
        typer.Option(
            help="Fraction of the Ds from b hadrons; without it no τ from b hadrons count.",
        ),
    ],
    "f_b_error": Annotated[
        float | None, typer.Option(help="Uncertainty of --f-b; 3% of it by default.")
    ],
    "level": Annotated[
        list[float] | None,
        typer.Option(
            metavar="CL",
            help="Confidence level; may be repeated. 0.90 and 0.95 by default.",
        ),
    ],
    "trimuon_only": Annotated[
        float | None,
        typer.Option(
            metavar="FACTOR",
            help="Events of all triggers over those of the required one; 1.28 ± 0.03 by default, "
            "1 if all triggers are required.",
        ),
    ],
}


def limit(
    run: RunFolder,
    normalisation: RunFolder,
    options: Mapping[str, Any],
    *,
    unblind: bool,
    same_data: bool,
    progress: Callable[[int, int], None],
) -> BranchingLimit:
    """Set limits on B(τ → 3μ); see :meth:`bphcoffea.statistics.search.Search.limit`."""
    from dataclasses import replace

    from bphcoffea.searches.tau3mu.branching_limit import LEVELS, limit_branching
    from bphcoffea.searches.tau3mu.rates import STANDARD, Factor

    corrections = STANDARD
    if "trimuon_only" in options:
        factor = options["trimuon_only"]
        if not factor >= 1:
            raise FitError(f"--trimuon-only {factor:g}: a factor of 1 or more")
        corrections = replace(corrections, trimuon=Factor(factor, 0.0, "given"))
    return limit_branching(
        run,
        normalisation,
        options.get("f_b"),
        options.get("f_b_error"),
        levels=options.get("level", LEVELS),
        corrections=corrections,
        unblind=unblind,
        same_data=same_data,
        progress=progress,
    )


def report(limit: BranchingLimit) -> Iterator[str | Table]:
    """Yield the lines and tables that the command line shows of a limit."""
    from bphcoffea.searches.tau3mu.report import report

    yield from report(limit)


def export(run: RunFolder, to: Literal["combine", "pyhf"]) -> list[Path]:
    """Write a datacard or workspace for each category, each year and all together."""
    from bphcoffea.searches.tau3mu.export import export_limit

    return export_limit(run, to)


def figures(run: RunFolder, *, unblind: bool) -> Iterator[tuple[str, Figure]]:
    """Yield the names and figures of the limit."""
    from bphcoffea.searches.tau3mu.figures import figures_of_limit
    from bphcoffea.searches.tau3mu.limit_record import BranchingLimit

    yield from figures_of_limit(run, BranchingLimit.of_run(run), unblind=unblind)
