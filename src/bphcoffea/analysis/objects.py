"""Collections of objects, such as the muons and jets that an analysis selects in each event.

Requirements on objects compare quantities of one object, whatever its collection. The selected
objects are a collection of the events, of which variables are made: their number, a quantity of
each, or that of the n-th.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

import awkward as ak
import numpy as np

from bphcoffea.analysis.names import check_name, shown
from bphcoffea.analysis.variables import (
    Axis,
    Condition,
    Requirement,
    Variable,
    check_requirements,
    is_number,
)
from bphcoffea.arrays import Booleans, Numbers
from bphcoffea.errors import DeclarationError
from bphcoffea.physics import delta_r, flattened


@dataclass(frozen=True, eq=False)
class ObjectVariable(Variable):
    """A list of numbers per event, one per object of a collection.

    Histograms are filled with each number. Requirements cannot compare it.
    """


@dataclass(frozen=True, eq=False)
class OptionalVariable(Variable):
    """A number per event that some events do not have: it is NaN there.

    NaN meets no comparison, and histograms are not filled with it.
    """


@dataclass(frozen=True)
class Objects:
    """A selected collection, sorted by descending transverse momentum.

    Attributes
    ----------
    name
        Field of the events that holds the selected objects.
    of
        Field of the events to select from: a collection of the input, or other objects declared
        before.
    where
        Requirements on each object. Their variables are functions of the collection instead of the
        events, such as :func:`quantity` and :func:`flag` make.
    away_from
        For other collections, the smallest ΔR that an object may have to any of their objects: a
        number, or a variable of the object. Declare objects in the order in which overlaps are
        removed: what was removed before overlaps with nothing.

    Examples
    --------
    >>> pt = quantity("pt", unit="GeV")
    >>> Objects("jet", of="Jet", where=(pt > 30, flag("isTight")), away_from={"muon": 0.4})
    jet: Jet with pt > 30 GeV, isTight, ΔR(muon) ≥ 0.4
    >>> cone = Variable("0.04 + 10 GeV/pt", lambda muons: 0.04 + 10 / muons.pt)
    >>> Objects("isolated_muon", of="muon", away_from={"jet": cone})
    isolated_muon: muon with ΔR(jet) ≥ 0.04 + 10 GeV/pt
    """

    name: str
    of: str
    where: tuple[Requirement, ...] = ()
    away_from: Mapping[str, float | Variable] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        check_name("objects", self.name)
        owner = f"objects '{self.name}'"
        if not isinstance(self.of, str):
            raise DeclarationError(f"{owner}: of is {shown(self.of)}, but must be a collection")
        if not isinstance(self.where, tuple | list):
            raise DeclarationError(
                f"{owner}: where is {shown(self.where)}, but must be a tuple; write where = (…,)"
            )
        check_requirements(owner, self.where)
        for name, distance in self.away_from.items():
            if not isinstance(distance, Variable) and (not is_number(distance) or distance <= 0):
                raise DeclarationError(
                    f"{owner}: ΔR to '{name}' is {shown(distance)}, but must be a number above 0, "
                    "or a variable of the object"
                )

    @property
    def steps(self) -> tuple[str, ...]:
        """Text of each requirement, in the order in which they are applied."""
        distances = (
            f"ΔR({name}) ≥ {least.name if isinstance(least, Variable) else f'{least:g}'}"
            for name, least in self.away_from.items()
        )
        return (*map(str, self.where), *distances)

    def masks(self, events: ak.Array) -> list[Booleans]:
        """Return which objects meet each requirement, an array of shape (objects,) per step.

        Parameters
        ----------
        events
            Events with the collections that the declaration names.
        """
        objects = events[self.of]

        def values(variable: Variable) -> Numbers:
            numbers: Numbers = flattened(variable(objects))
            return numbers

        met = [requirement.mask(values) for requirement in self.where]
        for name, distance in self.away_from.items():
            pairs = ak.cartesian([objects, events[name]], nested=True)
            least = distance(objects) if isinstance(distance, Variable) else distance
            near = ak.any(delta_r(*ak.unzip(pairs)) < least, axis=-1)
            met.append(~flattened(near))
        return met

    def select(self, events: ak.Array) -> ak.Array:
        """Return the selected objects, a list per event."""
        objects = events[self.of]
        passed = np.ones(int(ak.sum(ak.num(objects))), dtype=np.bool_)
        for mask in self.masks(events):
            passed &= mask
        selected = objects[ak.unflatten(passed, ak.num(objects))]
        if "pt" not in ak.fields(selected):
            return selected
        return selected[ak.argsort(selected.pt, ascending=False, stable=True)]

    def __repr__(self) -> str:
        return f"{self.name}: {self.of}" + (f" with {', '.join(self.steps)}" if self.steps else "")


@cache
def quantity(
    name: str, label: str = "", unit: str = "", axis: Axis | None = None, field: str = ""
) -> Variable:
    """Quantity of an object, read from the field of its name or from another field."""
    return Variable(name, lambda objects: _field(objects, field or name), label, unit, axis)


@cache
def flag(name: str) -> Condition:
    """Require that a boolean field of an object is true."""
    return Condition(name, lambda objects: _field(objects, name))


def _field(objects: ak.Array, name: str) -> ak.Array:
    if name not in objects.fields:
        collection = objects.layout.purelist_parameter("collection_name") or "the collection"
        raise AttributeError(
            f"no field named '{name}' in {collection}, which has: {', '.join(objects.fields)}"
        )
    return objects[name]


@cache
def number_of(collection: str, label: str = "") -> Variable:
    """Number of objects of an event, named ``n_<collection>``."""
    return Variable(
        f"n_{collection}",
        lambda events: ak.num(events[collection]),
        label or f"Number of {collection} objects",
        axis=Axis(10, -0.5, 9.5),
    )


@cache
def each(collection: str, quantity: Variable, label: str = "") -> ObjectVariable:
    """Quantity of each object of a collection, named ``<collection>_<quantity>``."""
    return ObjectVariable(
        f"{collection}_{quantity.name}",
        lambda events: quantity(events[collection]),
        label or f"{collection} {quantity.label or quantity.name}",
        quantity.unit,
        quantity.axis,
    )


@cache
def nth(collection: str, number: int, quantity: Variable, label: str = "") -> OptionalVariable:
    """Quantity of the n-th object of an event, from 1, named ``<collection><n>_<quantity>``."""

    def values(events: ak.Array) -> ak.Array:
        padded = ak.pad_none(quantity(events[collection]), number, axis=1)
        return ak.fill_none(padded[:, number - 1], np.nan)

    return OptionalVariable(
        f"{collection}{number}_{quantity.name}",
        values,
        label or f"{collection} {number} {quantity.label or quantity.name}",
        quantity.unit,
        quantity.axis,
    )
