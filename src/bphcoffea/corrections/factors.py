"""Factors with their uncertainties, from payloads whose inputs tell how they are to be asked.

The Muon POG's files come in two interfaces: an older one with ``abseta``, ``pt`` and ``ValType``
(often ``year`` before them), and one with ``eta``, ``pt`` and ``scale_factors``. Files of either
kind give the nominal factor, its statistical and its systematic uncertainty as absolute numbers,
and the nominal shifted by both together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import mul
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bphcoffea.corrections.declaration import PayloadSection, TriggerSection
from bphcoffea.corrections.payload import Evaluated, Floats, Payload
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
        The factor under other hypotheses, by the whole name of the variation, shape (n,) each.
    """

    nominal: Floats
    shifts: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    clamped: int = 0
    points: Mapping[str, Floats] = field(default_factory=dict)

    def __mul__(self, other: Factor) -> Factor:
        """The product, whose uncertainties of one name are correlated."""
        names = dict.fromkeys((*self.shifts, *other.shifts))
        shifts = {}
        for name in names:
            up, down = self.shifts.get(name, (self.nominal, self.nominal))
            other_up, other_down = other.shifts.get(name, (other.nominal, other.nominal))
            shifts[name] = (up * other_up, down * other_down)
        return Factor(self.nominal * other.nominal, shifts, self.clamped + other.clamped)


@dataclass(frozen=True)
class _Question:
    """How a payload is asked for its nominal value and its uncertainties."""

    payload: Payload
    section: PayloadSection
    kind: str | None
    nominal: str | None
    absolute: tuple[str, ...]
    shifted: tuple[str, str] | None

    @classmethod
    def of(cls, folder: Path, section: PayloadSection, where: str) -> _Question:
        """Load a payload, and see which of its inputs says what is asked for."""
        payload = Payload(folder / section.file, section.name)
        place = f"{payload.path}: correction '{payload.name}'"
        kind: str | None = None
        fixed = dict(section.inputs)
        for name in fixed:
            if payload.inputs.get(name) != "string":
                raise InputError(
                    f"{place} has no text input '{name}' ({where}.inputs); "
                    f"its inputs are {_listed(payload)}"
                )
        for name, its_type in payload.inputs.items():
            if its_type != "string":
                continue
            keys = payload.keys(name)
            if name in fixed:
                if fixed[name] not in keys:
                    raise InputError(
                        f"{place}: input '{name}' has no key '{fixed[name]}' ({where}.inputs); "
                        f"it has: {', '.join(keys)}"
                    )
            elif any(key in keys for key in _NOMINAL):
                kind = name
            elif len(keys) == 1:
                fixed[name] = keys[0]
            else:
                raise InputError(
                    f"{place}: input '{name}' may be {', '.join(keys)}, none of which is the "
                    f"nominal value ({', '.join(_NOMINAL)}); "
                    f'choose one in the TOML: [{where}] inputs = {{ {name} = "…" }}'
                )
        keys = payload.keys(kind) if kind else ()
        up, down = (next((key for key in names if key in keys), None) for names in (_UP, _DOWN))
        parts = tuple(key for key in _PARTS if key in keys)
        return cls(
            payload=payload,
            section=section.model_copy(update={"inputs": fixed}),
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
        texts = dict(self.section.inputs)
        if self.kind and key:
            texts[self.kind] = key
        given = {name: numbers[name] for name in self.numbers}
        return self.payload.evaluate(given, texts, self.section.out_of_range)

    def factor(self, numbers: Inputs, *, shifted: bool) -> Factor:
        """The nominal value, and where wanted its shifts."""
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
            "inputs": dict(self.section.inputs),
            "out_of_range": self.section.out_of_range,
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
        unknown = set(self._question.numbers) - {"eta", "abseta", "pt"}
        if unknown or self._question.nominal is None:
            payload = self._question.payload
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
        _check_momenta(pt, self._question.payload.name)
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
        """
        (name,) = self._question.numbers
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
        When a file, a correction, or one of its keys is not there.
    """

    def __init__(self, folder: Path, section: TriggerSection, where: str) -> None:
        self._questions = {
            side: _Question.of(folder, getattr(section, side), f"{where}.{side}")
            for side in ("data", "simulation")
        }

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
            When the efficiency in simulation is 0 for an event that the trigger took.
        """
        per_side = {
            side: [question.factor(inputs, shifted=shifted) for inputs in muons]
            for side, question in self._questions.items()
        }
        data, simulation = (
            _any_fires([factor.nominal for factor in per_side[side]])
            for side in ("data", "simulation")
        )
        shifts: dict[str, tuple[Floats, Floats]] = {}
        for side, factors in per_side.items():
            for part in factors[0].shifts:
                sides = []
                for direction in (0, 1):
                    moved = _any_fires([np.clip(f.shifts[part][direction], 0, 1) for f in factors])
                    over = (moved, simulation) if side == "data" else (data, moved)
                    sides.append(self._ratio(*over))
                # more efficient simulation makes the ratio smaller: up is up for the weight
                up, down = sides if side == "data" else sides[::-1]
                shifts[f"{side}_{part}" if part else side] = (up, down)
        clamped = sum(factor.clamped for factors in per_side.values() for factor in factors)
        return Factor(self._ratio(data, simulation), shifts, clamped)

    def describe(self) -> dict[str, Any]:
        """What it is, for ``provenance.json``."""
        return {side: question.describe() for side, question in self._questions.items()}

    def _ratio(self, data: Floats, simulation: Floats) -> Floats:
        if np.any(simulation <= 0):
            name = self._questions["simulation"].payload.name
            raise InputError(
                f"correction '{name}': the efficiency in simulation is 0 for "
                f"{np.count_nonzero(simulation <= 0)} candidates that the trigger took; "
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


def _check_momenta(pt: Floats, name: str) -> None:
    if np.any(pt <= 0):
        raise InputError(
            f"correction '{name}': pt is {pt[pt <= 0][0]:g} for {np.count_nonzero(pt <= 0)} of "
            f"{len(pt)} muons: such is padding, not a muon; cut it away before"
        )


def _listed(payload: Payload) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in payload.inputs.items())
