"""Scale factors of the objects of an event, which the era's TOML alone describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import add, pos
from types import MappingProxyType
from typing import Final

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.analysis.objects import ObjectVariable
from bphcoffea.analysis.variables import Values
from bphcoffea.analysis.weights.weight import Weight, WeightContext
from bphcoffea.arrays import Integers, Numbers
from bphcoffea.corrections import Factor
from bphcoffea.errors import CorrectionsError, DeclarationError
from bphcoffea.physics import lengths

#: Inputs that payloads of CMS take, with the fields to compute them from if objects lack them.
_COMPUTED: Final[Mapping[str, tuple[Callable[..., ak.Array], tuple[str, ...]]]] = MappingProxyType(
    {
        "abseta": (abs, ("eta",)),
        "superclusterEta": (add, ("eta", "deltaEtaSC")),
        "dm": (pos, ("decayMode",)),
        "genmatch": (pos, ("genPartFlav",)),
    }
)


@dataclass(frozen=True)
class ObjectWeight(Weight):
    """Product of the scale factors of an event's objects, with correlated uncertainties.

    The weight of an event without such objects is 1. The payload's inputs are read from the fields
    of the objects with the same names, unless the TOML names others; ``abseta``, ``dm``,
    ``genmatch`` and ``superclusterEta`` are computed if the objects lack them.

    Attributes
    ----------
    name
        Name of the factor, and of its section ``[objects.<name>]`` in the TOML.
    of
        Collection of the objects.
    after
        Name of the cut that the scale factors correct; None if they apply before any cut.

    Examples
    --------
    >>> ObjectWeight("muon_isolation", of="muon", after="two_muons").needs()
    'objects.muon_isolation'
    """

    name: str
    of: str
    after: str | None

    @override
    def needs(self) -> str:
        return f"objects.{self.name}"

    @override
    def evaluate(self, values: Values, context: WeightContext) -> Factor:
        if context.corrections is None:
            raise ValueError(f"weight '{self.name}' is evaluated without corrections")
        factor = context.corrections.objects[self.name]
        numbers, counts = numbers_of_objects(self, self.of, factor.fields, values)
        return factor.evaluate_objects(numbers, counts, shifted=context.shifted)


def numbers_of_objects(
    weight: Weight, collection: str, fields: Mapping[str, str], values: Values
) -> tuple[dict[str, Numbers], Integers]:
    """Return the inputs of a payload for all objects.

    Parameters
    ----------
    weight
        The weight, for messages.
    collection
        Collection of the objects.
    fields
        Field of the objects for each input.
    values
        Function from a variable to its values.

    Returns
    -------
    Numbers by input, shape (objects,) each, and the number of objects of each event.
    """
    lists: dict[str, Numbers] = {}
    for name, field in fields.items():
        try:
            lists[name] = values(_field_of(collection, field))
        except CorrectionsError as error:
            raise CorrectionsError(
                f"weight '{weight.name}': {error}; name the field to take in the TOML: "
                f'[{weight.needs()}.fields] {name} = "…"'
            ) from None
    counts: list[Integers] = [lengths(numbers) for numbers in lists.values()]
    # a missing value becomes NaN, which the payload refuses
    numbers = {
        name: ak.to_numpy(ak.fill_none(ak.flatten(of_events), np.nan))
        for name, of_events in lists.items()
    }
    return numbers, counts[0]


@cache
def _field_of(collection: str, field: str) -> ObjectVariable:
    """Return the variable of a field, the same for all weights that read it."""

    def values(events: ak.Array) -> ak.Array:
        if collection not in events.fields:
            raise DeclarationError(f"a weight is of '{collection}', which the events do not have")
        objects = events[collection]
        found = _read(objects, field)
        if found is None and field in _COMPUTED:
            function, names = _COMPUTED[field]
            parts = [_read(objects, name) for name in names]
            found = function(*parts) if all(part is not None for part in parts) else None
        if found is None:
            raise CorrectionsError(f"'{collection}' has no field '{field}'")
        return found

    return ObjectVariable(f"{collection}_{field}", values)


def _read(objects: ak.Array, field: str) -> ak.Array | None:
    """Return a field, or a property of the objects' class such as pT from components."""
    found = objects[field] if field in objects.fields else getattr(objects, field, None)
    return found if isinstance(found, ak.Array) else None
