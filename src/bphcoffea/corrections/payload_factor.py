"""Payloads that are evaluated with their uncertainties.

The Muon POG's files come in two interfaces: an older one with the inputs ``abseta``, ``pt`` and
``ValType`` (often ``year`` before them), and one with ``eta``, ``pt`` and ``scale_factors``. Files
of either kind give the nominal factor, its statistical and its systematic uncertainty as absolute
numbers, and the nominal factor shifted by both together. Files of electrons and photons (``sf``,
``sfup``, ``sfdown``) and of taus (``nom`` or ``default``, ``up``, ``down``) give only the latter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import mul
from pathlib import Path
from typing import Final

import numpy as np

from bphcoffea.arrays import Booleans, Floats
from bphcoffea.corrections.payload import Evaluated, Inputs, Payload
from bphcoffea.corrections.section import PayloadSection, era_ending
from bphcoffea.errors import CorrectionsError, alternatives
from bphcoffea.physics import Combination

#: Keys of the nominal value, and of the nominal value shifted by its whole uncertainty.
NOMINAL: Final = ("nominal", "sf", "central", "nom", "default")
_UP: Final = ("systup", "up", "sfup")
_DOWN: Final = ("systdown", "down", "sfdown")
#: Keys of absolute uncertainties; preferred if a file has both, since they are then kept apart.
_PARTS: Final = ("stat", "syst")
#: Keys of all uncertainties.
SHIFTED: Final = (*_UP, *_DOWN, *_PARTS)

#: Name of an uncertainty without parts.
WHOLE: Final = ""


@dataclass(frozen=True)
class Factor:
    """A factor of the weight, with its shifts by each uncertainty.

    Attributes
    ----------
    nominal
        Shape (n,).
    shifts
        The factor shifted up and down by each of its uncertainties, by name (:data:`WHOLE` for the
        only one); shape (n,) each.
    clamped
        Number of values outside the bins, which got the value of the nearest bin.
    points
        Factors for alternative hypotheses, relative to the nominal one, keyed by variation name;
        shape (n,) each.
    combinations
        Combinations of some of the points into two-sided variations, which are made when all
        histograms are filled.
    notes
        Remarks for the user, with the number of values that each applies to.

    Examples
    --------
    Uncertainties of the same name are correlated:

    >>> import numpy as np
    >>> leading = Factor(np.array([0.9]), {"stat": (np.array([1.0]), np.array([0.8]))})
    >>> both = leading * leading
    >>> both.nominal, both.shifts["stat"]
    (array([0.81]), (array([1.]), array([0.64])))
    """

    nominal: Floats
    shifts: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    clamped: int = 0
    points: Mapping[str, Floats] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    combinations: tuple[Combination, ...] = ()

    def __mul__(self, other: Factor) -> Factor:
        """Return the product; uncertainties of the same name are correlated."""
        names = dict.fromkeys((*self.shifts, *other.shifts))
        shifts = {}
        for name in names:
            up, down = self.shifts.get(name, (self.nominal, self.nominal))
            other_up, other_down = other.shifts.get(name, (other.nominal, other.nominal))
            shifts[name] = (up * other_up, down * other_down)
        points = dict(self.points)
        for name, values in other.points.items():
            points[name] = points[name] * values if name in points else values
        clamped = self.clamped + other.clamped
        notes = dict(Counter(self.notes) + Counter(other.notes))
        combinations = tuple(dict.fromkeys((*self.combinations, *other.combinations)))
        nominal = self.nominal * other.nominal
        return Factor(nominal, shifts, clamped, points, notes, combinations)

    def mapped(self, function: Callable[[Floats], Floats]) -> Factor:
        """Return the factor with a function applied to all its values."""
        return Factor(
            function(self.nominal),
            {name: (function(up), function(down)) for name, (up, down) in self.shifts.items()},
            self.clamped,
            {name: function(relative) for name, relative in self.points.items()},
            self.notes,
            self.combinations,
        )


def product(factors: Sequence[Factor]) -> Factor:
    """Return the product of factors; uncertainties of the same name are correlated."""
    return reduce(mul, factors)


class PayloadFactor:
    """A payload, and the keys of its nominal value and of its uncertainties.

    Parameters
    ----------
    folder
        Folder of the TOML.
    section
        Section of the TOML that declares the payload.
    where
        Name of the section, for messages.
    era
        Name of the era, appended to the names of decorrelated uncertainties.
    of_objects
        Text inputs with a key per object.

    Raises
    ------
    CorrectionsError
        If the file, the correction or a key is missing, or the choice of the key is ambiguous; or
        if uncertainties are decorrelated and the name of the era is unfit for a variation.
    """

    def __init__(
        self,
        folder: Path,
        section: PayloadSection,
        where: str,
        era: str = "",
        of_objects: Collection[str] = (),
    ) -> None:
        payload = Payload(folder / section.file, section.name)
        source = f"{payload.path}: correction '{payload.name}'"
        texts = [name for name, type_ in payload.inputs.items() if type_ == "string"]
        for name in of_objects:
            if name not in texts or name in section.inputs:
                raise CorrectionsError(
                    f"{source} has no text input '{name}' without a fixed key ({where}.keys); "
                    f"its inputs are {listed(payload)}"
                )
        if len(texts) == len(payload.inputs) and not of_objects:
            raise CorrectionsError(f"{source} takes {listed(payload)}, none of which is a number")
        fixed = dict(section.inputs)
        for name, key in fixed.items():
            others = {other: fixed[other] for other in fixed if other != name}
            if payload.inputs.get(name) != "string":
                raise CorrectionsError(
                    f"{source} has no text input '{name}' ({where}.inputs); "
                    f"its inputs are {listed(payload)}"
                )
            if key not in (*payload.keys(name), *payload.keys(name, others)):
                keys = payload.keys(name, others) or payload.keys(name)
                raise CorrectionsError(
                    f"{source}: input '{name}' has no key '{key}' ({where}.inputs)"
                    f"{alternatives(key, keys, 'it has')}"
                )
        kinds: list[str] = []
        for name, type_ in payload.inputs.items():
            if type_ != "string" or name in fixed or name in of_objects:
                continue
            keys = payload.keys(name, section.inputs)
            if any(key in keys for key in NOMINAL):
                kinds.append(name)
            elif len(keys) == 1 and keys[0] not in SHIFTED:
                fixed[name] = keys[0]
            else:
                may_be = f"may be {', '.join(keys)}, none of which" if keys else "has no key that"
                raise CorrectionsError(
                    f"{source}: input '{name}' {may_be} is the "
                    f"nominal value ({', '.join(NOMINAL)}){_choose(where, name, keys)}"
                )
        if len(kinds) > 1:
            raise CorrectionsError(
                f"{source}: the inputs {' and '.join(kinds)} both have a key of the nominal value"
                f"{_choose(where, kinds[0], payload.keys(kinds[0]))}"
            )
        self._ending = era_ending(era, decorrelated=section.decorrelated)
        self.kind = kinds[0] if kinds else None
        keys = payload.keys(self.kind, fixed) if self.kind else ()
        up, down = (next((key for key in names if key in keys), None) for names in (_UP, _DOWN))
        parts = tuple(key for key in _PARTS if key in keys)
        self.payload, self.inputs, self.out_of_range = payload, fixed, section.out_of_range
        self.nominal = next((key for key in NOMINAL if key in keys), None)
        # one part is not the whole uncertainty, so the whole is preferred if the file has it
        self.absolute = parts if len(parts) == len(_PARTS) or not (up and down) else ()
        self.shifted = (up, down) if up and down else None

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the inputs that are numbers."""
        return tuple(name for name, type_ in self.payload.inputs.items() if type_ != "string")

    def refuse(self, name: str, values: Floats, wrong: Booleans) -> None:
        """Raise if a mask of wrong values of an input is true anywhere."""
        if np.any(wrong):
            raise CorrectionsError(
                f"correction '{self.payload.name}': {name} is {values[wrong][0]:g} for "
                f"{np.count_nonzero(wrong)} of {len(values)} values, which is padding or was not "
                "measured; cut these values away before"
            )

    def factor(self, numbers: Inputs, *, shifted: bool) -> Factor:
        """Evaluate the nominal value and, if `shifted`, its uncertainties."""
        if "pt" in numbers:
            # clamping would give padding the lowest bin
            self.refuse("pt", numbers["pt"], ~(numbers["pt"] > 0))
        nominal = self._evaluate(numbers, self.nominal)
        clamped = int(np.count_nonzero(nominal.outside))
        shifts: dict[str, tuple[Floats, Floats]] = {}
        if shifted:
            for part in self.absolute:
                error = self._evaluate(numbers, part).values
                shifts[self._name(part)] = (nominal.values + error, nominal.values - error)
            if self.shifted and not self.absolute:
                up, down = (self._evaluate(numbers, key).values for key in self.shifted)
                shifts[self._name(WHOLE)] = (up, down)
        return Factor(nominal.values, shifts, clamped)

    def outside(self, numbers: Inputs) -> Booleans:
        """Return which values are outside the bins of the nominal value, shape (n,)."""
        needed = {name: numbers[name] for name in self.numbers}
        return self.payload.outside(needed, self._texts(self.nominal))

    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""
        names = self.absolute or ((WHOLE,) if self.shifted else ())
        return {
            "file": str(self.payload.path.absolute()),
            "sha256": self.payload.sha256,
            "name": self.payload.name,
            "version": self.payload.version,
            "inputs": dict(self.inputs),
            "out_of_range": self.out_of_range,
            "uncertainties": [self._name(name or "whole") for name in names],
        }

    def _name(self, part: str) -> str:
        """Return the name of an uncertainty, with the era's name if it is decorrelated."""
        return f"{part}{self._ending}" if part else self._ending.removeprefix("_")

    def _evaluate(self, numbers: Inputs, key: str | None) -> Evaluated:
        needed = {name: numbers[name] for name in self.numbers}
        return self.payload.evaluate(needed, self._texts(key), self.out_of_range)

    def _texts(self, key: str | None) -> Mapping[str, str]:
        return {**self.inputs, self.kind: key} if self.kind and key else self.inputs


def listed(payload: Payload) -> str:
    """Return the inputs of a payload with their types, for messages."""
    return ", ".join(f"{name} ({type_})" for name, type_ in payload.inputs.items())


def _choose(where: str, name: str, keys: Sequence[str]) -> str:
    """Return the remedy for an ambiguous input: a line of the TOML."""
    return f'; choose one in the TOML: [{where}] inputs = {{ {name} = "…" }}' if keys else ""
