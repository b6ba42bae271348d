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
from typer.completion import get_completion_inspect_parameters

from bphcoffea import facilities
from bphcoffea.local_files import regular
from bphcoffea.shipped import shipped_analyses

PROGRAM = "bphcoffea"
VARIABLE = "_BPHCOFFEA_COMPLETE"

#: What users evaluate, in place of typer's scripts: those do not complete ``--option=value``.
#: typer answers with the values alone, or with nothing where the shell shall offer files.
_SCRIPTS = {
    # bash takes lines apart at "=" and ":" as well; fish's answers are plain lines
    "bash": r"""
_bphcoffea_completion() {
    local IFS=$'\n'
    COMPREPLY=($(env _BPHCOFFEA_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
        _TYPER_COMPLETE_ARGS="${COMP_LINE:0:COMP_POINT}" "$1"))
    COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")
}
complete -o default -F _bphcoffea_completion bphcoffea
""",
    # without a configuration, zsh knows no completion yet
    "zsh": r"""
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_bphcoffea_completion() {
    compset -P '--*='
    eval $(env _BPHCOFFEA_COMPLETE=complete_zsh \
        _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" bphcoffea)
}
compdef _bphcoffea_completion bphcoffea
""",
    # fish completes the files of --option=value itself, and replaces whole words by other values
    "fish": r"""
function _bphcoffea_completion
    set -l option (string match -r -- '^--[^=]*=' (commandline -ct))
    set -lx _BPHCOFFEA_COMPLETE complete_fish
    set -lx _TYPER_COMPLETE_FISH_ACTION get-args
    set -lx _TYPER_COMPLETE_ARGS (commandline -cp)
    set -g _bphcoffea_values (bphcoffea | string replace -r -- '^(?=.)' "$option")
end
complete -c bphcoffea --no-files -n _bphcoffea_completion -a '$_bphcoffea_values'
""",
}

# typer makes the shells known with its own options, which would change the user's files
get_completion_inspect_parameters()


def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="Name of the shell.")
    ],
) -> None:
    """Print what makes a shell complete commands: eval "$(bphcoffea completion bash)"."""
    sys.stdout.write(_SCRIPTS[shell])


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
        content = json.loads(regular(path).read_bytes())
        if isinstance(content, dict):
            return content
    return {}
