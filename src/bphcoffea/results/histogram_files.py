"""Files of a run's histograms: JSON, which later steps read, and ROOT for other programs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Mapping
from pathlib import Path

import hist
import numpy as np
import numpy.typing as npt
import uhi.io.json
import uproot
from uproot.writing.identify import to_TH1x, to_writable

from bphcoffea.analysis import ALL, NOMINAL
from bphcoffea.arrays import Floats
from bphcoffea.results.folder import file_name


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
    folder: Path, histograms: Mapping[str, hist.Hist], variations: Mapping[str, Collection[str]]
) -> None:
    """Write ``histograms.json`` (UHI) and ``histograms.root`` (TH1 to TH3, by dataset and name).

    The path of a histogram in the ROOT file is ``dataset/name``, or ``dataset/category/name`` for
    one category, with ``_variation`` appended for a variation.

    Parameters
    ----------
    folder
        Folder of the run.
    histograms
        Histograms with the axes dataset, category, variation and the variable.
    variations
        Variations of each dataset. The ROOT file leaves out all others, which are copies of the
        nominal histogram.
    """
    (folder / "histograms.json").write_text(
        json.dumps(dict(histograms), default=uhi.io.json.default) + "\n"
    )
    with uproot.recreate(folder / "histograms.root") as file:
        for name, histogram in histograms.items():
            axes, content = histogram.axes, histogram.view(flow=True)
            if len(axes) == 4:
                xaxis = to_writable(histogram[0, 0, 0, :]).member("fXaxis")
                centers = (axes[-1].edges[:-1] + axes[-1].edges[1:]) / 2.0
            for i, j, k in itertools.product(*(range(len(axis)) for axis in axes[:3])):
                dataset, category, variation = axes[0][i], axes[1][j], axes[2][k]
                if variation not in (NOMINAL, *variations.get(dataset, ())):
                    continue
                place = [file_name(dataset)]
                if category != ALL:
                    place.append(category)
                place.append(name if variation == NOMINAL else f"{name}_{variation}")
                file["/".join(place)] = (
                    _th1(content[i, j, k], centers, xaxis)
                    if len(axes) == 4
                    else histogram[i, j, k, ...]
                )


def _th1(content: npt.NDArray[np.void], centers: Floats, xaxis: object) -> object:
    """Return the TH1 of one spectrum with flow bins, as uproot converts a histogram."""
    data, variances = content["value"].astype(">f8"), content["variance"].astype(">f8")
    values = content["value"][1:-1]
    return to_TH1x(
        fName=None,
        fTitle="",
        data=data,
        fEntries=data.sum(),
        fTsumw=values.sum(),
        fTsumw2=values.sum(),
        fTsumwx=(values * centers).sum(),
        fTsumwx2=(values * centers**2).sum(),
        fSumw2=variances,
        fXaxis=xaxis,
    )
