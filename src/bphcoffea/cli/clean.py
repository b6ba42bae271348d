"""The command that lists and removes checkpoints."""

from __future__ import annotations

from typing import Annotated

import typer

from bphcoffea.cli.arguments import CheckpointPlace
from bphcoffea.cli.terminal import print_checkpoints, say
from bphcoffea.errors import InputError

app = typer.Typer()


@app.command()
def clean(
    checkpoints: CheckpointPlace = None,
    older_than: Annotated[
        float, typer.Option(min=0, metavar="DAYS", help="Only of runs that began so long ago.")
    ] = 0,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove them; else they are only listed.")
    ] = False,
) -> None:
    """List the checkpoints that runs have left, or remove them; those of running ones stay."""
    from bphcoffea.execution.checkpoint_folders import default_place, list_checkpoints

    place = checkpoints or default_place()
    if place is None:
        raise InputError("the cache of your home cannot be read; say with --checkpoints where")
    found = list_checkpoints(place, older_than)
    if not found:
        say(f"{place}: no checkpoints")
        return
    print_checkpoints(found)
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
    if problems:
        raise InputError("\n".join(problems))
