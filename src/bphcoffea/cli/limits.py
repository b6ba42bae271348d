"""Commands that set the limit of a search, and write it for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from bphcoffea.cli.arguments import RunDirectory
from bphcoffea.cli.terminal import (
    note_what_is_missing,
    print_branching_limit,
    print_limit,
    say,
)
from bphcoffea.errors import InputError
from bphcoffea.progress import progress

if TYPE_CHECKING:
    from bphcoffea.results import RunFolder

app = typer.Typer()
#: Options of `limit` that belong to one search alone, by the names of its parameters.
OPTIONS: Final = {
    "hnl": ("f_prompt", "f_prompt_error", "mass", "points", "neutrino", "toys", "seed"),
    "tau3mu": ("f_b", "f_b_error", "level", "trimuon_only"),
}
#: Texts that say in the help which search an option belongs to.
HNL, TAU3MU = "Heavy neutral lepton", "τ → 3μ"


@app.command()
def limit(
    directory: RunDirectory,
    normalisation: Annotated[
        Path,
        typer.Option("--normalisation", metavar="DIR", help="A fitted run of Ds → φπ."),
    ],
    same_data: Annotated[
        bool,
        typer.Option("--same-data", help="Assert that both runs are of the same data: no scaling."),
    ] = False,
    unblind: Annotated[
        bool, typer.Option("--unblind", help="Look at the data in the signal windows.")
    ] = False,
    f_prompt: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Part of the Ds that is produced promptly; 1 by default.",
            rich_help_panel=HNL,
        ),
    ] = None,
    f_prompt_error: Annotated[
        float | None,
        typer.Option(min=0, help="Its uncertainty; 0 by default.", rich_help_panel=HNL),
    ] = None,
    mass: Annotated[
        list[float] | None,
        typer.Option(
            metavar="GEV",
            help="Of N; may be repeated. The generated ones by default.",
            rich_help_panel=HNL,
        ),
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(
            help="Mixings to test at each mass, before the ends are narrowed down; 20 by default.",
            rich_help_panel=HNL,
        ),
    ] = None,
    neutrino: Annotated[
        Literal["majorana", "dirac"] | None,
        typer.Option(
            help="Nature of N: its width and charges; majorana by default.", rich_help_panel=HNL
        ),
    ] = None,
    toys: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Toys of each hypothesis; 0 for asymptotic formulae. "
            "By default 10000 where about ten events or fewer are expected.",
            rich_help_panel=HNL,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the toys; 0 by default.", rich_help_panel=HNL)
    ] = None,
    f_b: Annotated[
        float | None,
        typer.Option(
            help="Part of the Ds that comes from b hadrons; without it no τ from b hadrons count.",
            rich_help_panel=TAU3MU,
        ),
    ] = None,
    f_b_error: Annotated[
        float | None,
        typer.Option(help="Its uncertainty; 3% of it by default.", rich_help_panel=TAU3MU),
    ] = None,
    level: Annotated[
        list[float] | None,
        typer.Option(
            metavar="CL",
            help="Confidence level; may be repeated. 0.90 and 0.95 by default.",
            rich_help_panel=TAU3MU,
        ),
    ] = None,
    trimuon_only: Annotated[
        float | None,
        typer.Option(
            metavar="FACTOR",
            help="All events over those of the trigger that is required; 1.28 ± 0.03 by default, "
            "1 if all triggers are.",
            rich_help_panel=TAU3MU,
        ),
    ] = None,
) -> None:
    """Set the limit of a search, normalised to Ds → φπ; writes limit.json.

    Of a heavy neutral lepton, mixings |V|² are excluded; of τ → 3μ, branching fractions. Which of
    them follows from the run. The number of Ds is scaled by the luminosity of the search over that
    of the data that were fitted.
    """
    from bphcoffea.results import RunFolder
    from bphcoffea.searches import search_of
    from bphcoffea.searches.ds_yield import NotFittedByYearError, UnknownLuminosityError
    from bphcoffea.statistics.blindness import NotHiddenError, StillBlindError

    given = {
        "f_prompt": f_prompt, "f_prompt_error": f_prompt_error, "mass": mass, "points": points,
        "neutrino": neutrino, "toys": toys, "seed": seed,
        "f_b": f_b, "f_b_error": f_b_error, "level": level, "trimuon_only": trimuon_only,
    }  # fmt: skip
    options = {name: value for name, value in given.items() if value not in (None, [])}
    folder = RunFolder(directory)
    search = search_of(folder.analysis)
    if foreign := [name for name in options if name not in OPTIONS[search]]:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in foreign)
        raise InputError(f"{directory}: a limit of the search '{search}' takes no {flags}")
    set_limit = {"hnl": _of_mixing, "tau3mu": _of_branching}[search]
    try:
        set_limit(folder, RunFolder(normalisation), options, unblind=unblind, same_data=same_data)
    except UnknownLuminosityError as error:
        raise InputError(f"{error} (--same-data)") from None
    except StillBlindError as error:
        raise InputError(f"{error} (run --unblind)") from None
    except NotHiddenError as error:
        raise InputError(f"{error} (run --mass)") from None
    except NotFittedByYearError as error:
        raise InputError(f"{error} (fit --by year)") from None
    for each in dict.fromkeys((directory, normalisation)):
        note_what_is_missing(RunFolder(each))


def _of_mixing(
    run: RunFolder, normalisation: RunFolder, options: dict[str, Any], **asserted: bool
) -> None:
    """Exclude mixings |V|² of a heavy neutral lepton."""
    from bphcoffea.searches.ds_yield import DsYield
    from bphcoffea.searches.hnl.mixing_limit import limit_run
    from bphcoffea.searches.hnl.rates import Neutrino

    prompt = options.pop("f_prompt", 1.0)
    ds_yield = DsYield.of_run(normalisation, prompt, options.pop("f_prompt_error", 0.0))
    nature = Neutrino(majorana=options.pop("neutrino", "majorana") == "majorana")
    masses = options.pop("mass", None)
    with progress(None, "Testing mixings", "point") as bar:
        result = limit_run(
            run, ds_yield, masses, neutrino=nature, progress=bar.update, **options, **asserted
        )
    print_limit(result)
    run.write("limit.json", result)
    if prompt == 1:
        say("note: all Ds are taken for prompt; give their part with --f-prompt")


def _of_branching(
    run: RunFolder, normalisation: RunFolder, options: dict[str, Any], **asserted: bool
) -> None:
    """Set limits on B(τ → 3μ)."""
    from dataclasses import replace

    from bphcoffea.searches.tau3mu.branching_limit import LEVELS, limit_run
    from bphcoffea.searches.tau3mu.normalisation import NO_FRACTION
    from bphcoffea.searches.tau3mu.rates import STANDARD, Factor

    corrections = STANDARD
    if "trimuon_only" in options:
        factor = options["trimuon_only"]
        if not factor >= 1:
            raise InputError(f"--trimuon-only {factor:g}: a factor of 1 or more")
        corrections = replace(corrections, trimuon=Factor(factor, 0.0, "given"))
    with progress(None, "Setting limits", "limit") as bar:
        result = limit_run(
            run,
            normalisation,
            options.get("f_b"),
            options.get("f_b_error"),
            levels=options.get("level", LEVELS),
            corrections=corrections,
            progress=bar.update,
            **asserted,
        )
    print_branching_limit(result)
    run.write("limit.json", result)
    if any(NO_FRACTION in year["notes"] for year in result["years"].values()):
        say("note: give the fraction of Ds from b hadrons with --f-b")


@app.command()
def export(
    directory: RunDirectory,
    to: Annotated[
        Literal["combine", "pyhf"], typer.Option("--format", help="Datacards, or workspaces.")
    ],
) -> None:
    """Write a limit as datacards of Combine, or workspaces of pyhf.

    Of a heavy neutral lepton one for each mass and mixing, of τ → 3μ one for each category, each
    year and all together.
    """
    from bphcoffea.results import RunFolder
    from bphcoffea.searches import search_of
    from bphcoffea.searches.hnl import export as of_mixing
    from bphcoffea.searches.tau3mu import export as of_branching

    folder = RunFolder(directory)
    module = {"hnl": of_mixing, "tau3mu": of_branching}[search_of(folder.analysis)]
    written = module.export_limit(folder, to)
    say(f"{len(written)} files in {written[0].parent}")
    if folder.read("limit.json").get("partial"):
        say("note: the limit is a try: it was made of partial runs")
