"""Simulated long-lived signal at a few masses and lifetimes, and what it tells of all others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bphcoffea.errors import InputError
from bphcoffea.execution.folder import RunFolder
from bphcoffea.execution.normalisation import generated
from bphcoffea.inference.sidebands import signal_window
from bphcoffea.physics.lifetimes import lifetime_weight

Floats = npt.NDArray[np.float64]

#: Columns of the candidates' table.
MASS, LENGTH, CATEGORY, WEIGHT = "hnl_mass", "gen_proper_length", "category", "weight"
#: Quantiles of a Gaussian at one standard deviation below and above its mean.
_SIGMA = (0.158655, 0.841345)


def width_of(masses: Floats) -> float:
    """Return half the width of the central 68% of measured masses, GeV, shape (n,)."""
    low, high = np.quantile(masses, _SIGMA)
    return float(high - low) / 2


@dataclass(frozen=True)
class Sample:
    """Selected candidates of one simulated sample.

    Attributes
    ----------
    name
        The dataset.
    mass, ctau
        Generated: GeV, and mean proper decay length, mm.
    sumw_before_cuts
        Sum of generator weights times pile-up weights of all events, ``sumw`` in the first row of
        the cutflow, over the efficiencies of generator's filter and skim. The weights of candidates
        hold the pile-up too, so that it cancels.
    masses, lengths, weights
        Measured mass, GeV, generated proper length, mm, and weight of each candidate, shape (n,).
    categories
        Its category, shape (n,).
    """

    name: str
    mass: float
    ctau: float
    sumw_before_cuts: float
    masses: Floats
    lengths: Floats
    weights: Floats
    categories: npt.NDArray[Any]

    @property
    def width(self) -> float:
        """Half the central 68% of the measured masses, GeV."""
        return width_of(self.masses)

    def efficiency(self, category: str, ctau: float) -> tuple[float, float]:
        """Part of the decays that a category's window holds, and its statistical error.

        Parameters
        ----------
        category
            Its name.
        ctau
            Mean proper decay length, mm, to which the sample is weighted.
        """
        low, high = signal_window(self.mass, self.width)
        chosen = (self.categories == category) & (self.masses > low) & (self.masses < high)
        weights = self.weights[chosen] * lifetime_weight(self.lengths[chosen], self.ctau, ctau)
        error = math.sqrt(np.sum(weights**2))
        return float(np.sum(weights)) / self.sumw_before_cuts, error / self.sumw_before_cuts


class Signals:
    """The signal samples of a run.

    Parameters
    ----------
    samples
        Of some masses and lifetimes.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = tuple(samples)

    @classmethod
    def of_run(cls, run: RunFolder) -> Signals:
        """Those of a run's folder: simulation whose ``kind`` is signal, with ``mass`` and ``ctau``.

        Raises
        ------
        InputError
            When there are none, or one lacks what is needed.
        """
        samples = []
        for name, known in run.datasets.items():
            if known["is_mc"] and known.get("kind") == "signal":
                samples.append(_sample(run, name, known))
        if not samples:
            raise InputError(f"{run.path}: no simulated signal; limits need some")
        return cls(samples)

    @property
    def masses(self) -> list[float]:
        """The generated masses, GeV, in order."""
        return sorted({sample.mass for sample in self.samples})

    def width(self, mass: float) -> float:
        """Width of the measured mass, GeV; between generated masses that of a straight line."""
        masses = self.masses
        widths = [
            float(np.median([s.width for s in self.samples if s.mass == generated]))
            for generated in masses
        ]
        self._check(mass)
        return float(np.interp(mass, masses, widths))

    def efficiency(self, category: str, mass: float, ctau: float) -> tuple[float, float]:
        """Efficiency of a category's window, and its statistical error.

        The generated lifetime that is nearest in the logarithm is weighted. Between generated
        masses the logarithm of the efficiency is a straight line.

        Parameters
        ----------
        category
            Its name.
        mass, ctau
            GeV and mm.
        """
        self._check(mass)
        masses = self.masses
        above = min(int(np.searchsorted(masses, mass)), len(masses) - 1)
        if math.isclose(masses[above], mass, rel_tol=1e-9):
            return self.nearest(masses[above], ctau).efficiency(category, ctau)
        below = above - 1
        part = (mass - masses[below]) / (masses[above] - masses[below])
        ends = [
            self.nearest(masses[place], ctau).efficiency(category, ctau) for place in (below, above)
        ]
        if min(value for value, _ in ends) <= 0:
            value = (1 - part) * ends[0][0] + part * ends[1][0]
            return value, math.hypot((1 - part) * ends[0][1], part * ends[1][1])
        value = ends[0][0] ** (1 - part) * ends[1][0] ** part
        relative = [error / own for own, error in ends]
        return value, value * math.hypot((1 - part) * relative[0], part * relative[1])

    def nearest(self, mass: float, ctau: float) -> Sample:
        """The sample of a generated mass, GeV, whose lifetime is nearest in the logarithm."""
        own = [sample for sample in self.samples if sample.mass == mass]
        return min(own, key=lambda sample: abs(math.log(sample.ctau / ctau)))

    def _check(self, mass: float) -> None:
        low, high = self.masses[0], self.masses[-1]
        if not low * (1 - 1e-9) <= mass <= high * (1 + 1e-9):
            raise InputError(f"mass {mass:g} GeV: signal is simulated from {low:g} to {high:g} GeV")


def _sample(run: RunFolder, name: str, known: Mapping[str, Any]) -> Sample:
    lacking = [key for key in ("mass", "ctau") if known.get(key) is None]
    if lacking:
        raise InputError(
            f"{run.path}: dataset '{name}' has no {' and '.join(lacking)} in its metadata"
        )
    table = run.candidates(name)
    missing = sorted({MASS, LENGTH, CATEGORY, WEIGHT} - set(table.column_names))
    if missing:
        raise InputError(
            f"{run.path}: the candidates of '{name}' lack {', '.join(missing)}; is it a run of hnl?"
        )
    if not table.num_rows:
        raise InputError(f"{run.path}: nothing of the signal '{name}' is selected")
    columns = {key: table[key].to_numpy() for key in (MASS, LENGTH, WEIGHT)}
    return Sample(
        name=name,
        mass=float(known["mass"]),
        ctau=float(known["ctau"]),
        sumw_before_cuts=generated(known, float(run.cutflow[name][0]["sumw"])),
        masses=columns[MASS].astype(np.float64),
        lengths=columns[LENGTH].astype(np.float64),
        weights=columns[WEIGHT].astype(np.float64),
        categories=np.array(table[CATEGORY].to_pylist()),
    )
