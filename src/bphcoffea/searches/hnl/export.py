"""Writing the points of a limit for other programs."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from bphcoffea.errors import InputError
from bphcoffea.results.folder import RunFolder
from bphcoffea.searches.hnl.mixing_limit import channels_of, workspace_of
from bphcoffea.statistics.datacards import datacard

#: Folder in that of the run.
FOLDER = "datacards"
_SUFFIXES: Final = {"combine": ".txt", "pyhf": ".json"}


def export_limit(run: RunFolder, to: Literal["combine", "pyhf"]) -> list[Path]:
    """Write each point of ``limit.json`` as a datacard or a workspace, in the run's folder.

    Cards and workspaces of an earlier limit, as an unblinded one, are removed.

    Returns
    -------
    The files, one for each mass and mixing.

    Raises
    ------
    InputError
        When the run has no limit.
    """
    if not run.place("limit.json").is_file():
        raise InputError(f"{run.path}: no limit; make one with: bphcoffea limit {run.path}")
    content = run.read("limit.json")
    texts: dict[str, Callable[[], str]] = {}
    for hypothesis in content["hypotheses"]:
        for point in hypothesis["points"]:
            place = hypothesis["mass"], point["mixing"]
            name = f"m{hypothesis['mass']:g}_V2_{point['mixing']:.3e}"
            texts[f"{name}.txt"] = partial(_card, content, *place)
            texts[f"{name}.json"] = partial(_workspace, content, *place)
    with exporting(run, to) as folder:
        written = [folder / name for name in texts if name.endswith(_SUFFIXES[to])]
        for path in written:
            path.write_text(texts[path.name](), encoding="utf-8")
    return [run.output / FOLDER / path.name for path in written]


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


def _card(content: Mapping[str, Any], mass: float, mixing: float) -> str:
    return datacard(*channels_of(content, mass, mixing))


def _workspace(content: Mapping[str, Any], mass: float, mixing: float) -> str:
    return json.dumps(workspace_of(content, mass, mixing), indent=1) + "\n"
