"""Factors of muons, of the pile-up and of a trigger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.corrections.declaration import TriggerSection
from bphcoffea.corrections.payload import Inputs
from bphcoffea.corrections.payload_factor import NOMINAL, Factor, PayloadFactor, listed
from bphcoffea.corrections.section import PayloadSection
from bphcoffea.errors import CorrectionsError


class MuonFactor(PayloadFactor):
    """Scale factor of one muon, such as that of its identification.

    The payload takes the numbers ``pt`` and ``eta`` or ``abseta``; else :exc:`CorrectionsError` is
    raised.
    """

    def __init__(self, folder: Path, section: PayloadSection, where: str, era: str = "") -> None:
        super().__init__(folder, section, where, era)
        unknown = set(self.numbers) - {"eta", "abseta", "pt"}
        if unknown or {self.nominal, *self.inputs.values()}.isdisjoint(NOMINAL):
            raise CorrectionsError(
                f"{self.payload.path}: correction '{self.payload.name}' takes "
                f"{listed(self.payload)}; a muon's scale factor takes eta or abseta, pt, and a "
                "text of which one key is nominal or sf"
            )

    def evaluate(self, pt: Floats, eta: Floats, *, shifted: bool = True) -> Factor:
        """Evaluate the scale factor.

        Parameters
        ----------
        pt, eta
            Transverse momentum, GeV, and pseudorapidity of one muon per candidate, shape (n,).
        shifted
            Whether to evaluate the uncertainties as well.

        Raises
        ------
        CorrectionsError
            If a pT or η is not finite, a pT is not positive, or one is outside the bins and the
            policy is ``error``.
        """
        return self.factor({"pt": pt, "eta": eta, "abseta": np.abs(eta)}, shifted=shifted)


class PileupFactor(PayloadFactor):
    """Ratio of the pile-up in data to that in simulation.

    The payload takes one number; else :exc:`CorrectionsError` is raised.
    """

    def __init__(self, folder: Path, section: PayloadSection, where: str, era: str = "") -> None:
        super().__init__(folder, section, where, era)
        if len(self.numbers) != 1:
            raise CorrectionsError(
                f"{self.payload.path}: correction '{self.payload.name}' takes "
                f"{listed(self.payload)}; a pile-up weight takes one number, the true number of "
                "interactions"
            )

    def evaluate(self, interactions: Floats, *, shifted: bool = True) -> Factor:
        """Evaluate the ratio.

        Parameters
        ----------
        interactions
            True number of interactions of each event, shape (n,).
        shifted
            Whether to evaluate the uncertainty as well.

        Raises
        ------
        CorrectionsError
            If a number is negative or not finite, or outside the bins and the policy is ``error``.
        """
        (name,) = self.numbers
        self.refuse(name, interactions, ~(interactions >= 0))
        return self.factor({name: interactions}, shifted=shifted)


class TriggerFactor:
    """Ratio of the trigger efficiency in data to that in simulation, if any of some muons may fire.

    Both efficiencies are those of at least one of independent muons; of two: ε₁ + ε₂ - ε₁ε₂.

    Parameters and errors are those of :class:`PayloadFactor`, with a line for each payload.
    """

    def __init__(self, folder: Path, section: TriggerSection, where: str, era: str = "") -> None:
        self._payloads: dict[str, PayloadFactor] = {}
        faults = []
        for side, declared in (("data", section.data), ("simulation", section.simulation)):
            try:
                self._payloads[side] = PayloadFactor(folder, declared, f"{where}.{side}", era)
            except CorrectionsError as error:
                faults.append(f"{side}: {error}")
        CorrectionsError.raise_for(faults)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the numbers that it needs of each muon."""
        return tuple(dict.fromkeys(n for p in self._payloads.values() for n in p.numbers))

    def evaluate(self, muons: Sequence[Inputs], *, shifted: bool = True) -> Factor:
        """Evaluate the ratio.

        Parameters
        ----------
        muons
            Inputs of each muon that may fire, by name, shape (n,) each.
        shifted
            Whether to evaluate the uncertainties as well.

        Returns
        -------
        The ratio, with shifts named ``data`` and ``simulation`` and the part of the uncertainty.

        Raises
        ------
        CorrectionsError
            If the efficiency in simulation is 0 for an event that the trigger accepted, or an
            efficiency is below 0 or above 1.
        """
        per_side = {
            side: [payload.factor(inputs, shifted=shifted) for inputs in muons]
            for side, payload in self._payloads.items()
        }
        return self._combined(per_side)

    def _combined(self, per_side: Mapping[str, Sequence[Factor]]) -> Factor:
        """Return the ratio from the efficiencies of the first, second, … muon on each side."""
        data, simulation = (
            _any_fires([self._efficiency(side, factor.nominal) for factor in per_side[side]])
            for side in ("data", "simulation")
        )
        ratio = self._ratio(data, simulation)
        shifts: dict[str, tuple[Floats, Floats]] = {}
        for side, factors in per_side.items():
            for part in factors[0].shifts:
                sides = []
                for direction in (0, 1):
                    moved = _any_fires([np.clip(f.shifts[part][direction], 0, 1) for f in factors])
                    over = (moved, simulation) if side == "data" else (data, moved)
                    sides.append(self._ratio(*over, f", shifted by its {part or 'uncertainty'},"))
                # more efficient simulation makes the ratio smaller; "up" refers to the weight
                up, down = sides if side == "data" else sides[::-1]
                shifts[f"{side}_{part}" if part else side] = (up, down)
        clamped = sum(factor.clamped for factors in per_side.values() for factor in factors)
        return Factor(ratio, shifts, clamped)

    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""
        return {side: payload.describe() for side, payload in self._payloads.items()}

    def _efficiency(self, side: str, values: Floats) -> Floats:
        wrong = (values < 0) | (values > 1)
        if np.any(wrong):
            name = self._payloads[side].payload.name
            raise CorrectionsError(
                f"correction '{name}': {values[wrong][0]:.9g} is no efficiency; trigger.{side} "
                "takes the efficiency itself, not a scale factor"
            )
        return values

    def _ratio(self, data: Floats, simulation: Floats, shift: str = "") -> Floats:
        zero = simulation <= 0
        if np.any(zero):
            name = self._payloads["simulation"].payload.name
            raise CorrectionsError(
                f"correction '{name}': the efficiency in simulation{shift} is 0 for "
                f"{np.count_nonzero(zero)} candidates that the trigger accepted; "
                "merge bins of its map, or cut these candidates away"
            )
        return data / simulation


def _any_fires(efficiencies: Sequence[Floats]) -> Floats:
    """Return the efficiency that at least one of independent objects fires."""
    either: Callable[[Floats, Floats], Floats] = lambda a, b: a + b - a * b  # noqa: E731
    return reduce(either, efficiencies)
