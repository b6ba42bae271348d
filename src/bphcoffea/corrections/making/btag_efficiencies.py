"""Efficiencies of b tagging in simulation, from histograms of jets and of tagged jets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import hist
import numpy as np
from correctionlib import schemav2 as schema

from bphcoffea.arrays import Floats
from bphcoffea.corrections.making.histograms import Converted
from bphcoffea.errors import CorrectionsError

#: Flavours of jets: no heavy hadron, c hadron, b hadron.
FLAVOURS: Final = (0, 4, 5)
_INPUTS: Final = (
    schema.Variable(name="working_point", type="string"),
    schema.Variable(name="flavor", type="int", description="hadron flavour: 0, 4 or 5"),
    schema.Variable(name="abseta", type="real"),
    schema.Variable(name="pt", type="real", description="GeV"),
)


def btag_efficiencies(jets: hist.Hist, tagged: Mapping[str, hist.Hist], name: str) -> Converted:
    """Make the efficiencies with which jets of each flavour pass working points.

    The correction takes ``working_point``, ``flavor``, ``abseta`` and ``pt``; values outside the
    bins get the efficiency of the nearest bin. A bin without jets gets the efficiency of all jets
    of its flavour.

    Parameters
    ----------
    jets
        All jets, with the axes flavour, |η| and pT (GeV).
    tagged
        Jets that pass each working point, in the same bins.
    name
        Name of the correction.

    Raises
    ------
    CorrectionsError
        If a histogram has other axes, or its axis of flavours does not separate 0, 4 and 5.
    """
    for histogram in (jets, *tagged.values()):
        if len(histogram.axes) != 3:
            raise CorrectionsError(
                f"a histogram of jets has {len(histogram.axes)} axes, but must have three: "
                "flavour, |η| and pT"
            )
    flavours, *axes = jets.axes
    for working_point, histogram in tagged.items():
        if any(
            not np.array_equal(axis.edges, other.edges)
            for axis, other in zip(jets.axes, histogram.axes, strict=True)
        ):
            raise CorrectionsError(
                f"working point '{working_point}': the tagged jets have other bins than all jets"
            )
    places = [int(flavours.index(flavour)) for flavour in FLAVOURS]
    if len({*places} - {-1, len(flavours)}) < len(FLAVOURS):
        raise CorrectionsError(
            f"the axis '{flavours.name}' does not separate the flavours 0, 4 and 5; the axes "
            "must be flavour, |η| and pT, in this order"
        )
    notes: list[str] = []
    by_working_point = []
    for working_point, histogram in tagged.items():
        by_flavour = []
        for flavour, place in zip(FLAVOURS, places, strict=True):
            where = f"{working_point}, flavour {flavour}"
            values = _ratio(histogram.values()[place], jets.values()[place], where, notes)
            node = schema.MultiBinning.model_validate(
                {
                    "nodetype": "multibinning",
                    "inputs": ["abseta", "pt"],
                    "edges": [axis.edges.tolist() for axis in axes],
                    "content": values.ravel().tolist(),
                    "flow": "clamp",
                }
            )
            by_flavour.append(schema.CategoryItem(key=flavour, value=node))
        of_flavours = schema.Category(nodetype="category", input="flavor", content=by_flavour)
        by_working_point.append(schema.CategoryItem(key=working_point, value=of_flavours))
    correction = schema.Correction(
        name=name,
        version=1,
        inputs=list(_INPUTS),
        output=schema.Variable(name="efficiency", type="real"),
        data=schema.Category(nodetype="category", input="working_point", content=by_working_point),
    )
    return Converted(correction, tuple(notes))


def _ratio(tagged: Floats, jets: Floats, where: str, notes: list[str]) -> Floats:
    """Return the efficiency in each bin; notes receive what was not a plain ratio."""
    total = float(np.sum(jets))
    overall = float(np.sum(tagged)) / total if total > 0 else 0.0
    filled = jets > 0
    if not total > 0:
        notes.append(f"{where}: no jets; the efficiency is 0")
    elif not np.all(filled):
        notes.append(
            f"{where}: {np.count_nonzero(~filled)} of {filled.size} bins without jets get the "
            f"efficiency of all bins, {overall:.3g}"
        )
    values = np.full(jets.shape, overall)
    values[filled] = tagged[filled] / jets[filled]
    wrong = (values < 0) | (values > 1)
    if np.any(wrong):
        notes.append(
            f"{where}: {np.count_nonzero(wrong)} of {filled.size} efficiencies are below 0 or "
            "above 1, because of negative weights, and are set to 0 or 1; use wider bins"
        )
    clipped: Floats = np.clip(values, 0, 1)
    return clipped
