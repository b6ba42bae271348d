"""Commands that set the limit of a search, and write it for other programs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from bphcoffea.cli.arguments import RunDirectory
from bphcoffea.cli.terminal import note_what_is_missing, say, show
from bphcoffea.errors import InputError
from bphcoffea.progress import progress
from bphcoffea.statistics import search_of, searches

app = typer.Typer()


def _with_options_of_searches(command: Callable[..., None]) -> Callable[..., None]:
    """Replace ``**options`` in the signature of a command by the options of all searches."""
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
    for search in searches().values():
        for name, annotation in search.options.items():
            _, option = get_args(annotation)
            option.rich_help_panel = search.title
            yield inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
            )


@app.command()
@_with_options_of_searches
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
        bool, typer.Option("--unblind", help="Use the data in the signal windows.")
    ] = False,
    **options: Any,
) -> None:
    """Set the limit of a search, normalised to Ds → φπ, and write limit.json.

    The run determines the search, and with it what is limited. The number of Ds is scaled by the
    luminosity of the search over that of the fitted data.
    """
    from bphcoffea.results import RunFolder
    from bphcoffea.statistics import (
        NotFittedByYearError,
        NotHiddenError,
        StillBlindError,
        UnknownLuminosityError,
    )

    given = {name: value for name, value in options.items() if value not in (None, [])}
    run = RunFolder(directory)
    search = search_of(run)
    if foreign := [name for name in given if name not in search.options]:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in foreign)
        raise InputError(
            f"{directory}: a limit of the search '{run.analysis.search}' takes no {flags}"
        )
    try:
        with progress(None, "Setting limits", "point") as bar:
            found = search.limit(
                run,
                RunFolder(normalisation),
                given,
                unblind=unblind,
                same_data=same_data,
                progress=bar.update,
            )
    except UnknownLuminosityError as error:
        raise InputError(f"{error} (--same-data)") from None
    except StillBlindError as error:
        raise InputError(f"{error} (run --unblind)") from None
    except NotHiddenError as error:
        raise InputError(f"{error} (run --mass)") from None
    except NotFittedByYearError as error:
        raise InputError(f"{error} (fit --by year)") from None
    show(search.report(found))
    run.write("limit.json", found.as_json())
    for path in dict.fromkeys((directory, normalisation)):
        note_what_is_missing(RunFolder(path))


@app.command()
def export(
    directory: RunDirectory,
    to: Annotated[
        Literal["combine", "pyhf"], typer.Option("--format", help="Datacards, or workspaces.")
    ],
) -> None:
    """Write a limit as datacards for Combine, or workspaces for pyhf."""
    from bphcoffea.results import RunFolder

    run = RunFolder(directory)
    written = search_of(run).export(run, to)
    say(f"{len(written)} files in {written[0].parent}")
    if run.read("limit.json").get("partial"):
        say("note: the limit is preliminary: it was made of partial runs")
