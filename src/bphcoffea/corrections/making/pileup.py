"""Pile-up weights from histograms of weights, or from profiles of data and simulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from correctionlib.schemav2 import Correction, Variable

from bphcoffea.corrections.making.histograms import Converted, binned, category
from bphcoffea.corrections.making.sources import Histogram, read_histogram, read_numbers
from bphcoffea.errors import CorrectionsError

#: Largest fraction of the data's pile-up profile that may have no simulated events.
MOST_LOST: Final = 0.01
#: Largest difference between the same edges of two histograms, relative to the width of a bin.
_SAME: Final = 1e-6

_NUM_TRUE_INTERACTIONS: Final = Variable(
    name="NumTrueInteractions", type="real", description="Number of true interactions"
)
_PILEUP_WEIGHTS: Final = Variable(
    name="weights", type="string", description="nominal, up, or down, where there are such"
)
#: Suffixes of files with a list of probabilities, one per number of interactions.
_LISTS: Final = (".json", ".txt", ".csv", ".dat")


def pileup_from_histograms(
    nominal: str, name: str, up: str | None = None, down: str | None = None
) -> Converted:
    """Make pile-up weights from histograms of weights.

    The correction has the inputs and the structure of the files of CMS's luminosity group
    (``puWeights.json.gz``): ``NumTrueInteractions`` and ``weights``, which is nominal, up or down.
    Values outside the bins get the weight of the nearest bin.

    Parameters
    ----------
    nominal, up, down
        ``file.root:path/of/histogram``, each a TH1 of weights. Up and down go together; without
        them, the correction has the nominal weight only.
    name
        Name of the correction.

    Raises
    ------
    CorrectionsError
        If a histogram cannot be used (see :func:`from_histogram`), or only one of up and down is
        given.
    """
    histograms = {key: _one_axis(source) for key, source in _variations(nominal, up, down).items()}
    return Converted(_pileup(name, histograms))


def pileup_from_profiles(
    data: str,
    simulation: str,
    name: str,
    data_up: str | None = None,
    data_down: str | None = None,
) -> Converted:
    """Make pile-up weights from the profiles of data and simulation.

    Both profiles are normalised to 1, and that of data is divided by that of simulation. In bins
    without simulation the weight is 0, and the fraction of data there is lost: the mean weight of
    simulated events is lower than 1 by this fraction. The correction has the inputs of
    :func:`pileup_from_histograms`.

    Parameters
    ----------
    data, data_up, data_down
        ``file.root:path/of/histogram``, each a TH1 as ``pileupCalc`` makes it: nominal, and with
        the cross section of inelastic collisions shifted. Up and down go together.
    simulation
        Such a TH1, or a text or JSON list of the probabilities of 0, 1, 2, … interactions with the
        suffix .json, .txt, .csv or .dat.
    name
        Name of the correction.

    Returns
    -------
    Converted
        A note reports the fraction of a profile of data that is lost.

    Raises
    ------
    CorrectionsError
        If a histogram cannot be used (see :func:`from_histogram`), if bins differ in width or don't
        begin at common edges (one profile may reach further than the other), or if more than 1% of
        the data are lost.
    """
    sources = _variations(data, data_up, data_down)
    simulated = _simulated(simulation)
    weights, notes = {}, []
    for key, source in sources.items():
        weights[key], lost = _ratio(_one_axis(source), simulated)
        # smaller fractions may be rounding errors of the sum
        if lost > len(weights[key].values) * np.finfo(float).eps:
            loss = f"{100 * lost:.2g}% of the data's profile has no simulated events"
            if lost > MOST_LOST:
                raise CorrectionsError(
                    f"{source}: {loss} in {simulation}; take the profile that was simulated"
                )
            notes.append(loss if key == "nominal" else f"{key}: {loss}")
    return Converted(_pileup(name, weights), tuple(notes))


def _variations(nominal: str, up: str | None, down: str | None) -> dict[str, str]:
    if up is None and down is None:
        return {"nominal": nominal}
    if up is None or down is None:
        raise CorrectionsError(f"{up or down}: up and down go together; give the other one as well")
    return {"nominal": nominal, "up": up, "down": down}


def _pileup(name: str, weights: Mapping[str, Histogram]) -> Correction:
    variable = _NUM_TRUE_INTERACTIONS.name
    return Correction(
        name=name,
        version=1,
        inputs=[_NUM_TRUE_INTERACTIONS, _PILEUP_WEIGHTS],
        output=Variable(
            name="weight", type="real", description="Event weight for pileup reweighting"
        ),
        data=category(
            _PILEUP_WEIGHTS.name,
            {key: binned(h.values, h, [variable], "clamp") for key, h in weights.items()},
        ),
    )


def _one_axis(source: str) -> Histogram:
    histogram = read_histogram(source)
    if histogram.values.ndim != 1:
        raise CorrectionsError(f"{source}: is a TH2; pile-up has one axis, so give a TH1")
    return histogram


def _simulated(source: str) -> Histogram:
    if not source.endswith(_LISTS):
        return _one_axis(source)
    numbers = read_numbers(source)
    edges = np.arange(len(numbers) + 1, dtype=np.float64)
    return Histogram(source, (edges,), numbers, np.zeros_like(numbers))


def _ratio(data: Histogram, simulated: Histogram) -> tuple[Histogram, float]:
    """Return the weights over the range of both, and the fraction of data without simulation."""
    width = _width(simulated)
    offset = (data.edges[0][0] - simulated.edges[0][0]) / width
    first = round(offset)
    bins = max(len(data.values), len(simulated.values))
    if abs(_width(data) / width - 1) * bins > _SAME or abs(offset - first) > _SAME:
        (of_data,), (of_simulation,) = data.edges, simulated.edges
        raise CorrectionsError(
            f"{data.source}: its bins ({len(of_data) - 1} from {of_data[0]:g} to {of_data[-1]:g}) "
            f"don't fit on those of {simulated.source} ({len(of_simulation) - 1} from "
            f"{of_simulation[0]:g} to {of_simulation[-1]:g}); make both with bins of the same "
            "width that begin at common edges"
        )
    begin = min(0, first)
    end = max(len(simulated.values), first + len(data.values))
    profiles = []
    for values, at in ((data.values, first), (simulated.values, 0)):
        profile = np.zeros(end - begin)
        profile[at - begin : at - begin + len(values)] = values / values.sum()
        profiles.append(profile)
    of_data, of_simulation = profiles
    weights = np.divide(of_data, of_simulation, out=np.zeros_like(of_data), where=of_simulation > 0)
    lost = float(of_data[of_simulation == 0].sum())
    edges = simulated.edges[0][0] + width * np.arange(begin, end + 1)
    return Histogram(data.source, (edges,), weights, np.zeros_like(weights)), lost


def _width(histogram: Histogram) -> float:
    """Return the width of the bins, which must be equal."""
    (edges,) = histogram.edges
    width = float(edges[-1] - edges[0]) / (len(edges) - 1)
    if np.abs(np.diff(edges) / width - 1).max() > _SAME:
        raise CorrectionsError(
            f"{histogram.source}: its bins differ in width; make the profile with equal ones"
        )
    return width
