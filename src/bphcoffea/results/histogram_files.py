"""Files of a run's histograms: JSON, which later steps read, and ROOT for other programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import hist
import uhi.io.json

from bphcoffea.results.file_names import HISTOGRAMS


def read_histograms(path: Path) -> dict[str, hist.Hist]:
    """Return the histograms of a ``histograms.json``; axes dataset, category, variation, variable.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read, or does not contain histograms.
    """
    content = json.loads(path.read_text(), object_hook=uhi.io.json.object_hook)
    return {name: hist.Hist(histogram) for name, histogram in content.items()}


def write_histograms(
    folder: Path,
    histograms: Mapping[str, hist.Hist],
    variations: Mapping[str, Collection[str]],
    progress: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Write ``histograms.json`` (UHI) and ``histograms.root`` (:func:`.write_root`).

    Parameters
    ----------
    folder
        Folder of the run.
    histograms
        Histograms with the axes dataset, category, variation and the variable.
    variations
        Variations of each dataset.
    progress
        Called with the number of written histograms, and of all histograms.
    """
    # imports uproot, which reading does not need
    from bphcoffea.results.root_histograms import write_root

    (folder / HISTOGRAMS).write_text(
        json.dumps(dict(histograms), default=uhi.io.json.default) + "\n"
    )
    write_root(folder / "histograms.root", histograms, variations, progress)
