"""Categories of a search for τ → 3μ from JSON, as in ``data/tau3mu_cards_2017.json``."""

import json
from pathlib import Path

import numpy as np

from bphcoffea.statistics.mass_background import Background, fit_background
from bphcoffea.statistics.shape_workspace import MassChannel
from bphcoffea.statistics.signal_shape import SignalShape

CARDS = json.loads((Path(__file__).parent / "data" / "tau3mu_cards_2017.json").read_text())


def channels(cards=CARDS, names=None):
    """Mass channels with the exponential that fits all counts, and sources named with the year."""
    low, high, width = cards["edges"]
    edges = np.linspace(low, high, round((high - low) / width) + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    found = []
    for name in names or cards["categories"]:
        category = cards["categories"][name]
        fit = fit_background(np.repeat(middles, category["observed"]))
        year = name[:4]
        sources = cards["rate_uncertainties"]
        found.append(
            MassChannel(
                name=name,
                edges=tuple(map(float, edges)),
                signal=category["signal"],
                shape=SignalShape.from_json(category["shape"]),
                # the cards have no uncertainty for the choice of the shape
                background=Background(fit.events, fit.slope, fit.slope_error),
                observed=tuple(map(float, category["observed"])),
                signal_shifts={f"{source}_{year}": shift for source, shift in sources.items()},
            )
        )
    return found
