"""Backgrounds and signal of one mass of a heavy neutral lepton, for any mixing.

The uncertainty of the width of N moves its lifetime and its branching fraction together, at the
tested |V|². If N lives long, the two effects cancel; else a larger width leaves fewer decays, most
of all in categories of long flights.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.physics import Window
from bphcoffea.searches.hnl.limit_record import (
    CategoryCount,
    MassLimit,
    MixingPoint,
    SignalYield,
)
from bphcoffea.searches.hnl.rates import MAXIMUM_MASS, MINIMUM_MASS
from bphcoffea.searches.hnl.signals import Signals
from bphcoffea.statistics import (
    NEGLIGIBLE,
    Channel,
    Scan,
    Workspace,
    counting_workspace,
    fit_sidebands,
)

#: Name of the uncertainty of the width of N.
WIDTH: Final = "hnl_width"
#: Longest lifetime of a scan, in units of the longest generated one. The shortest is that of
#: |V|² = 1.
LONGER: Final = 20.0


class Hypothesis:
    """Backgrounds, signal and uncertainties at one mass, for any mixing.

    Parameters
    ----------
    mass
        Mass of N, GeV.
    signals
        Simulated signal.
    decays
        Number of Ds decays of any kind.
    candidates
        Measured masses in the data of each category, GeV, shapes (n,).
    uncertainties
        Relative uncertainties of the signal that all categories share, by source.
    unblind
        Use the data in the windows.
    hidden
        Windows whose data the candidates lack, GeV.
    """

    def __init__(
        self,
        mass: float,
        signals: Signals,
        decays: float,
        candidates: Mapping[str, Floats],
        uncertainties: Mapping[str, float],
        *,
        unblind: bool,
        hidden: Sequence[Window] = (),
    ) -> None:
        self.mass, self.signals, self.decays = mass, signals, decays
        self.uncertainties, self.blinded = uncertainties, not unblind
        self.width = signals.width(mass)
        self.categories: dict[str, CategoryCount] = {}
        for name, masses in candidates.items():
            fit = fit_sidebands(
                masses,
                mass=mass,
                resolution=self.width,
                allowed=(MINIMUM_MASS, MAXIMUM_MASS),
                hidden=hidden,
            )
            low, high = fit.window
            inside = int(np.count_nonzero((masses > low) & (masses < high)))
            observed = inside if unblind else None
            self.categories[name] = CategoryCount(**vars(fit), observed=observed)
        self.signal = functools.cache(self._signal)

    def mixings(self, points: int) -> list[float]:
        """Return the mixings with which a scan begins, ascending."""
        neutrino = self.signals.neutrino
        # a mixing of 1 has the shortest lifetime
        shortest = (1 + 1e-9) * neutrino.ctau_from_mixing(self.mass, 1.0)
        longest = LONGER * max(sample.ctau for sample in self.signals.samples)
        lengths = np.geomspace(shortest, longest, points)
        return sorted(float(neutrino.mixing_from_ctau(self.mass, length)) for length in lengths)

    def channels(self, mixing: float) -> list[Channel]:
        """Return the counting experiments at a mixing."""
        signal = self.signal(mixing)
        return [category.channel(name, signal[name]) for name, category in self.categories.items()]

    def workspace(self, mixing: float) -> Workspace:
        """Return the workspace at a mixing."""
        return counting_workspace(self.channels(mixing), self.uncertainties, blinded=self.blinded)

    def _signal(self, mixing: float) -> dict[str, SignalYield]:
        """Return the expected signal of each category at a mixing.

        The model sets the signal to 0 in a category without simulated events, which excludes less.
        """
        natures = [self.signals.neutrino.shifted(sigmas) for sigmas in (0, 1, -1)]
        rates = [nature.branching_product(self.mass, mixing) for nature in natures]
        lengths = [nature.ctau_from_mixing(self.mass, mixing) for nature in natures]
        signal = {}
        for name, category in self.categories.items():
            efficiencies = [
                self.signals.efficiency(name, self.mass, ctau, category.window) for ctau in lengths
            ]
            nominal, up, down = (
                self.decays * rate * efficiency.value
                for rate, efficiency in zip(rates, efficiencies, strict=True)
            )
            stat = shift = 0.0
            if min(nominal, up, down) > 0:
                stat = efficiencies[0].error / efficiencies[0].value
                shift = math.sqrt(up / down) - 1
            shifts = {WIDTH: shift} if abs(shift) > NEGLIGIBLE else {}
            bound = efficiencies[0].bound if nominal <= 0 else None
            events = None if bound is None else self.decays * rates[0] * bound
            signal[name] = SignalYield(nominal, stat, shifts, events)
        return signal

    def record(self, scanned: Scan) -> MassLimit:
        """Return the record of a scan."""
        return MassLimit(
            mass=self.mass,
            width=self.width,
            uncertainties=self.uncertainties,
            categories=self.categories,
            level=scanned.level,
            points=tuple(
                MixingPoint(
                    **vars(result),
                    mixing=mixing,
                    ctau=self.signals.neutrino.ctau_from_mixing(self.mass, mixing),
                    signal=self.signal(mixing),
                )
                for mixing, result in zip(scanned.points, scanned.results, strict=True)
            ),
            observed=scanned.observed,
            expected=scanned.expected,
        )
