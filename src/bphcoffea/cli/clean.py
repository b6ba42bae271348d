"""``bphcoffea clean``: list and remove checkpoints, and kept columns."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from bphcoffea import execution, reading, storage
from bphcoffea.cli.arguments import CheckpointPlace
from bphcoffea.cli.terminal import counted, new_table, say, show_table
from bphcoffea.errors import InputError

_DAY_S: Final = 86_400


def clean(
    checkpoints: CheckpointPlace = None,
    kept: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Instead: the columns that `run --keep DIR` has kept."),
    ] = None,
    older_than: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="DAYS",
            help="Only runs that began, or columns that were last used, at least this long ago.",
        ),
    ] = 0,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove these files, instead of listing them.")
    ] = False,
) -> None:
    """List or remove the checkpoints that runs have left; those of active runs stay."""
    if kept is not None:
        _clean_kept(kept, older_than, remove=remove)
        return
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
    for folder in found:
        if folder.state == "running":
            continue
        try:
            folder.remove()
        except InputError as error:
            problems.append(str(error))
        else:
            say(f"removed: {folder.place}")
    InputError.raise_for(problems)


def _clean_kept(folder: Path, older_than_days: float, *, remove: bool) -> None:
    """List or remove kept columns."""
    used_before = time.time() - older_than_days * _DAY_S
    files = {path: path.stat() for path in reading.kept_files(folder)}
    old = {path: status for path, status in files.items() if status.st_mtime <= used_before}
    size = sum(status.st_size for status in old.values()) / 1e6
    found = f"{folder}: kept columns of {counted(len(old), 'chunk')}, {size:,.1f} MB"
    if remove:
        with storage.writing_to(folder):
            for path in old:
                path.unlink(missing_ok=True)
        say(f"removed: {found}")
    else:
        say(f"{found}; remove them with: bphcoffea clean --kept {folder} --remove")


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
