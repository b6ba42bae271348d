"""Simulated long-lived signal at a few masses and lifetimes, weighted to any others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError, RunError
from bphcoffea.physics import Window, mixture_weight, width_of
from bphcoffea.results import DatasetRecord, RunFolder, generated
from bphcoffea.searches.hnl.rates import MAJORANA, Neutrino, muon_energy
from bphcoffea.statistics import CATEGORY, WEIGHT, Categories

EVERYWHERE: Final = (-math.inf, math.inf)
#: Half the second derivative of the logarithm of an efficiency by 1/E, GeV²: more than it takes to
#: cover the interpolations between masses of 1 to 1.75 GeV, at mean decay lengths of 3 mm to 3 m,
#: in toys with all categories together, and in decays with thresholds alone.
CURVATURE: Final = 0.22

#: Further columns of the table of candidates.
MASS, LENGTH = "hnl_mass", "gen_proper_length"
#: Beginning of the names of categories: charges of the two muons.
SAME_SIGN, OPPOSITE_SIGN = "SS", "OS"


@dataclass(frozen=True)
class Sample:
    """Selected candidates of one simulated sample.

    Attributes
    ----------
    name
        Name of the dataset.
    mass, ctau
        Generated mass, GeV, and mean proper decay length, mm.
    sumw_before_cuts
        Sum of generator weights times pile-up weights of all events, ``sumw`` in the first row of
        the cutflow, over the efficiencies of the generator's filter and the skim. The weights of
        candidates also contain the pile-up, so that it cancels.
    masses, lengths, weights
        Measured mass, GeV, generated proper decay length, mm, and weight of each candidate, shape
        (n,).
    categories
        Category of each candidate, shape (n,).
    generated
        Effective number of generated events, the weight of the sample among those of the same mass.
    filter_efficiency
        Efficiency of the generator's filter in the metadata; None if they have none.
    """

    name: str
    mass: float
    ctau: float
    sumw_before_cuts: float
    masses: Floats
    lengths: Floats
    weights: Floats
    categories: Categories
    generated: float = 1.0
    filter_efficiency: float | None = None


@dataclass(frozen=True)
class Efficiency:
    """Fraction of the decays that is selected in the window of a category.

    Attributes
    ----------
    value, error
        Efficiency, and its statistical error.
    bound
        Upper bound at 95% confidence if no simulated event is selected; else None.
    """

    value: float
    error: float
    bound: float | None = None


@dataclass(frozen=True)
class Signals:
    """Signal samples of a run.

    Attributes
    ----------
    samples
        Samples of some masses and lifetimes. For a Dirac N they only hold decays with muons of
        opposite charges.
    neutrino
        Nature of N.
    """

    samples: Sequence[Sample]
    neutrino: Neutrino = MAJORANA

    @classmethod
    def of_run(cls, run: RunFolder, neutrino: Neutrino = MAJORANA) -> Signals:
        """Read the simulated signal of a run.

        Simulation is of a Majorana N unless its metadata have ``"neutrino": "dirac"``. Simulation
        of a Majorana N also serves for a Dirac N: without the decays with muons of equal charges
        (categories SS…), and with twice as many of the others (OS…).

        Raises
        ------
        RunError
            If there is no signal, it lacks metadata or columns, or it is of a Dirac N while a
            Majorana N is requested.
        """
        datasets = run.datasets
        samples = [
            _of_nature(run, _sample(run, name, datasets[name]), datasets[name].neutrino, neutrino)
            for name in datasets.signal
        ]
        if not samples:
            raise RunError(f"{run.path}: no simulated signal, which a limit needs")
        return cls(samples, neutrino)

    @property
    def masses(self) -> list[float]:
        """Generated masses, GeV, ascending."""
        return sorted({sample.mass for sample in self.samples})

    def of_mass(self, mass: float) -> list[Sample]:
        """Return the samples of a generated mass, GeV."""
        return [sample for sample in self.samples if sample.mass == mass]

    def has(self, category: str) -> bool:
        """Return whether N has decays in a category: a Dirac N has no muons of equal charges."""
        return self.neutrino.majorana or not category.startswith(SAME_SIGN)

    def is_generated(self, mass: float) -> bool:
        """Return whether a mass, GeV, was generated."""
        return any(math.isclose(mass, generated, rel_tol=1e-9) for generated in self.masses)

    def width(self, mass: float) -> float:
        """Return the width of the measured mass, GeV, interpolated between generated masses."""
        masses = self.masses
        widths = [
            float(np.median([width_of(sample.masses) for sample in self.of_mass(generated)]))
            for generated in masses
        ]
        self._check(mass)
        return float(np.interp(mass, masses, widths))

    def efficiency(self, category: str, mass: float, ctau: float, window: Window) -> Efficiency:
        """Return the efficiency in the window of a category.

        All samples of a generated mass are weighted to the lifetime together. Between generated
        masses the logarithm of the efficiency is interpolated linearly in 1/E, with the energy E of
        :func:`.muon_energy`. What is known of the kinematics is left out of it:

        - Thresholds fix the momentum p of N rather than its boost. N flies cτ·p/m on average, so
          that both generated masses are weighted to the lifetime with the same cτ/m.
        - The other muon takes a fraction E/m_Ds of the momentum of the Ds on average. A threshold
          on the muon is one of pT·m_Ds/E on the Ds, and an exponential spectrum has a fraction
          above it whose logarithm is linear in 1/E.
        - The window keeps its distance from the mass in units of the width.

        Parameters
        ----------
        category
            Name of the category.
        mass, ctau
            Mass, GeV, and mean proper decay length, mm.
        window
            Window of the hypothesis, GeV.
        """
        self._check(mass)
        if self.is_generated(mass):
            nearest = min(self.masses, key=lambda generated: abs(generated - mass))
            return self._at_generated(category, nearest, ctau, window)
        low, high = self._neighbours(mass)
        below, above = (
            self._at_generated(category, end, ctau * end / mass, self._moved(window, mass, end))
            for end in (low, high)
        )
        part = (_abscissa(mass) - _abscissa(low)) / (_abscissa(high) - _abscissa(low))
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

    def interpolation_uncertainty(self, mass: float) -> float:
        """Return the relative uncertainty of efficiencies at a mass, GeV; 0 at generated masses.

        The error of a straight line is half the second derivative times the distances from both of
        its ends; see `CURVATURE`.
        """
        self._check(mass)
        if self.is_generated(mass):
            return 0.0
        x, (low, high) = _abscissa(mass), map(_abscissa, self._neighbours(mass))
        return CURVATURE * (x - low) * (high - x)

    def doubt(self, mass: float) -> str | None:
        """Return why efficiencies interpolated to a mass, GeV, may be wrong; None for no reason.

        A generator's filter passes decays of some masses more often than those of others.
        """
        declared = {sample.filter_efficiency for sample in self.samples}
        if self.is_generated(mass) or declared == {1.0}:
            return None
        if None in declared:
            names = (sample.name for sample in self.samples if sample.filter_efficiency is None)
            return (
                "between generated masses, signal needs a filter_efficiency in the metadata of "
                f"{', '.join(names)}: that of the generator's filter, or 1 if it had none"
            )
        if len(declared) == 1:
            return (
                f"all signals declare the filter_efficiency {declared.pop():g}, although that of a "
                "filter depends on the mass; between generated masses, limits may be wrong"
            )
        return None

    def weights(
        self, mass: float, ctau: float, category: str | None = None, window: Window = EVERYWHERE
    ) -> list[Floats]:
        """Return the weights of all samples of a generated mass at one lifetime.

        Parameters
        ----------
        mass, ctau
            Generated mass, GeV, and mean proper decay length, mm.
        category, window
            Category and mass window, GeV, of the candidates; all by default.

        Returns
        -------
        Weights of the candidates of each sample of :meth:`of_mass`, shapes (n,); the sum over all
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
        weights = np.concatenate(self.weights(mass, ctau))
        # effective weight of an event; without any, -ln 0.05 = 3 are excluded
        weight = float(np.sum(weights**2) / np.sum(weights)) if np.any(weights) else 0.0
        return Efficiency(0.0, 0.0, -math.log(0.05) * weight)

    def _neighbours(self, mass: float) -> tuple[float, float]:
        """Return the generated masses below and above a mass."""
        masses = self.masses
        at = int(np.searchsorted(masses, mass))
        return masses[at - 1], masses[at]

    def _moved(self, window: Window, mass: float, end: float) -> Window:
        scale = self.width(end) / self.width(mass)
        low, high = window
        return end + scale * (low - mass), end + scale * (high - mass)

    def _check(self, mass: float) -> None:
        low, high = self.masses[0], self.masses[-1]
        if not low * (1 - 1e-9) <= mass <= high * (1 + 1e-9):
            raise FitError(f"mass {mass:g} GeV: signal is simulated from {low:g} to {high:g} GeV")


def _abscissa(mass: float) -> float:
    """Return the variable in which efficiencies are interpolated, 1/GeV."""
    return 1 / muon_energy(mass)


def _of_nature(run: RunFolder, sample: Sample, simulated: str | None, neutrino: Neutrino) -> Sample:
    """Return the decays of a sample for a nature of N."""
    if (simulated or MAJORANA.name) == neutrino.name:
        return sample
    if neutrino.majorana:
        raise RunError(
            f"{run.path}: dataset '{sample.name}' is simulated for a Dirac N, which has no decays "
            "with muons of equal charges: set a limit on a Dirac N, or simulate a Majorana N"
        )
    opposite = np.array([name.startswith(OPPOSITE_SIGN) for name in sample.categories], dtype=bool)
    unnamed = [n for n in sample.categories[~opposite] if not n.startswith(SAME_SIGN)]
    if unnamed:
        raise RunError(
            f"{run.path}: the category '{unnamed[0]}' does not say whether its muons have equal "
            f"charges, which is needed for a Dirac N: names begin with {SAME_SIGN} or "
            f"{OPPOSITE_SIGN}"
        )
    if not np.any(opposite):
        raise RunError(
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


def _sample(run: RunFolder, name: str, metadata: DatasetRecord) -> Sample:
    """Read the candidates of one simulated dataset."""
    mass, ctau = metadata.mass, metadata.ctau
    if mass is None or ctau is None:
        lacking = [key for key, value in (("mass", mass), ("ctau", ctau)) if value is None]
        raise RunError(
            f"{run.path}: dataset '{name}' has no {' and '.join(lacking)} in its metadata"
        )
    table = run.candidates(name)
    missing = sorted({MASS, LENGTH, CATEGORY, WEIGHT} - set(table.column_names))
    if missing:
        raise RunError(
            f"{run.path}: the candidates of '{name}' lack {', '.join(missing)}; is it a run of hnl?"
        )
    if not table.num_rows:
        raise RunError(f"{run.path}: nothing of the signal '{name}' is selected")
    columns = {key: table[key].to_numpy() for key in (MASS, LENGTH, WEIGHT)}
    weights = columns[WEIGHT].astype(np.float64)
    all_events = run.cutflow[name][0]
    return Sample(
        name=name,
        mass=mass,
        ctau=ctau,
        sumw_before_cuts=generated(metadata, float(all_events["sumw"])),
        masses=columns[MASS].astype(np.float64),
        lengths=columns[LENGTH].astype(np.float64),
        weights=weights,
        categories=np.array(table[CATEGORY].to_pylist(), dtype=object),
        # unequal weights, or weights of both signs, are less precise than equal ones
        generated=float(all_events["events"] * np.mean(weights) ** 2 / np.mean(weights**2)),
        filter_efficiency=metadata.filter_efficiency,
    )
