"""Writing the limits of a run for other programs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final, Literal

from bphcoffea.errors import InputError
from bphcoffea.execution.folder import RunFolder
from bphcoffea.inference.export import FOLDER
from bphcoffea.inference.shape_datacards import write_shape_datacard
from bphcoffea.searches.tau3mu.limits import channels_of, workspace_of

#: Hash of the ``limit.json`` that the files were made from.
MADE_FROM: Final = "limit.sha256"
_SUFFIXES: Final = (".txt", ".root", ".json")


def export_limit(run: RunFolder, to: Literal["combine", "pyhf"]) -> list[Path]:
    """Write each limit of ``limit.json`` as datacard with templates or as workspace.

    Files of an earlier limit, which may have been unblinded, are removed.

    Returns
    -------
    The datacards or workspaces, one for each category, each year and all together.

    Raises
    ------
    InputError
        When the run has no limit.
    """
    path = run.path / "limit.json"
    if not path.is_file():
        raise InputError(f"{run.path}: no limit; make one with: bphcoffea limit {run.path}")
    content, sha256 = run.read("limit.json"), hashlib.sha256(path.read_bytes()).hexdigest()
    folder = run.path / FOLDER
    folder.mkdir(exist_ok=True)
    made_from = folder / MADE_FROM
    if not made_from.is_file() or made_from.read_text().strip() != sha256:
        for old in folder.glob("tau3mu_*"):
            if old.suffix in _SUFFIXES:
                old.unlink()
    made_from.write_text(f"{sha256}\n")
    written = []
    for group in content["limits"]:
        place, names = folder / f"tau3mu_{group['name']}", group["channels"]
        if to == "combine":
            card, templates = place.with_suffix(".txt"), place.with_suffix(".root")
            write_shape_datacard(channels_of(content, names), {}, card, templates)
            written.append(card)
        else:
            workspace = place.with_suffix(".json")
            workspace.write_text(json.dumps(workspace_of(content, names), indent=1) + "\n")
            written.append(workspace)
    return written
