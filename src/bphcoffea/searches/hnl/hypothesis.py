"""Backgrounds and signal of one mass of a heavy neutral lepton, for any mixing.

The uncertainty of the width of N moves its lifetime and its branching fraction together, at the
tested |V|². If N lives long, the two effects cancel; else a larger width leaves fewer decays, most
of all in categories of long flights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.physics import Window
from bphcoffea.searches.hnl.rates import MAXIMUM_MASS, MINIMUM_MASS, Neutrino
from bphcoffea.searches.hnl.signals import Efficiency, Signals
from bphcoffea.statistics import (
    NEGLIGIBLE,
    Channel,
    SidebandFit,
    Workspace,
    counting_workspace,
    fit_sidebands,
)

#: Name of the uncertainty of the width of N.
WIDTH: Final = "hnl_width"


@dataclass(frozen=True)
class Hypothesis:
    """Backgrounds and uncertainties at one mass, for any mixing.

    Attributes
    ----------
    mass, width
        Mass of N, and width of its measured mass, GeV.
    categories
        Background and observed events of each category; None for the latter if blinded.
    uncertainties
        Relative uncertainties of the signal that all categories share, by source.
    """

    mass: float
    width: float
    categories: Mapping[str, tuple[SidebandFit, int | None]]
    uncertainties: Mapping[str, float]

    @classmethod
    def of_candidates(
        cls,
        mass: float,
        width: float,
        candidates: Mapping[str, Floats],
        uncertainties: Mapping[str, float],
        *,
        unblind: bool,
        hidden: Sequence[Window] = (),
    ) -> Hypothesis:
        """Predict the background of each category, and count its data if it is not blinded.

        Parameters
        ----------
        mass, width, uncertainties
            See :class:`Hypothesis`.
        candidates
            Measured masses in the data of each category, GeV, shapes (n,).
        unblind
            Use the data in the windows.
        hidden
            Windows whose data the candidates lack, GeV.
        """
        categories: dict[str, tuple[SidebandFit, int | None]] = {}
        for name, masses in candidates.items():
            fit = fit_sidebands(
                masses,
                mass=mass,
                resolution=width,
                allowed=(MINIMUM_MASS, MAXIMUM_MASS),
                hidden=hidden,
            )
            low, high = fit.window
            inside = int(np.count_nonzero((masses > low) & (masses < high)))
            categories[name] = fit, inside if unblind else None
        return cls(mass, width, categories, uncertainties)

    @property
    def blinded(self) -> bool:
        """Whether the data in a window were not used."""
        return any(observed is None for _, observed in self.categories.values())

    def workspace(self, mixing: float, signals: Signals, decays: float) -> Workspace:
        """Return the workspace at a mixing; for the parameters see :meth:`channels`."""
        channels = self.channels(mixing, signals, decays)
        return counting_workspace(channels, self.uncertainties, blinded=self.blinded)

    def channels(self, mixing: float, signals: Signals, decays: float) -> list[Channel]:
        """Return the counting experiments at a mixing.

        Parameters
        ----------
        mixing
            |V|².
        signals
            Simulated signal.
        decays
            Number of Ds decays of any kind.
        """
        natures = [signals.neutrino.shifted(sigmas) for sigmas in (0, 1, -1)]
        rates = [nature.branching_product(self.mass, mixing) for nature in natures]
        channels = []
        for name, (background, observed) in self.categories.items():
            efficiencies = [self._efficiency(name, mixing, signals, nature) for nature in natures]
            nominal, up, down = (
                decays * rate * efficiency.value
                for rate, efficiency in zip(rates, efficiencies, strict=True)
            )
            stat = shift = 0.0
            if min(nominal, up, down) > 0:
                stat = efficiencies[0].error / efficiencies[0].value
                shift = math.sqrt(up / down) - 1
            channels.append(
                Channel(
                    name=name,
                    signal=nominal,
                    background=background.prediction,
                    observed=observed,
                    signal_stat=stat,
                    background_stat=background.stat,
                    background_shape=background.shape_uncertainty,
                    signal_shifts={WIDTH: shift} if abs(shift) > NEGLIGIBLE else {},
                )
            )
        return channels

    def bound(self, category: str, mixing: float, signals: Signals, decays: float) -> float | None:
        """Return the upper bound (95%) of the events in a category without simulated ones.

        The model sets the signal to 0 in such a category, which excludes less. None if the category
        has simulated events. For the parameters see :meth:`channels`.
        """
        bound = self._efficiency(category, mixing, signals, signals.neutrino).bound
        if bound is None:
            return None
        return decays * signals.neutrino.branching_product(self.mass, mixing) * bound

    def _efficiency(
        self, category: str, mixing: float, signals: Signals, neutrino: Neutrino
    ) -> Efficiency:
        ctau = neutrino.ctau_from_mixing(self.mass, mixing)
        window = self.categories[category][0].window
        return signals.efficiency(category, self.mass, ctau, window)
