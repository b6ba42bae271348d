"""Folder of the datacards and workspaces that are made of a limit."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bphcoffea.errors import RunError
from bphcoffea.results import RunFolder

#: Folder inside that of the run.
FOLDER: Final = "datacards"


def limit_of(run: RunFolder) -> dict[str, Any]:
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
    """Write exports of the limit of a run; those of an earlier limit are removed.

    Parameters
    ----------
    run
        The run; it has a limit.
    to
        The format. Exports of another format stay if they are of the same limit.

    Yields
    ------
    The folder to write into; at the end its files move to the folder ``datacards`` of the run.
    """
    made_from = hashlib.sha256(run.place("limit.json").read_bytes()).hexdigest()

    def is_of_another_limit(owner: str) -> bool:
        return owner.startswith(FOLDER) and not owner.endswith(made_from)

    owner = f"{FOLDER} {to} {made_from}"
    with run.replacing(owner, also=is_of_another_limit) as temporary:
        (temporary / FOLDER).mkdir()
        yield temporary / FOLDER
