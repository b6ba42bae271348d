"""``bphcoffea limit`` and ``export``: limits of a search, also for other programs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from bphcoffea import results, statistics
from bphcoffea.cli.arguments import DerivedOutput, RunDirectory, suggesting
from bphcoffea.cli.status import note_missing_events
from bphcoffea.cli.terminal import counted, say, show
from bphcoffea.errors import InputError
from bphcoffea.progress import progress
from bphcoffea.storage import UnwritableError


@functools.cache
def with_options_of_searches(command: Callable[..., None]) -> Callable[..., None]:
    """Replace ``**options`` in the signature of a command with the options of all searches."""
    signature = inspect.signature(command, eval_str=True)
    general = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*general, *_options_of_searches()]
    )
    command.__annotations__ = {
        parameter.name: parameter.annotation
        for parameter in command.__signature__.parameters.values()  # type: ignore[attr-defined]
    }
    return command


def _options_of_searches() -> Iterator[inspect.Parameter]:
    for search in statistics.searches().values():
        for name, annotation in search.options.items():
            _, option = get_args(annotation)
            option.rich_help_panel = search.title
            yield inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
            )


def limit(
    directory: RunDirectory,
    normalisation: Annotated[
        Path,
        typer.Option("--normalisation", metavar="DIR", help="Folder of a fitted run of Ds → φπ."),
    ],
    same_data: Annotated[
        bool,
        typer.Option("--same-data", help="Assert that both runs are of the same data: no scaling."),
    ] = False,
    unblind: Annotated[
        bool, typer.Option("--unblind", help="Use the data in the signal windows.")
    ] = False,
    output: DerivedOutput = None,
    **options: object,
) -> None:
    """Set the limit of a search, normalised to Ds → φπ, and write limit.json.

    The analysis of the run determines the search. The number of Ds is scaled by the ratio of the
    luminosities of the search and of the fitted data.
    """
    settings = {name: value for name, value in options.items() if value not in (None, [])}
    run = results.RunFolder(directory, output)
    search = statistics.search_of(run)
    if foreign := [name for name in settings if name not in search.options]:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in foreign)
        raise InputError(f"{directory}: the search '{run.analysis.search}' takes no {flags}")
    hints = {
        statistics.UnknownLuminosityError: " (--same-data)",
        statistics.StillBlindError: " (run --unblind)",
        statistics.NotHiddenError: " (run --mass)",
        statistics.NotFittedByYearError: " (fit --by year)",
    }
    with suggesting(hints), progress(None, "Setting limits", "point") as bar:
        content = search.limit(
            run,
            results.RunFolder(normalisation),
            **settings,
            unblind=unblind,
            same_data=same_data,
            progress=bar.update,
        )
    show(search.report(content))
    with suggesting({UnwritableError: " (--output)"}):
        run.write("limit.json", content.as_json())
    for path in dict.fromkeys((directory, normalisation)):
        note_missing_events(results.RunFolder(path))


def export(
    directory: RunDirectory,
    to: Annotated[
        Literal["combine", "pyhf", "roofit"],
        typer.Option(
            "--format",
            help="Datacards for Combine or workspaces for pyhf, of a limit; or parametric models "
            "for RooFit and Combine, of a limit on mass spectra or of a mass fit.",
        ),
    ],
    output: DerivedOutput = None,
) -> None:
    """Write a limit or a mass fit for other programs."""
    run = results.RunFolder(directory, output)
    of_fit = to == "roofit" and run.analysis.search is None
    with suggesting({UnwritableError: " (--output)"}):
        if of_fit:
            written = statistics.write_roofit_models(run)
        else:
            written = statistics.search_of(run).export(run, to)
    if of_fit:
        names = ", ".join(path.name for path in written)
        say(f"written to {written[0].parent}: {names}")
        if not any(path.suffix == ".json" for path in written):
            say("note: no HS3, which does not know the shape of the peaks")
        return
    say(f"{counted(len(written), 'file')} in {written[0].parent}")
    if run.read("limit.json").get("partial"):
        say("note: the limit is preliminary, because it is based on partial runs")
