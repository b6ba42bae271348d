"""Writing the points of a limit for other programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from bphcoffea.results.folder import RunFolder
from bphcoffea.searches.hnl.mixing_limit import channels_of, workspace_of
from bphcoffea.statistics.datacards import datacard
from bphcoffea.statistics.export import FOLDER, exporting, limit_of

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
    content = limit_of(run)
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


def _card(content: Mapping[str, Any], mass: float, mixing: float) -> str:
    return datacard(*channels_of(content, mass, mixing))


def _workspace(content: Mapping[str, Any], mass: float, mixing: float) -> str:
    return json.dumps(workspace_of(content, mass, mixing), indent=1) + "\n"
