"""Variations of the generator's weights when a run ends: normalised to their own Σw, combined."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import hist

from bphcoffea.analysis import DOWN, NOMINAL, UP, repeated
from bphcoffea.physics import Combination

_log = logging.getLogger(__name__)


def combine_generator_variations(
    dataset: str,
    histograms: Mapping[str, hist.Hist],
    sumw: float,
    sums_of_variations: Mapping[str, float],
    combinations: Sequence[Combination],
) -> dict[str, hist.Hist]:
    """Return the histograms of a dataset with the variations that everything after a run sees.

    Each variation of the generator's weights is normalised to its own Σw before any cut, so that it
    changes shape and acceptance but not the cross section. Members of a combination, such as those
    of a PDF set, are then replaced by its two sides, bin by bin. The statistical variance of these
    is the nominal one.

    Parameters
    ----------
    dataset
        Name of the dataset, for messages.
    histograms
        Histograms with the axes category, variation and those of the variables, by name.
    sumw
        Sum of the generator weights of all events.
    sums_of_variations
        The same under each variation that is normalised to it.
    combinations
        Combinations of variations.
    """
    ratios = {}
    for name, of_variation in sums_of_variations.items():
        if sumw * of_variation > 0:
            ratios[name] = sumw / of_variation
        elif sumw:
            _log.warning(
                "dataset '%s': the Σw of the variation '%s' is %g, so it is not normalised",
                dataset,
                name,
                of_variation,
            )
    ambiguous = repeated(combination.name for combination in combinations)
    for name in ambiguous:
        _log.warning(
            "dataset '%s': its files have weights of different kinds for the variation '%s', "
            "which is left out; make them different datasets",
            dataset,
            name,
        )
    return {
        name: _finished(histogram, ratios, combinations, ambiguous)
        for name, histogram in histograms.items()
    }


def _finished(
    histogram: hist.Hist,
    ratios: Mapping[str, float],
    combinations: Sequence[Combination],
    ambiguous: Sequence[str],
) -> hist.Hist:
    variations = list(histogram.axes[1])
    if variations == [NOMINAL] or not (ratios or combinations):
        return histogram
    contents: dict[str, Any] = {}
    for position, name in enumerate(variations):
        content = contents[name] = histogram.view(flow=True)[:, position].copy()
        ratio = ratios.get(name, 1.0)
        content["value"] *= ratio
        content["variance"] *= ratio**2
    nominal = contents[NOMINAL]
    values = {name: content["value"] for name, content in contents.items()}
    sides: dict[str, Any] = {}
    for combination in combinations:
        filled = [contents.pop(name, None) for name in _used(combination)]
        # the histogram may not be filled under these variations
        if combination.name not in ambiguous and any(part is not None for part in filled):
            # a file without events may be the only one, so that nothing was filled
            of_combination = {
                name: values.get(name, nominal["value"]) for name in _used(combination)
            }
            both = combination.sides(nominal["value"], of_combination)
            for side, moved in zip((UP, DOWN), both, strict=True):
                sides[combination.name + side] = nominal.copy()
                sides[combination.name + side]["value"] = moved
    total = _empty(histogram, [*contents, *sides])
    for position, content in enumerate((*contents.values(), *sides.values())):
        total.view(flow=True)[:, position] = content
    return total


def _used(combination: Combination) -> tuple[str, ...]:
    reference = (combination.reference,) if combination.reference else ()
    return (*reference, *combination.members)


def with_variations(histogram: hist.Hist, variations: Sequence[str]) -> hist.Hist:
    """Return a histogram with other variations, filled with the nominal content if it lacks them.

    Parameters
    ----------
    histogram
        Histogram with the axes category, variation and those of the variables.
    variations
        Names of all variations.
    """
    available = list(histogram.axes[1])
    total = _empty(histogram, variations)
    places = [available.index(name if name in available else NOMINAL) for name in variations]
    # the axis has a bin for other names, which stays empty
    total.view(flow=True)[:, : len(places)] = histogram.view(flow=True)[:, places]
    return total


def _empty(histogram: hist.Hist, variations: Sequence[str]) -> hist.Hist:
    category, variation, *others = histogram.axes
    return hist.Hist(
        category,
        hist.axis.StrCategory(list(variations), name=variation.name),
        *others,
        storage=histogram.storage_type(),
    )
