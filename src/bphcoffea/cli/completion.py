"""``bphcoffea completion``, and what shells complete: names of analyses, and of a run's content.

Shells wait for an answer at each key, so that files are read as JSON, without the packages that
know them. typer leaves out names that do not begin as the word on the line.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.completion import get_completion_inspect_parameters, shell_complete

from bphcoffea import facilities
from bphcoffea.shipped import shipped_analyses

PROGRAM = "bphcoffea"
VARIABLE = "_BPHCOFFEA_COMPLETE"

# without a configuration, zsh knows no completion yet
_START_OF_ZSH = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n"

# typer makes the shells known with its own options, which would change the user's files
get_completion_inspect_parameters()


def completion(
    ctx: typer.Context,
    shell: Annotated[
        Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="Name of the shell.")
    ],
) -> None:
    """Print what makes a shell complete commands: eval "$(bphcoffea completion bash)"."""
    if shell == "zsh":
        sys.stdout.write(_START_OF_ZSH)
    shell_complete(ctx.find_root().command, {}, PROGRAM, VARIABLE, f"source_{shell}")


def complete_analysis() -> Iterator[str]:
    """Yield the names of the shipped analyses."""
    yield from shipped_analyses()


def complete_facility() -> Iterator[str]:
    """Yield the names of facilities."""
    yield from facilities.available_facilities()


def complete_dataset(ctx: typer.Context) -> Iterator[str]:
    """Yield the datasets of the run or the filesets that stand earlier on the line."""
    for place in _places(ctx):
        in_run = _read(place / "ledger.json").get("datasets", ())
        yield from in_run or _read(place)


def complete_histogram(ctx: typer.Context) -> Iterator[str]:
    """Yield the histograms of the run that stands earlier on the line."""
    for place in _places(ctx):
        yield from _read(place / "analysis.json").get("histograms", ())


def complete_category(ctx: typer.Context) -> Iterator[str]:
    """Yield the categories and regions of the run that stands earlier on the line."""
    for place in _places(ctx):
        analysis = _read(place / "analysis.json")
        yield from analysis.get("categories", ())
        yield from (region["name"] for region in analysis.get("regions", ()))


def _places(ctx: typer.Context) -> list[Path]:
    """Return the paths on the line: arguments, or all words while the last option has no value."""
    folders = (ctx.params.get(name) for name in ("directory", "first", "second"))
    arguments = [*folders, *(ctx.params.get("fileset") or ())]
    # shells pass on the words as they were typed
    return [Path(word).expanduser() for word in (*arguments, *ctx.args) if word]


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file; empty if it cannot be read, since nobody sees errors."""
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(path.read_bytes())
        if isinstance(content, dict):
            return content
    return {}
