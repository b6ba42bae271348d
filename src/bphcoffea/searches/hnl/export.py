"""Export of the points of a limit to other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from bphcoffea.results import RunFolder
from bphcoffea.searches.hnl.limit_record import MixingLimit
from bphcoffea.statistics import DATACARDS, datacard, exporting


def export_limit(run: RunFolder, to: Literal["combine", "pyhf"]) -> list[Path]:
    """Write each point of ``limit.json`` as a datacard or a workspace, in the run's folder.

    Files of an earlier limit, which may have been unblinded, are removed.

    Returns
    -------
    The files, one per mass and mixing.

    Raises
    ------
    RunError
        If the run has no limit.
    """
    limit = MixingLimit.of_run(run)
    written = []
    with exporting(run, to) as folder:
        for hypothesis in limit.hypotheses:
            for point in hypothesis.points:
                path = folder / f"m{hypothesis.mass:g}_V2_{point.mixing:.3e}"
                if to == "combine":
                    path = path.with_name(f"{path.name}.txt")
                    text = datacard(hypothesis.channels(point.mixing), hypothesis.uncertainties)
                else:
                    path = path.with_name(f"{path.name}.json")
                    spec = limit.workspace(hypothesis.mass, point.mixing)
                    text = json.dumps(spec, indent=1) + "\n"
                path.write_text(text, encoding="utf-8")
                written.append(path)
    return [run.output / DATACARDS / path.name for path in written]
