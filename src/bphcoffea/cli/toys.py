"""``bphcoffea toys``: samples whose truth is known."""

from __future__ import annotations

from typing import Annotated

import typer

from bphcoffea import storage
from bphcoffea.cli.arguments import Output, Overwrite, suggesting
from bphcoffea.cli.terminal import say
from bphcoffea.errors import InputError, alternatives
from bphcoffea.progress import progress


def toys(
    analysis: Annotated[
        str, typer.Argument(metavar="ANALYSIS", help="Name of the toys, such as ds_phipi.")
    ],
    output: Output,
    events: Annotated[int, typer.Option(min=1, help="Number of data-like events.")] = 200_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")] = 1,
    overwrite: Overwrite = False,
) -> None:
    """Make toy samples with known truth, and their fileset."""
    from bphcoffea.toys import TOYS

    if analysis not in TOYS:
        raise InputError(f"no toys for '{analysis}'{alternatives(analysis, TOYS)}")
    kind, last = "toys", "fileset.json"
    with (
        suggesting({storage.OccupiedError: " (--overwrite)"}),
        storage.claimed(output, kind, last, overwrite=overwrite) as folder,
        storage.replacing(folder, kind, last=last) as temporary,
        progress(None, "Making toys", "file") as bar,
    ):
        made = TOYS[analysis](temporary, events, seed, progress=bar.update)
    fileset = output / made.name
    say(f"fileset: {fileset}\ntruth:   {fileset.with_name('truth.json')}")
