"""Simulated long-lived signal at a few masses and lifetimes, and what it tells of all others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bphcoffea.arrays import Floats
from bphcoffea.errors import InputError
from bphcoffea.physics.lifetimes import mixture_weight
from bphcoffea.physics.resolution import width_of
from bphcoffea.physics.windows import Window
from bphcoffea.results.folder import RunFolder
from bphcoffea.results.normalisation import generated
from bphcoffea.results.records import DatasetRecord
from bphcoffea.searches.hnl.rates import Neutrino

EVERYWHERE: Final = (-math.inf, math.inf)

#: Columns of the candidates' table.
MASS, LENGTH, CATEGORY, WEIGHT = "hnl_mass", "gen_proper_length", "category", "weight"
#: How names of categories begin: charges of the two muons.
SAME_SIGN, OPPOSITE_SIGN = "SS", "OS"


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
    generated
        Effective number of generated events, which tells how precise the sample is among those of
        the same mass.
    """

    name: str
    mass: float
    ctau: float
    sumw_before_cuts: float
    masses: Floats
    lengths: Floats
    weights: Floats
    categories: npt.NDArray[Any]
    generated: float = 1.0

    @property
    def width(self) -> float:
        """Half the central 68% of the measured masses, GeV."""
        return width_of(self.masses)


@dataclass(frozen=True)
class Efficiency:
    """Part of the decays that is selected in the window of a category.

    Attributes
    ----------
    value, error
        The efficiency, and its statistical error.
    bound
        Upper bound at 95% confidence where no simulated event is selected; else None.
    """

    value: float
    error: float
    bound: float | None = None


class Signals:
    """The signal samples of a run.

    Parameters
    ----------
    samples
        Of some masses and lifetimes. For a Dirac N they hold decays with muons of opposite
        charges alone.
    neutrino
        Nature of N.
    """

    def __init__(self, samples: Sequence[Sample], neutrino: Neutrino | None = None) -> None:
        self.samples = tuple(samples)
        self.neutrino = neutrino or Neutrino()

    @classmethod
    def of_run(cls, run: RunFolder, neutrino: Neutrino | None = None) -> Signals:
        """Read the simulation of a run whose ``kind`` is signal, with its ``mass`` and ``ctau``.

        Simulation is of a Majorana N unless its metadata say ``"neutrino": "dirac"``. A Majorana
        simulation stands for a Dirac N as well: without the decays with muons of equal charges
        (categories SS…), and with twice as many of the others (OS…).

        Raises
        ------
        InputError
            If there are none, one lacks what is needed, or it is of a Dirac N while a Majorana N
            is asked for.
        """
        neutrino = neutrino or Neutrino()
        samples = []
        for name, known in run.datasets.items():
            if known.is_mc and known.kind == "signal":
                sample = _sample(run, name, known)
                samples.append(_of_nature(run, sample, known.neutrino, neutrino))
        if not samples:
            raise InputError(f"{run.path}: no simulated signal; limits need some")
        return cls(samples, neutrino)

    @property
    def masses(self) -> list[float]:
        """The generated masses, GeV, in order."""
        return sorted({sample.mass for sample in self.samples})

    def of_mass(self, mass: float) -> list[Sample]:
        """Return the samples of a generated mass, GeV."""
        return [sample for sample in self.samples if sample.mass == mass]

    def has(self, category: str) -> bool:
        """Return whether N can decay to a category: a Dirac N has no muons of equal charges."""
        return self.neutrino.majorana or not category.startswith(SAME_SIGN)

    def is_generated(self, mass: float) -> bool:
        """Return whether a mass, GeV, is a generated one."""
        return any(math.isclose(mass, own, rel_tol=1e-9) for own in self.masses)

    def width(self, mass: float) -> float:
        """Width of the measured mass, GeV; between generated masses that of a straight line."""
        masses = self.masses
        widths = [
            float(np.median([sample.width for sample in self.of_mass(generated)]))
            for generated in masses
        ]
        self._check(mass)
        return float(np.interp(mass, masses, widths))

    def efficiency(self, category: str, mass: float, ctau: float, window: Window) -> Efficiency:
        """Efficiency of a category's window.

        All samples of a generated mass are weighted to the lifetime together. Between generated
        masses the logarithm of the efficiency is a straight line; the window keeps its distance
        from the mass, in widths.

        Parameters
        ----------
        category
            Its name.
        mass, ctau
            GeV and mm.
        window
            In which candidates are counted: that of the hypothesis, GeV.
        """
        self._check(mass)
        masses = self.masses
        at = min(int(np.searchsorted(masses, mass * (1 - 1e-9))), len(masses) - 1)
        if self.is_generated(mass):
            return self._at_generated(category, masses[at], ctau, window)
        part = (mass - masses[at - 1]) / (masses[at] - masses[at - 1])
        below, above = (
            self._at_generated(category, end, ctau, self._moved(window, mass, end))
            for end in masses[at - 1 : at + 1]
        )
        bound = None
        if min(below.value, above.value) <= 0:
            value = (1 - part) * below.value + part * above.value
            error = math.hypot((1 - part) * below.error, part * above.error)
            if below.bound is not None and above.bound is not None:
                bound = max(below.bound, above.bound)
        else:
            value = below.value ** (1 - part) * above.value**part
            error = value * math.hypot(
                (1 - part) * below.error / below.value, part * above.error / above.value
            )
        return Efficiency(value, error, bound)

    def weights(
        self, mass: float, ctau: float, category: str | None = None, window: Window = EVERYWHERE
    ) -> list[Floats]:
        """Weigh all samples of a generated mass to one lifetime, together.

        Parameters
        ----------
        mass, ctau
            GeV and mm.
        category, window
            Whose candidates to weigh, and where their mass lies, GeV; all by default.

        Returns
        -------
        For each of :meth:`of_mass` the weights of its candidates, shapes (n,); their sum over all
        samples is the efficiency.
        """
        samples, (low, high) = self.of_mass(mass), window
        total = sum(sample.generated for sample in samples)
        means = [sample.ctau for sample in samples]
        shares = [sample.generated / total for sample in samples]
        found = []
        for sample, share in zip(samples, shares, strict=True):
            chosen = (sample.masses > low) & (sample.masses < high)
            if category is not None:
                chosen &= sample.categories == category
            ratios = mixture_weight(sample.lengths[chosen], means, shares, ctau)
            found.append(share / sample.sumw_before_cuts * sample.weights[chosen] * ratios)
        return found

    def _at_generated(self, category: str, mass: float, ctau: float, window: Window) -> Efficiency:
        chosen = np.concatenate(self.weights(mass, ctau, category, window))
        if np.sum(chosen) > 0:
            return Efficiency(float(np.sum(chosen)), math.sqrt(np.sum(chosen**2)))
        if not self.has(category):
            return Efficiency(0.0, 0.0, 0.0)
        everything = np.concatenate(self.weights(mass, ctau))
        # what an event is worth; without any, three more are excluded: -ln 0.05
        worth = float(np.sum(everything**2) / np.sum(everything)) if np.any(everything) else 0.0
        return Efficiency(0.0, 0.0, -math.log(0.05) * worth)

    def _moved(self, window: Window, mass: float, end: float) -> Window:
        scale = self.width(end) / self.width(mass)
        low, high = window
        return end + scale * (low - mass), end + scale * (high - mass)

    def _check(self, mass: float) -> None:
        low, high = self.masses[0], self.masses[-1]
        if not low * (1 - 1e-9) <= mass <= high * (1 + 1e-9):
            raise InputError(f"mass {mass:g} GeV: signal is simulated from {low:g} to {high:g} GeV")


def _of_nature(run: RunFolder, sample: Sample, simulated: str | None, neutrino: Neutrino) -> Sample:
    """The decays of a sample that N of a nature has."""
    if (simulated or Neutrino().name) == neutrino.name:
        return sample
    if neutrino.majorana:
        raise InputError(
            f"{run.path}: dataset '{sample.name}' is simulated for a Dirac N, which has no decays "
            "with muons of equal charges: ask for a limit on a Dirac N, or simulate a Majorana N"
        )
    opposite = np.array([name.startswith(OPPOSITE_SIGN) for name in sample.categories], dtype=bool)
    others = [n for n in sample.categories[~opposite] if not n.startswith(SAME_SIGN)]
    if others:
        raise InputError(
            f"{run.path}: the category '{others[0]}' does not say whether its muons have equal "
            f"charges, which is needed for a Dirac N: names begin with {SAME_SIGN} or "
            f"{OPPOSITE_SIGN}"
        )
    if not np.any(opposite):
        raise InputError(
            f"{run.path}: nothing of the signal '{sample.name}' with muons of opposite charges is "
            "selected, which is all that a Dirac N has"
        )
    return replace(
        sample,
        masses=sample.masses[opposite],
        lengths=sample.lengths[opposite],
        weights=2 * sample.weights[opposite],
        categories=sample.categories[opposite],
    )


def _sample(run: RunFolder, name: str, known: DatasetRecord) -> Sample:
    lacking = [key for key in ("mass", "ctau") if getattr(known, key) is None]
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
    weights = columns[WEIGHT].astype(np.float64)
    everything = run.cutflow[name][0]
    return Sample(
        name=name,
        mass=float(known.mass or 0),
        ctau=float(known.ctau or 0),
        sumw_before_cuts=generated(known, float(everything["sumw"])),
        masses=columns[MASS].astype(np.float64),
        lengths=columns[LENGTH].astype(np.float64),
        weights=weights,
        categories=np.array(table[CATEGORY].to_pylist()),
        # weights of both signs, or unequal ones, are worth less than as many equal ones
        generated=float(everything["events"] * np.mean(weights) ** 2 / np.mean(weights**2)),
    )
