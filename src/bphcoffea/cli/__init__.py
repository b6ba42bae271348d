"""The command line: ``bphcoffea`` and ``python -m bphcoffea``.

Exit status: 0 complete, 1 a bug, 2 wrong usage or bad input, 3 the run is incomplete, 4 two runs
differ, 130 or 143 interrupted by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from bphcoffea import __version__
from bphcoffea.cli import (
    clean,
    completion,
    corrections,
    demo,
    diff,
    endings,
    facility,
    fileset,
    fit,
    limits,
    lumi,
    new,
    pick,
    plot,
    report,
    run,
    show,
    status,
    template,
    toys,
    train,
)
from bphcoffea.cli.help import FittingCommand
from bphcoffea.cli.terminal import say, show_log
from bphcoffea.errors import InputError
from bphcoffea.streams import guard_streams

app = typer.Typer(
    cls=endings.InterruptibleGroup,
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_COMMANDS: tuple[Callable[..., None], ...] = (
    *(run.run, show.show, status.status, fit.fit, train.train, lumi.lumi, plot.plot),
    *(report.report, diff.diff, pick.pick, limits.limit, limits.export, toys.toys),
    *(new.new, demo.demo, clean.clean, completion.completion),
)
for command in _COMMANDS:
    app.command()(command)
_GROUPS = {
    "fileset": fileset.app,
    "facility": facility.app,
    "corrections": corrections.app,
    "template": template.app,
}
for name, group in _GROUPS.items():
    app.add_typer(group, name=name)
for typer_app in (app, *_GROUPS.values()):
    for registered in typer_app.registered_commands:
        registered.cls = FittingCommand


@app.callback()
def callback(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar=endings.VARIABLE, help="Show full tracebacks of bugs.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show results and warnings only, no progress.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log details as well, for debugging.")
    ] = False,
) -> None:
    """Columnar analyses of rare flavour decays, from a fileset JSON to a fitted yield."""
    endings.request_tracebacks(debug)
    if quiet and verbose:
        raise typer.BadParameter("choose either --quiet or --verbose")
    show_log(quiet=quiet, verbose=verbose)
    if version:
        say(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; bad input ends with one line per problem and status 2."""
    guard_streams()
    try:
        app(prog_name=completion.PROGRAM)
    except InputError as error:
        endings.report_bad_input(error)
        sys.exit(2)
    except Exception as error:  # noqa: BLE001 - all others are bugs
        endings.report_bug(error)
        sys.exit(1)
