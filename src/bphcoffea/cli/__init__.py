"""The command line: ``bphcoffea`` and ``python -m bphcoffea``.

Exit status: 0 complete, 1 a bug, 2 wrong usage or bad input, 3 the run is incomplete.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bphcoffea import __version__
from bphcoffea.cli import clean, corrections, demo, facility, fileset, limits, runs
from bphcoffea.errors import InputError
from bphcoffea.terminal import say

app = typer.Typer(
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(runs.app)
app.add_typer(limits.app)
app.add_typer(demo.app)
app.add_typer(clean.app)
app.add_typer(fileset.app, name="fileset")
app.add_typer(facility.app, name="facility")
app.add_typer(corrections.app, name="corrections")


@app.callback()
def callback(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version, and nothing else.")
    ] = False,
) -> None:
    """Columnar analyses of rare flavour decays, from a fileset JSON to a fitted yield."""
    if version:
        say(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; bad input ends in one clear line a problem and status 2."""
    try:
        app()
    except InputError as error:
        for line in str(error).splitlines():
            print(f"bphcoffea: error: {line}", file=sys.stderr)
        sys.exit(2)
