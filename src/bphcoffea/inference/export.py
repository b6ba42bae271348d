"""Writing the points of a limit for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from bphcoffea.errors import InputError
from bphcoffea.execution.folder import RunFolder
from bphcoffea.inference.datacards import datacard
from bphcoffea.inference.mixing import channels_of, workspace_of

#: Folder in that of the run.
FOLDER = "datacards"


def export_limit(run: RunFolder, to: Literal["combine", "pyhf"]) -> list[Path]:
    """Write each point of ``limit.json`` as a datacard or a workspace, in the run's folder.

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
    folder = run.path / FOLDER
    folder.mkdir(exist_ok=True)
    written = []
    for hypothesis in content["hypotheses"]:
        for point in hypothesis["points"]:
            place = hypothesis["mass"], point["coupling"]
            name = f"m{hypothesis['mass']:g}_V2_{point['coupling']:.3e}"
            if to == "combine":
                path, text = folder / f"{name}.txt", datacard(*channels_of(content, *place))
            else:
                spec = workspace_of(content, *place)
                path, text = folder / f"{name}.json", json.dumps(spec, indent=1) + "\n"
            path.write_text(text)
            written.append(path)
    return written
