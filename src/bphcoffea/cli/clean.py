"""``bphcoffea clean``: list and remove checkpoints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from bphcoffea import execution
from bphcoffea.cli.arguments import CheckpointPlace
from bphcoffea.cli.terminal import counted, new_table, say, show_table
from bphcoffea.errors import InputError


def clean(
    checkpoints: CheckpointPlace = None,
    older_than: Annotated[
        float,
        typer.Option(min=0, metavar="DAYS", help="Only runs that began at least this long ago."),
    ] = 0,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the checkpoints, instead of listing them.")
    ] = False,
) -> None:
    """List or remove the checkpoints that runs have left; those of active runs stay."""
    place = checkpoints or execution.default_place()
    if place is None:
        raise InputError("your cache folder cannot be read; give the folder with --checkpoints")
    found = execution.list_checkpoints(place, older_than)
    if not found:
        say(f"{place}: no checkpoints")
        return
    _print_checkpoints(found)
    if not remove:
        say("remove them with: bphcoffea clean --remove")
        return
    problems = []
    for kept in found:
        if kept.state == "running":
            continue
        try:
            kept.remove()
        except InputError as error:
            problems.append(str(error))
        else:
            say(f"removed: {kept.place}")
    InputError.raise_for(problems)


def note_old_checkpoints(place: str | None) -> None:
    """Print a note if the checkpoints of old runs are kept at a place."""
    if place is None:
        return
    days = execution.OLD_DAYS
    try:
        found = execution.list_checkpoints(place, days)
    except InputError:  # the run itself reports what is wrong with the place
        return
    old = [kept for kept in found if kept.state != "running"]
    if old:
        size = sum(kept.size for kept in old) / 1e6
        say(
            f"note: {place}: checkpoints of {counted(len(old), 'run')} that began more than "
            f"{days} days ago, {size:,.1f} MB; see: bphcoffea clean --checkpoints {place}"
        )


def _print_checkpoints(found: Iterable[execution.CheckpointFolder]) -> None:
    table = new_table("analysis", "run", "age", "size", numbers=slice(0))
    for kept in found:
        age, size = f"{kept.age_days:.1f} days", f"{kept.size / 1e6:,.1f} MB"
        table.add_row(kept.analysis, kept.state, age, size)
        say(f"{kept.place}: checkpoints of {kept.results}")
    show_table(table)
