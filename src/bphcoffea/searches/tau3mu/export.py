"""Writing the limits of a run for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from bphcoffea.results.folder import RunFolder
from bphcoffea.searches.tau3mu.branching_limit import channels_of, workspace_of
from bphcoffea.statistics.export import FOLDER, exporting, limit_of
from bphcoffea.statistics.shape_datacards import write_shape_datacard


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
    content = limit_of(run)
    written = []
    with exporting(run, to) as folder:
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
    return [run.output / FOLDER / path.name for path in written]
