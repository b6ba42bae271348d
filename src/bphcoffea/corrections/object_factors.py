"""Factors of an event from all objects of a collection."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.arrays import Floats, Integers
from bphcoffea.corrections.declaration import ObjectSection, ObjectTriggerSection
from bphcoffea.corrections.factors import TriggerFactor
from bphcoffea.corrections.payload import Evaluated, Inputs
from bphcoffea.corrections.payload_factor import SHIFTED, Factor, PayloadFactor
from bphcoffea.errors import CorrectionsError, alternatives


class ObjectFactor(PayloadFactor):
    """Scale factors of the objects of an event.

    The payload takes numbers that are fields of an object, and the nominal value is among its keys;
    else :exc:`CorrectionsError` is raised.

    Attributes
    ----------
    fields
        Field of the objects for each input that is a number.
    """

    def __init__(self, folder: Path, section: ObjectSection, where: str, era: str = "") -> None:
        super().__init__(folder, section, where, era, section.keys)
        self._where, self._keys = where, section.keys
        for name, ranges in section.keys.items():
            known = self.payload.all_keys(name)
            for key in ranges:
                if key not in known:
                    raise CorrectionsError(
                        f"{self.payload.path}: correction '{self.payload.name}': input '{name}' "
                        f"has no key '{key}' ({where}.keys){alternatives(key, known, 'it has')}"
                    )
        of_ranges = (n for by_key in section.keys.values() for of in by_key.values() for n in of)
        needed = tuple(dict.fromkeys((*self.numbers, *of_ranges)))
        self.fields = _fields(section.fields, needed, where)
        for name, key in self.inputs.items():
            if key in SHIFTED:
                raise CorrectionsError(
                    f"{self.payload.path}: correction '{self.payload.name}': {name} = '{key}' is "
                    f"an uncertainty ({where}.inputs); leave it out, or choose the nominal value"
                )

    def evaluate_objects(
        self, numbers: Inputs, counts: Integers, *, shifted: bool = True
    ) -> Factor:
        """Evaluate the product of the scale factors of each event's objects.

        Parameters
        ----------
        numbers
            Inputs of all objects, by name, shape (objects,) each.
        counts
            Number of objects of each event, shape (events,).
        shifted
            Whether to evaluate the uncertainties as well, by which all objects shift together.

        Raises
        ------
        CorrectionsError
            If an input is not finite, a pT is not positive, or a value is outside the bins and the
            policy is ``error``.
        """

        def multiplied(factors: Floats) -> Floats:
            products: Floats = ak.to_numpy(ak.prod(ak.unflatten(factors, counts), axis=1))
            return products

        return self.factor(numbers, shifted=shifted).mapped(multiplied)

    @override
    def _evaluate(self, numbers: Inputs, key: str | None) -> Evaluated:
        if not self._keys:
            return super()._evaluate(numbers, key)
        count = len(next(iter(numbers.values())))
        values, outside = np.ones(count), np.zeros(count, dtype=np.bool_)
        left = np.ones(count, dtype=np.bool_)
        for names, ranges in self._combined_keys():
            chosen = left.copy()
            for name, (low, high) in ranges:
                chosen &= (numbers[name] >= low) & (numbers[name] < high)
            left &= ~chosen
            found = self.payload.evaluate(
                {name: numbers[name][chosen] for name in self.numbers},
                {**self._texts(key), **names},
                self.out_of_range,
            )
            values[chosen], outside[chosen] = found.values, found.outside
        if np.any(left):
            first = int(np.argmax(left))
            place = ", ".join(f"{name} = {column[first]:g}" for name, column in numbers.items())
            raise CorrectionsError(
                f"correction '{self.payload.name}': {np.count_nonzero(left)} of {count} objects "
                f"have no key ({self._where}.keys), the first at {place}; widen the ranges, or cut "
                "these objects away before"
            )
        return Evaluated(values, outside)

    def _combined_keys(
        self,
    ) -> Iterator[tuple[dict[str, str], list[tuple[str, tuple[float, float]]]]]:
        """Yield each combination of keys of the inputs, and the ranges in which it is taken."""
        for combined in itertools.product(*(by_key.items() for by_key in self._keys.values())):
            names = dict(zip(self._keys, (key for key, _ in combined), strict=True))
            yield names, [limits for _, ranges in combined for limits in ranges.items()]

    @override
    def describe(self) -> dict[str, object]:
        return {**super().describe(), "fields": self.fields, "keys": self._keys}


class ObjectTriggerFactor(TriggerFactor):
    """Ratio of the trigger efficiencies, if any of an event's objects may fire.

    Attributes
    ----------
    fields
        Field of the objects for each input.
    """

    def __init__(
        self, folder: Path, section: ObjectTriggerSection, where: str, era: str = ""
    ) -> None:
        super().__init__(folder, section, where, era)
        self.fields = _fields(section.fields, self.inputs, where)

    def evaluate_objects(
        self, numbers: Inputs, counts: Integers, *, shifted: bool = True
    ) -> Factor:
        """Evaluate the ratio, which is 1 for an event without objects.

        See :meth:`ObjectFactor.evaluate_objects` and :meth:`TriggerFactor.evaluate`.
        """
        having = counts > 0
        per_side = {}
        for side, payload in self._payloads.items():
            of_objects = payload.factor(numbers, shifted=shifted)
            per_side[side] = _by_position(of_objects, counts[having])

        def of_all_events(ratios: Floats) -> Floats:
            of_all = np.ones(len(counts))
            of_all[having] = ratios
            return of_all

        return self._combined(per_side).mapped(of_all_events)

    @override
    def describe(self) -> dict[str, object]:
        return {**super().describe(), "fields": self.fields}


def _fields(declared: Mapping[str, str], inputs: Sequence[str], where: str) -> dict[str, str]:
    """Return the field of the objects for each input: the declared one, or that of its name."""
    for name in declared:
        if name not in inputs:
            raise CorrectionsError(
                f"{where}.fields: there is no input '{name}' that is a number"
                f"{alternatives(name, inputs)}"
            )
    return {name: declared.get(name, name) for name in inputs}


def _by_position(of_objects: Factor, counts: Integers) -> list[Factor]:
    """Return the efficiencies of the first, second, … object per event, 0 if there is none."""
    first = np.cumsum(counts) - counts

    def at(position: int, values: Floats) -> Floats:
        existing = counts > position
        of_events = np.zeros(len(counts))
        of_events[existing] = values[first[existing] + position]
        return of_events

    positions = range(max(1, int(np.max(counts, initial=0))))
    # the first of them counts the clamped values of all
    return [
        replace(of_objects.mapped(partial(at, k)), clamped=0 if k else of_objects.clamped)
        for k in positions
    ]
