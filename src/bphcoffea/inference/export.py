"""Writing the points of a limit for other programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from bphcoffea.errors import InputError
from bphcoffea.execution.folder import RunFolder
from bphcoffea.inference.datacards import datacard
from bphcoffea.inference.mixing import channels_of, workspace_of

#: Folder in that of the run.
FOLDER = "datacards"
_SUFFIXES: Final = {"combine": ".txt", "pyhf": ".json"}
#: Names of the files that this module writes.
_OWN: Final = re.compile(r"m[0-9.e+-]+_V2_[0-9.]+e[+-][0-9]+\.(txt|json)")


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
    if not (run.path / "limit.json").is_file():
        raise InputError(f"{run.path}: no limit; make one with: bphcoffea limit {run.path}")
    content = run.read("limit.json")
    texts: dict[str, Callable[[], str]] = {}
    for hypothesis in content["hypotheses"]:
        for point in hypothesis["points"]:
            place = hypothesis["mass"], point["coupling"]
            name = f"m{hypothesis['mass']:g}_V2_{point['coupling']:.3e}"
            texts[f"{name}.txt"] = partial(_card, content, *place)
            texts[f"{name}.json"] = partial(_workspace, content, *place)
    folder = run.path / FOLDER
    folder.mkdir(exist_ok=True)
    written = []
    for name, text in texts.items():
        if name.endswith(_SUFFIXES[to]):
            (folder / name).write_text(text(), encoding="utf-8")
            written.append(folder / name)
    for path in folder.iterdir():
        # of other masses or mixings, or of the same ones before the limit was set again
        if _OWN.fullmatch(path.name) and path not in written:
            current = texts.get(path.name)
            if current is None or path.read_bytes() != current().encode():
                path.unlink()
    return written


def _card(content: Mapping[str, Any], mass: float, mixing: float) -> str:
    return datacard(*channels_of(content, mass, mixing))


def _workspace(content: Mapping[str, Any], mass: float, mixing: float) -> str:
    return json.dumps(workspace_of(content, mass, mixing), indent=1) + "\n"
