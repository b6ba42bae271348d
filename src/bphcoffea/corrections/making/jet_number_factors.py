"""Normalisation of the weights of a b tagger's shape, from the number of jets in two runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import hist
import numpy as np
from correctionlib import schemav2 as schema

from bphcoffea.corrections.making.histograms import Converted
from bphcoffea.errors import CorrectionsError

_INPUTS: Final = (
    schema.Variable(name="systematic", type="string"),
    schema.Variable(name="n_jets", type="real", description="number of jets"),
)


def btag_normalisation(
    without: hist.Hist, weighted: Mapping[str, hist.Hist], name: str
) -> Converted:
    """Make the factors that keep the number of events with each number of jets.

    The factor is the ratio of Σw without and with the weights of b tagging; values outside the bins
    get that of the nearest bin. A bin without events, or with a Σw that is not positive, has the
    factor 1.

    Parameters
    ----------
    without
        Number of jets of all events, without the weights.
    weighted
        The same with the weights, in the same bins: ``central``, and under each variation.
    name
        Name of the correction.

    Raises
    ------
    CorrectionsError
        If a histogram has several axes, or they have different bins.
    """
    for histogram in (without, *weighted.values()):
        if len(histogram.axes) != 1:
            raise CorrectionsError(
                f"a histogram of the number of jets has {len(histogram.axes)} axes, not one"
            )
        if not np.array_equal(histogram.axes[0].edges, without.axes[0].edges):
            raise CorrectionsError("the numbers of jets of the two runs are in different bins")
    before, notes, by_key = without.values(), list[str](), []
    for key, histogram in weighted.items():
        after = histogram.values()
        positive = (before > 0) & (after > 0)
        factors = np.ones(len(before))
        factors[positive] = before[positive] / after[positive]
        lacking = int(np.count_nonzero(~positive & ((before != 0) | (after != 0))))
        if lacking:
            notes.append(f"{key}: {lacking} bins have no positive Σw; the factor is 1")
        node = schema.Binning.model_validate(
            {
                "nodetype": "binning",
                "input": "n_jets",
                "edges": without.axes[0].edges.tolist(),
                "content": factors.tolist(),
                "flow": "clamp",
            }
        )
        by_key.append(schema.CategoryItem(key=key, value=node))
    correction = schema.Correction(
        name=name,
        version=1,
        inputs=list(_INPUTS),
        output=schema.Variable(name="factor", type="real"),
        data=schema.Category(nodetype="category", input="systematic", content=by_key),
    )
    return Converted(correction, tuple(notes))
