"""Schema of the simulations of the FCC in EDM4hep, in the format of any version.

Collections and fields of the events; momenta and masses in GeV, angles in radians
----------------------------------------------------------------------------------
``ReconstructedParticles``, ``Jet``
    Four-momenta ``pt``, ``eta``, ``phi``, ``mass`` with ``charge``; files hold the components of
    the momentum instead.
``Electron``, ``Muon``, ``Photon``
    The reconstructed particles that are listed as such in the file, with the same fields. The list
    is a branch ``Electron#0`` before version 1 of EDM4hep, and ``Electron_objIdx`` since then.
``genWeight``
    Weight of the event in its ``EventHeader``, if the file has one.

Other branches are left out. Columns are read when they are used.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import awkward as ak
import numpy as np
from coffea.nanoevents import BaseSchema, transforms
from coffea.nanoevents.methods import base, candidate
from coffea.nanoevents.schemas.base import zip_forms
from coffea.nanoevents.util import concat, quote

from bphcoffea.errors import FilesetError
from bphcoffea.inputs.columns import Form, Stack
from bphcoffea.inputs.computed import computed, key_of_numbers
from bphcoffea.physics import lengths

#: Collection that the lists of leptons refer to, and collections with momenta of their own.
PARTICLES: Final = "ReconstructedParticles"
_COLLECTIONS: Final = (PARTICLES, "Jet")
_LISTS: Final = ("Electron", "Muon", "Photon")
#: Suffixes of the branches with the positions of listed particles, before and since version 1.
_SUFFIXES: Final = ("#0", "_objIdx")
_WEIGHT: Final = "EventHeader/EventHeader.weight"
#: Leaves from which each field is computed.
_LEAVES: Final = {
    "pt": ("momentum.x", "momentum.y"),
    "eta": ("momentum.x", "momentum.y", "momentum.z"),
    "phi": ("momentum.x", "momentum.y"),
    "mass": ("mass",),
    "charge": ("charge",),
}


class FCCSchema(BaseSchema):  # type: ignore[misc]
    """Collections of EDM4hep files of the FCC; the module lists their fields and units.

    A list of particles exists if the file has its branch. Reading a field raises a
    :class:`~bphcoffea.errors.FilesetError` if the list refers to a particle that does not exist.
    """

    def __init__(self, base_form: Form, *args: object, **kwargs: object) -> None:
        super().__init__(base_form, *args, **kwargs)
        branches = dict(zip(self._form["fields"], self._form["contents"], strict=True))
        forms = {name: _momenta(branches, name) for name in _COLLECTIONS}
        forms |= {name: _listed(branches, name) for name in _LISTS}
        if _WEIGHT in branches:
            forms["genWeight"] = _of_event(branches[_WEIGHT])
        present = {name: form for name, form in forms.items() if form is not None}
        if not {"Electron", "Muon"} & set(present):
            raise FilesetError(
                f"the tree lists no leptons: it has neither '{PARTICLES}' with 'Electron#0' or "
                "'Muon#0', as EDM4hep before version 1, nor with 'Electron_objIdx' or "
                "'Muon_objIdx', as since then"
            )
        self._form["fields"] = list(present)
        self._form["contents"] = list(present.values())

    @classmethod
    def reads(cls, branches: Collection[str]) -> bool:
        """Return whether a file with these branches has reconstructed particles of EDM4hep."""
        return f"{PARTICLES}/{PARTICLES}.mass" in branches

    @classmethod
    def behavior(cls) -> dict[Any, Any]:
        """Return the behaviours of vectors and charged candidates."""
        return {**base.behavior, **candidate.behavior}


def _momenta(branches: dict[str, Form], name: str, index: str | None = None) -> Form | None:
    """Return the form of a collection, or of the particles at the positions in a branch."""
    leaves = {leaf: f"{name}/{name}.{leaf}" for parts in _LEAVES.values() for leaf in parts}
    if not set(leaves.values()) <= set(branches):
        return None
    fields: dict[str, Form] = {}
    for field, parts in _LEAVES.items():
        like = branches[leaves["mass"] if index is None else index]
        taken = [
            key_of_numbers(branches[leaves[part]])
            if index is None
            else quote(f"{leaves[part]},!load,{index},!load,{index},!bphcoffea_listed")
            for part in parts
        ]
        fields[field] = computed(like, field if len(parts) > 1 else "number", *taken)
    collection: Form = zip_forms(fields, name, "PtEtaPhiMCandidate")
    return collection


def _listed(branches: dict[str, Form], name: str) -> Form | None:
    """Return the form of the particles that a branch lists; None if the file has no list."""
    for suffix in _SUFFIXES:
        index = f"{name}{suffix}/{name}{suffix}.index"
        if index in branches:
            return _momenta(branches, PARTICLES, index)
    return None


def _of_event(form: Form) -> Form:
    return {
        "class": "NumpyArray",
        "primitive": "float64",
        "parameters": {},
        "form_key": concat(form["form_key"], _WEIGHT, "!bphcoffea_of_event"),
    }


def _pop_listed(stack: Stack) -> None:
    name, index, values = (stack.pop() for _ in range(3))
    outside = ak.to_numpy(ak.any((index < 0) | (index >= ak.num(values)), axis=1))
    if np.any(outside):
        raise FilesetError(
            f"branch {name} refers to a particle that does not exist, in {np.sum(outside)} events, "
            f"first at position {np.flatnonzero(outside)[0]} of the chunk"
        )
    stack.append(ak.flatten(values[index]))


def _pop_of_event(stack: Stack) -> None:
    name, values = stack.pop(), stack.pop()
    if np.any(lengths(values) != 1):
        raise FilesetError(f"branch {name} must hold one number per event")
    stack.append(ak.flatten(values))


transforms.bphcoffea_listed = _pop_listed
transforms.bphcoffea_of_event = _pop_of_event
