"""``bphcoffea new``: a small analysis to start from, with its test."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from bphcoffea.cli.arguments import suggesting
from bphcoffea.cli.terminal import say
from bphcoffea.errors import InputError
from bphcoffea.storage import OccupiedError, write_file


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the analysis, such as bs_mumu.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the two files.")
    ] = Path(),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files of these names.")
    ] = False,
) -> None:
    """Write a small analysis to start from, NAME.py, and its test, test_NAME.py."""
    if not (name.isidentifier() and name.isascii() and name.islower()):
        raise InputError(
            f"'{name}' cannot be the name of an analysis: use lower-case letters, digits and "
            "underscores, and begin with a letter"
        )
    words = name.split("_")
    filled = {
        "@NAME@": name,
        "@CLASS@": "".join(word.capitalize() for word in words),
        "@TITLE@": " ".join(words).strip().capitalize(),
    }
    analysis, test = output / f"{name}.py", output / f"test_{name}.py"
    with suggesting({OccupiedError: " (--overwrite)"}):
        for path in (analysis, test):
            if path.exists() and not overwrite:
                raise OccupiedError(f"{path}: exists already")
    templates = resources.files("bphcoffea.cli") / "new_analysis"
    for path, template in ((analysis, "analysis.py.txt"), (test, "test.py.txt")):
        text = (templates / template).read_text(encoding="utf-8")
        for mark, value in filled.items():
            text = text.replace(mark, value)
        write_file(path, text.encode())
    say(f"{analysis}: the analysis; {test}: its test")
    say(f"first look: bphcoffea run {shlex.quote(str(analysis))} FILE.root -o results")
    say(f"test: python -m pytest {shlex.quote(str(test))}")
