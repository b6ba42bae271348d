"""Base class of the corrections of the momenta of muons."""

from __future__ import annotations

from abc import ABC, abstractmethod

import awkward as ak
import numpy as np

from bphcoffea.arrays import Booleans, Floats
from bphcoffea.physics import doubles


class MuonMomentumPayload(ABC):
    """Corrections of the momenta of muons; they can be pickled.

    Muons are a list per event of records with the fields ``pt`` (GeV), ``eta``, ``phi`` and
    ``charge``. Simulated ones also have ``layers``, the number of tracker layers, ``uniform``, a
    random number between 0 and 1, and ``pt_gen``, the generated momentum (GeV), 0 without one.

    Attributes
    ----------
    sources
        Names of the uncertainties.
    """

    sources: tuple[str, ...]

    @abstractmethod
    def corrected(self, muons: ak.Array, *, is_mc: bool) -> ak.Array:
        """Return the transverse momenta of data or simulation, GeV."""

    @abstractmethod
    def varied(self, muons: ak.Array, source: str, *, up: bool) -> ak.Array:
        """Return the transverse momenta of simulation in a variation, GeV."""

    def outside(self, muons: ak.Array, *, is_mc: bool) -> Booleans:  # noqa: ARG002
        """Return which muons are outside the bins of the corrections, shape (muons,)."""
        return np.zeros(int(ak.sum(ak.num(muons))), dtype=np.bool_)

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""


def flat_fields(muons: ak.Array) -> dict[str, Floats]:
    """Return the fields of all muons, shape (muons,) each."""
    return {name: doubles(muons[name]) for name in muons.fields}
