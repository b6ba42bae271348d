"""Histograms of a run as ROOT file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import hist
import numpy as np
import numpy.typing as npt
import uproot
from uproot.writing.identify import to_TH1x, to_writable

from bphcoffea.analysis import ALL, NOMINAL
from bphcoffea.arrays import Floats
from bphcoffea.results.file_names import file_name


def write_root(
    path: Path,
    histograms: Mapping[str, hist.Hist],
    variations: Mapping[str, Collection[str]],
    progress: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Write histograms as TH1 to TH3, by dataset and name.

    The path of a histogram in the file is ``dataset/name``, or ``dataset/category/name`` for one
    category, with ``_variation`` appended for a variation. Variations with the nominal content are
    left out: most shifts do not change most histograms, and writing them takes a millisecond each.

    Parameters
    ----------
    path
        The new file.
    histograms
        Histograms with the axes dataset, category, variation and the variable.
    variations
        Variations of each dataset; all others are left out.
    progress
        Called with the number of written histograms, and of all histograms.
    """
    with uproot.recreate(path) as file:
        for number, (name, histogram) in enumerate(histograms.items()):
            progress(number, len(histograms))
            axes, content = histogram.axes, histogram.view(flow=True)
            if len(axes) == 4:
                xaxis = to_writable(histogram[0, 0, 0, :]).member("fXaxis")
                centers = (axes[-1].edges[:-1] + axes[-1].edges[1:]) / 2.0
            nominal = axes[2].index(NOMINAL)
            for i, j, k in itertools.product(*(range(len(axis)) for axis in axes[:3])):
                dataset, category, variation = axes[0][i], axes[1][j], axes[2][k]
                if k != nominal and (
                    variation not in variations.get(dataset, ())
                    or np.array_equal(content[i, j, k], content[i, j, nominal])
                ):
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
        progress(len(histograms), len(histograms))


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
