"""The command line: ``bphcoffea`` and ``python -m bphcoffea``.

Exit status: 0 complete, 1 a bug, 2 wrong usage or bad input, 3 the run is incomplete, 4 two runs
differ, 130 or 143 interrupted by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Final

import typer

from bphcoffea import __version__
from bphcoffea.cli import completion, endings, general
from bphcoffea.cli.terminal import say, show_log
from bphcoffea.errors import InputError
from bphcoffea.streams import StreamError, guard_streams

#: Module of each command; the function has the name of the command.
_COMMANDS: Final = {
    name: {"limit": "limits", "export": "limits"}.get(name, name)
    for name in (
        *("run", "show", "status", "fit", "train", "lumi", "plot", "report", "diff", "pick"),
        *("limit", "export", "toys", "new", "demo", "clean", "completion"),
    )
}
#: Modules of groups of commands.
_GROUPS: Final = ("fileset", "facility", "corrections", "template")


def application(word: str | None = None) -> typer.Typer:
    """Return the command line, of which a call needs one command only.

    Parameters
    ----------
    word
        Command or group to call; no other is imported. An unknown word gives what the help of
        ``bphcoffea`` shows: names and first lines of all commands. None gives everything.
    """
    app = typer.Typer(
        cls=endings.InterruptibleGroup,
        no_args_is_help=True,
        invoke_without_command=True,
        add_completion=False,
        context_settings={"help_option_names": ["--help", "-h"]},
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    app.callback()(callback)
    known = word in (*_COMMANDS, *_GROUPS)
    whole = known or word is None
    for name, module in _COMMANDS.items():
        if not known or word == name:
            place = import_module(f"bphcoffea.cli.{module}")
            command = getattr(place, name)
            if not whole:
                command = _title(command)
            elif name == "limit":
                command = place.with_options_of_searches(command)
            app.command(name, cls=general.Command)(command)
    for name in _GROUPS:
        if not known or word == name:
            group = import_module(f"bphcoffea.cli.{name}").app
            for registered in group.registered_commands:
                registered.cls = general.Command
            content = group if whole else typer.Typer(help=group.info.help)
            app.add_typer(content, name=name, cls=general.Group)
    return app


def _title(command: Callable[..., None]) -> Callable[[], None]:
    """Return a command with the help of another one, without its options."""

    def title() -> None: ...

    title.__doc__ = command.__doc__
    return title


def __getattr__(name: str) -> typer.Typer:
    if name == "app":
        return application()
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


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
    """Columnar analyses of rare flavour decays, from a fileset JSON to a fitted yield.

    --debug, --quiet and --verbose may also follow the command.
    """
    endings.request_tracebacks(debug)
    if quiet and verbose:
        raise typer.BadParameter("choose either --quiet or --verbose")
    show_log(quiet=quiet, verbose=verbose)
    if version:
        say(__version__)
        raise typer.Exit


def main(began: float | None = None) -> None:
    """Run the command line; bad input ends with one line per problem and status 2.

    Parameters
    ----------
    began
        Value of :func:`time.perf_counter` when the program began; by default, it begins now.
    """
    began = time.perf_counter() if began is None else began
    guard_streams()
    # of which we use none; pydantic would look through all installed packages for them
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if os.environ.get("COLUMNS") == "0":  # of terminals that do not know their width
        del os.environ["COLUMNS"]
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    # shells ask for completions without arguments
    asked = completion.VARIABLE in os.environ
    app = application(None if asked else words[0] if words else "")
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # see bphcoffea.__main__
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app(prog_name=completion.PROGRAM, obj=began)
    except InputError as error:
        endings.report_bad_input(error)
        sys.exit(2)
    except StreamError as error:
        endings.report_bad_input(InputError(f"output cannot be written: {error.strerror}"))
        sys.exit(2)
    except Exception as error:  # noqa: BLE001 - all others are bugs
        endings.report_bug(error)
        sys.exit(1)
