"""Export of the limits of a run to other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from bphcoffea.results import RunFolder
from bphcoffea.searches.tau3mu.limit_record import BranchingLimit
from bphcoffea.statistics import DATACARDS, exporting, write_shape_datacard


def export_limit(run: RunFolder, to: Literal["combine", "pyhf"]) -> list[Path]:
    """Write each limit of ``limit.json`` as a datacard with templates or as a workspace.

    Files of an earlier limit, which may have been unblinded, are removed.

    Returns
    -------
    The datacards or workspaces, one for each category, each year and all together.

    Raises
    ------
    RunError
        If the run has no limit.
    """
    limit = BranchingLimit.of_run(run)
    written = []
    with exporting(run, to) as folder:
        for group in limit.limits:
            path = folder / f"tau3mu_{group.name}.{'txt' if to == 'combine' else 'json'}"
            if to == "combine":
                channels = limit.mass_channels(group.channels)
                write_shape_datacard(channels, {}, path, path.with_suffix(".root"))
            else:
                path.write_text(json.dumps(limit.workspace(group.channels), indent=1) + "\n")
            written.append(path)
    return [run.output / DATACARDS / path.name for path in written]
