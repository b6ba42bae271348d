"""NanoAOD, whole or reduced to a few collections."""

import copy
import warnings
from collections.abc import Collection
from functools import cache
from typing import ClassVar, Final

import awkward as ak
import numpy as np
from coffea.nanoevents import NanoAODSchema

from bphcoffea.inputs.columns import Form, aligned, is_list

#: Records of collections that lack fields of their own: four-momenta without charge, and others.
_SIMPLER: Final = ("PtEtaPhiMCollection", "NanoCollection")


class ReducedNanoAODSchema(NanoAODSchema):  # type: ignore[misc]
    """NanoAOD, also with dropped branches, such as CMS's reduced open-data files.

    Collections, fields and units (GeV, cm, radians) are those of NanoAOD. The schema differs from
    coffea's ``NanoAODSchema`` in these points:

    - Event numbers, and the collections that indices refer to, may be missing.
    - Collections may lack fields that coffea's records need, such as the coordinates of a vertex or
      the charge of a muon: they then have their fields, but not all methods of coffea.
    - Coffea cuts every branch of a collection into events by the counter (``nMuon``). Here the
      lengths of the lists of the branch are compared with the counter when the branch is read,
      because skims by RDataFrame hold vectors of any length. A
      :class:`~bphcoffea.errors.FilesetError` names the branch and the first event.
    - A branch with one number per event and a name like that of a field (``Muon_ptLeading`` beside
      ``nMuon`` and ``Muon_pt``) becomes a field of the events.
    """

    warn_missing_crossrefs: ClassVar[bool] = False
    event_ids: ClassVar[list[str]] = []
    #: Branches that only simulation has, or only there with entries.
    generated: ClassVar[tuple[str, ...]] = ("genWeight", "nGenPart")

    @classmethod
    def reads(cls, branches: Collection[str]) -> bool:
        """Return whether a file with these branches has the counter of a collection of NanoAOD."""
        return any(f"n{name.partition('_')[0]}" in branches for name in branches if "_" in name)

    def __init__(self, base_form: Form, *args: object, **kwargs: object) -> None:
        branches = dict(zip(base_form["fields"], base_form["contents"], strict=True))
        per_event: dict[str, Form] = {}
        for name, form in list(branches.items()):
            counter = f"n{name.partition('_')[0]}"
            if counter not in branches or name == counter or is_list(branches[counter]):
                continue
            if is_list(form):
                branches[name] = aligned(name, form, counter)
            elif "_" in name:
                per_event[name] = branches.pop(name)
        form = copy.copy(base_form) | {
            "fields": list(branches),
            "contents": list(branches.values()),
        }
        with warnings.catch_warnings():
            # photons and missing energy are massless in coffea, also if the file has their mass
            warnings.filterwarnings("ignore", r"Branch \w+ already exists", RuntimeWarning)
            super().__init__(form, *args, **kwargs)
        for collection in self._form["contents"]:
            _with_possible_record(collection)
        self._form["fields"] += list(per_event)
        self._form["contents"] += list(per_event.values())


def _with_possible_record(collection: Form) -> None:
    """Replace the record of a collection by a simpler one if it lacks fields of it."""
    objects = collection.get("content", collection)
    record = objects.get("parameters", {}).get("__record__")
    if record is None or "fields" not in objects:
        return
    fields = frozenset(objects["fields"])
    names = (record, *(name for name in _SIMPLER if name != record))
    possible = (name for name in names if _is_possible(name, fields))
    objects["parameters"] = {**objects["parameters"], "__record__": next(possible, names[-1])}


@cache
def _is_possible(record: str, fields: frozenset[str]) -> bool:
    """Return whether coffea accepts a record with these fields."""
    empty = ak.contents.NumpyArray(np.empty(0))
    layout = ak.contents.RecordArray(
        [empty] * len(fields), [*fields], parameters={"__record__": record}
    )
    try:
        ak.Array(layout, behavior=NanoAODSchema.behavior())
    except ValueError:
        return False
    return True
