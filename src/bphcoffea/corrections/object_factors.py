"""Factors of an event from all objects of a collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.arrays import Floats, Integers
from bphcoffea.corrections.declaration import ObjectSection, ObjectTriggerSection
from bphcoffea.corrections.factors import TriggerFactor
from bphcoffea.corrections.payload import Inputs
from bphcoffea.corrections.payload_factor import SHIFTED, Factor, PayloadFactor
from bphcoffea.errors import CorrectionsError


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
        super().__init__(folder, section, where, era)
        self.fields = _fields(section.fields, self.numbers, where)
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
    def describe(self) -> dict[str, object]:
        return {**super().describe(), "fields": self.fields}


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
                f"{where}.fields: there is no input '{name}' that is a number; "
                f"there are: {', '.join(inputs)}"
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
