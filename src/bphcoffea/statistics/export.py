"""Folder of datacards and workspaces that are made from a limit."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bphcoffea.errors import RunError
from bphcoffea.results import RunFolder
from bphcoffea.statistics.records import JsonObject

#: Name of the folder, inside the folder of the run.
DATACARDS: Final = "datacards"


def limit_content(run: RunFolder) -> JsonObject:
    """Return the content of ``limit.json``.

    Raises
    ------
    RunError
        If the run has no limit.
    """
    if not run.place("limit.json").is_file():
        raise RunError(f"{run.path}: no limit; make one with: bphcoffea limit {run.path}")
    return dict(run.read("limit.json"))


@contextlib.contextmanager
def exporting(run: RunFolder, to: str) -> Iterator[Path]:
    """Write exports of the limit of a run, and remove those of an earlier limit.

    Parameters
    ----------
    run
        Run with a limit.
    to
        Name of the format. Exports of the same limit in other formats are kept.

    Yields
    ------
    Temporary folder, whose files move to the folder ``datacards`` of the run at the end.
    """
    made_from = hashlib.sha256(run.place("limit.json").read_bytes()).hexdigest()

    def is_of_another_limit(owner: str) -> bool:
        return owner.startswith(DATACARDS) and not owner.endswith(made_from)

    owner = f"{DATACARDS} {to} {made_from}"
    with run.replacing(owner, also=is_of_another_limit) as temporary:
        (temporary / DATACARDS).mkdir()
        yield temporary / DATACARDS
