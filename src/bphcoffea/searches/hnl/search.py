"""Search for a heavy neutral lepton, with the interface of `bphcoffea.statistics.search`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from bphcoffea.results import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from bphcoffea.searches.hnl.limit_record import MixingLimit

title: Final = "Heavy neutral lepton"
#: Options that match the toys: a tenth of their Ds comes from b hadrons.
toy_options: Final[Mapping[str, Any]] = {"f_prompt": 0.9, "f_prompt_error": 0.05}
options: Final[Mapping[str, Any]] = {
    "f_prompt": Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Fraction of the Ds produced promptly; 1 by default."),
    ],
    "f_prompt_error": Annotated[
        float | None, typer.Option(min=0, help="Uncertainty of --f-prompt; 0 by default.")
    ],
    "mass": Annotated[
        list[float] | None,
        typer.Option(
            metavar="GEV",
            help="Mass of N; may be repeated. By default the generated masses.",
        ),
    ],
    "points": Annotated[
        int | None,
        typer.Option(
            help="Mixings to test at each mass, before the ends are narrowed down; 20 by default."
        ),
    ],
    "neutrino": Annotated[
        Literal["majorana", "dirac"] | None,
        typer.Option(help="Nature of N, which sets its width and charges; majorana by default."),
    ],
    "toys": Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Toys of each hypothesis; 0 for asymptotic formulae. "
            "By default 10000 if about ten events or fewer are expected.",
        ),
    ],
    "seed": Annotated[int | None, typer.Option(min=0, help="Seed of the toys; 0 by default.")],
}


def limit(
    run: RunFolder,
    normalisation: RunFolder,
    options: Mapping[str, Any],
    *,
    unblind: bool,
    same_data: bool,
    progress: Callable[[int, int], None],
) -> MixingLimit:
    """Find the excluded |V|² at each mass; see :meth:`bphcoffea.statistics.search.Search.limit`."""
    from bphcoffea.searches.ds_yield import DsYield
    from bphcoffea.searches.hnl.mixing_limit import limit_mixing
    from bphcoffea.searches.hnl.rates import Neutrino

    of_scan = dict(options)
    prompt, error = of_scan.pop("f_prompt", 1.0), of_scan.pop("f_prompt_error", 0.0)
    return limit_mixing(
        run,
        DsYield.of_run(normalisation, prompt, error),
        of_scan.pop("mass", None),
        neutrino=Neutrino(majorana=of_scan.pop("neutrino", "majorana") == "majorana"),
        unblind=unblind,
        same_data=same_data,
        progress=progress,
        **of_scan,
    )


def report(limit: MixingLimit) -> Iterator[str | Table]:
    """Yield the lines and tables that the command line shows of a limit."""
    from bphcoffea.searches.hnl.report import report

    yield from report(limit)


def export(run: RunFolder, to: Literal["combine", "pyhf"]) -> list[Path]:
    """Write a datacard or workspace per mass and mixing."""
    from bphcoffea.searches.hnl.export import export_limit

    return export_limit(run, to)


def figures(run: RunFolder, *, unblind: bool) -> Iterator[tuple[str, Figure]]:  # noqa: ARG001
    """Yield the names and figures of the limit, with data in a window if the limit used them."""
    from bphcoffea.searches.hnl.figures import figures_of_limit
    from bphcoffea.searches.hnl.limit_record import MixingLimit

    yield from figures_of_limit(run, MixingLimit.of_run(run))
