"""Factors with their uncertainties, from payloads whose inputs tell how they are to be asked.

The Muon POG's files come in two interfaces: an older one with ``abseta``, ``pt`` and ``ValType``
(often ``year`` before them), and one with ``eta``, ``pt`` and ``scale_factors``. Files of either
kind give the nominal factor, its statistical and its systematic uncertainty as absolute numbers,
and the nominal shifted by both together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import mul
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bphcoffea.corrections.declaration import PayloadSection, TriggerSection
from bphcoffea.corrections.payload import Evaluated, Floats, Payload, Policy
from bphcoffea.errors import InputError

#: What files call the nominal value, and the nominal shifted by its whole uncertainty.
_NOMINAL: Final = ("nominal", "sf", "central")
_UP: Final = ("systup", "up")
_DOWN: Final = ("systdown", "down")
#: Absolute uncertainties; used where a file has both, since they are kept apart then.
_PARTS: Final = ("stat", "syst")

#: The name of an uncertainty that has no parts.
WHOLE: Final = ""

Inputs = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Factor:
    """A factor of the weight, with what its uncertainties make of it.

    Attributes
    ----------
    nominal
        Shape (n,).
    shifts
        The factor shifted up and down by each of its uncertainties, by name (:data:`WHOLE` for the
        only one); shape (n,) each.
    clamped
        How many values lay outside the bins and got the nearest one's.
    points
        Factors for alternative hypotheses, relative to the nominal one, keyed by variation name;
        shape (n,) each.
    notes
        Remarks for the user, with the number of values that each applies to.
    """

    nominal: Floats
    shifts: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    clamped: int = 0
    points: Mapping[str, Floats] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)

    def __mul__(self, other: Factor) -> Factor:
        """The product, whose uncertainties of one name are correlated."""
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
        return Factor(self.nominal * other.nominal, shifts, clamped, points, notes)


@dataclass(frozen=True)
class _Question:
    """How a payload is asked for its nominal value and its uncertainties."""

    payload: Payload
    inputs: Mapping[str, str]
    out_of_range: Policy
    kind: str | None
    nominal: str | None
    absolute: tuple[str, ...]
    shifted: tuple[str, str] | None

    @classmethod
    def of(cls, folder: Path, section: PayloadSection, where: str) -> _Question:
        """Load a payload, and see which of its inputs says what is asked for."""
        payload = Payload(folder / section.file, section.name)
        place = f"{payload.path}: correction '{payload.name}'"
        if all(its_type == "string" for its_type in payload.inputs.values()):
            raise InputError(f"{place} takes {_listed(payload)}, none of which is a number")
        fixed = dict(section.inputs)
        for name, key in fixed.items():
            if payload.inputs.get(name) != "string":
                raise InputError(
                    f"{place} has no text input '{name}' ({where}.inputs); "
                    f"its inputs are {_listed(payload)}"
                )
            if key not in payload.keys(name):
                raise InputError(
                    f"{place}: input '{name}' has no key '{key}' ({where}.inputs); "
                    f"it has: {', '.join(payload.keys(name))}"
                )
        kinds: list[str] = []
        for name, its_type in payload.inputs.items():
            if its_type != "string" or name in fixed:
                continue
            keys = payload.keys(name, section.inputs)
            if any(key in keys for key in _NOMINAL):
                kinds.append(name)
            elif len(keys) == 1 and keys[0] not in (*_UP, *_DOWN, *_PARTS):
                fixed[name] = keys[0]
            else:
                may_be = f"may be {', '.join(keys)}, none of which" if keys else "has no key that"
                raise InputError(
                    f"{place}: input '{name}' {may_be} is the "
                    f"nominal value ({', '.join(_NOMINAL)}){_choose(where, name, keys)}"
                )
        if len(kinds) > 1:
            raise InputError(
                f"{place}: the inputs {' and '.join(kinds)} both have a key of the nominal value"
                f"{_choose(where, kinds[0], payload.keys(kinds[0]))}"
            )
        kind = kinds[0] if kinds else None
        keys = payload.keys(kind, fixed) if kind else ()
        up, down = (next((key for key in names if key in keys), None) for names in (_UP, _DOWN))
        parts = tuple(key for key in _PARTS if key in keys)
        return cls(
            payload=payload,
            inputs=fixed,
            out_of_range=section.out_of_range,
            kind=kind,
            nominal=next((key for key in _NOMINAL if key in keys), None),
            # a part alone is not the whole uncertainty, where the file knows the whole
            absolute=parts if len(parts) == len(_PARTS) or not (up and down) else (),
            shifted=(up, down) if up and down else None,
        )

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the inputs that are numbers."""
        return tuple(name for name, kind in self.payload.inputs.items() if kind != "string")

    def ask(self, numbers: Inputs, key: str | None) -> Evaluated:
        """Its values."""
        texts = dict(self.inputs)
        if self.kind and key:
            texts[self.kind] = key
        given = {name: numbers[name] for name in self.numbers}
        return self.payload.evaluate(given, texts, self.out_of_range)

    def refuse(self, name: str, values: Floats, wrong: npt.NDArray[np.bool_]) -> None:
        """Fail where some values are wrong."""
        if np.any(wrong):
            raise InputError(
                f"correction '{self.payload.name}': {name} is {values[wrong][0]:g} for "
                f"{np.count_nonzero(wrong)} of {len(values)} values: such is padding, or was not "
                "measured; cut it away before"
            )

    def factor(self, numbers: Inputs, *, shifted: bool) -> Factor:
        """The nominal value, and where wanted its shifts."""
        if "pt" in numbers:
            # not the bins alone tell padding, which would be given the lowest of them
            self.refuse("pt", numbers["pt"], ~(numbers["pt"] > 0))
        nominal = self.ask(numbers, self.nominal)
        clamped = int(np.count_nonzero(nominal.outside))
        shifts: dict[str, tuple[Floats, Floats]] = {}
        if shifted:
            for part in self.absolute:
                error = self.ask(numbers, part).values
                shifts[part] = (nominal.values + error, nominal.values - error)
            if self.shifted and not self.absolute:
                up, down = (self.ask(numbers, key).values for key in self.shifted)
                shifts[WHOLE] = (up, down)
        return Factor(nominal.values, shifts, clamped)

    def describe(self) -> dict[str, Any]:
        """What it is, for ``provenance.json``."""
        return {
            "file": str(self.payload.path.absolute()),
            "sha256": self.payload.sha256,
            "name": self.payload.name,
            "version": self.payload.version,
            "inputs": dict(self.inputs),
            "out_of_range": self.out_of_range,
            "uncertainties": list(self.absolute) or (["whole"] if self.shifted else []),
        }


class MuonFactor:
    """Scale factor of one muon, such as that of its identification.

    Raises
    ------
    InputError
        When the file, the correction, or one of its keys is not there, or it takes other inputs
        than ``eta`` or ``abseta`` and ``pt``.
    """

    def __init__(self, folder: Path, section: PayloadSection, where: str) -> None:
        self._question = _Question.of(folder, section, where)
        payload = self._question.payload
        unknown = set(self._question.numbers) - {"eta", "abseta", "pt"}
        asked = {self._question.nominal, *self._question.inputs.values()}
        if unknown or asked.isdisjoint(_NOMINAL):
            raise InputError(
                f"{payload.path}: correction '{payload.name}' takes {_listed(payload)}; a muon's "
                "scale factor takes eta or abseta, pt, and a text of which one key is nominal or sf"
            )

    def evaluate(self, pt: Floats, eta: Floats, *, shifted: bool = True) -> Factor:
        """Evaluate it.

        Parameters
        ----------
        pt, eta
            Transverse momentum, GeV, and pseudorapidity of one muon of each candidate, shape (n,).
        shifted
            Whether to evaluate the uncertainties, too.

        Raises
        ------
        InputError
            When a pT or η is no measurement, or outside the bins where those must not be left.
        """
        numbers = {"pt": pt, "eta": eta, "abseta": np.abs(eta)}
        return self._question.factor(numbers, shifted=shifted)

    def describe(self) -> dict[str, Any]:
        """What it is, for ``provenance.json``."""
        return self._question.describe()


class PileupFactor:
    """Ratio of the pile-up of data to that of simulation.

    Raises
    ------
    InputError
        When the file, the correction, or one of its keys is not there, or it takes more than the
        number of interactions.
    """

    def __init__(self, folder: Path, section: PayloadSection, where: str) -> None:
        self._question = _Question.of(folder, section, where)
        if len(self._question.numbers) != 1:
            payload = self._question.payload
            raise InputError(
                f"{payload.path}: correction '{payload.name}' takes {_listed(payload)}; "
                "a pile-up weight takes one number, the true number of interactions"
            )

    def evaluate(self, interactions: Floats, *, shifted: bool = True) -> Factor:
        """Evaluate it.

        Parameters
        ----------
        interactions
            True number of interactions of each event, shape (n,).
        shifted
            Whether to evaluate the uncertainty, too.

        Raises
        ------
        InputError
            When a number is no measurement, or outside the bins where those must not be left.
        """
        (name,) = self._question.numbers
        self._question.refuse(name, interactions, ~(interactions >= 0))
        return self._question.factor({name: interactions}, shifted=shifted)

    def describe(self) -> dict[str, Any]:
        """What it is, for ``provenance.json``."""
        return self._question.describe()


class TriggerFactor:
    """Trigger efficiency in data over that in simulation, where any of some muons may fire.

    Both efficiencies are those of at least one of independent muons; of two: ε₁ + ε₂ - ε₁ε₂.

    Raises
    ------
    InputError
        When a file, a correction, or one of its keys is not there; for both sides, a line each.
    """

    def __init__(self, folder: Path, section: TriggerSection, where: str) -> None:
        self._questions: dict[str, _Question] = {}
        faults = []
        for side in ("data", "simulation"):
            try:
                made = _Question.of(folder, getattr(section, side), f"{where}.{side}")
                self._questions[side] = made
            except InputError as error:
                faults.append(f"{side}: {error}")
        if faults:
            raise InputError("\n".join(faults))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the numbers that it needs of each muon."""
        return tuple(dict.fromkeys(n for q in self._questions.values() for n in q.numbers))

    def evaluate(self, muons: Sequence[Inputs], *, shifted: bool = True) -> Factor:
        """Evaluate it.

        Parameters
        ----------
        muons
            For each muon that may fire, its inputs by name, shape (n,) each.
        shifted
            Whether to evaluate the uncertainties, too.

        Returns
        -------
        The ratio, with shifts named ``data`` and ``simulation`` and the part of the uncertainty.

        Raises
        ------
        InputError
            When the efficiency in simulation is 0 for an event that the trigger took, or one is
            below 0 or above 1.
        """
        per_side = {
            side: [question.factor(inputs, shifted=shifted) for inputs in muons]
            for side, question in self._questions.items()
        }
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
                # more efficient simulation makes the ratio smaller: up is up for the weight
                up, down = sides if side == "data" else sides[::-1]
                shifts[f"{side}_{part}" if part else side] = (up, down)
        clamped = sum(factor.clamped for factors in per_side.values() for factor in factors)
        return Factor(ratio, shifts, clamped)

    def describe(self) -> dict[str, Any]:
        """What it is, for ``provenance.json``."""
        return {side: question.describe() for side, question in self._questions.items()}

    def _efficiency(self, side: str, values: Floats) -> Floats:
        wrong = (values < 0) | (values > 1)
        if np.any(wrong):
            name = self._questions[side].payload.name
            raise InputError(
                f"correction '{name}': {values[wrong][0]:.9g} is no efficiency; trigger.{side} "
                "takes the efficiency itself, not a scale factor"
            )
        return values

    def _ratio(self, data: Floats, simulation: Floats, how: str = "") -> Floats:
        none = simulation <= 0
        if np.any(none):
            name = self._questions["simulation"].payload.name
            raise InputError(
                f"correction '{name}': the efficiency in simulation{how} is 0 for "
                f"{np.count_nonzero(none)} candidates that the trigger took; "
                "merge bins of its map, or cut those candidates away"
            )
        return data / simulation


def product(factors: Sequence[Factor]) -> Factor:
    """The product of factors, whose uncertainties of one name are correlated."""
    return reduce(mul, factors)


def _any_fires(efficiencies: Sequence[Floats]) -> Floats:
    """Efficiency that at least one of independent objects fires."""
    either: Callable[[Floats, Floats], Floats] = lambda a, b: a + b - a * b  # noqa: E731
    return reduce(either, efficiencies)


def _choose(where: str, name: str, keys: Sequence[str]) -> str:
    """How to tell in the TOML which key is meant."""
    return f'; choose one in the TOML: [{where}] inputs = {{ {name} = "…" }}' if keys else ""


def _listed(payload: Payload) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in payload.inputs.items())
