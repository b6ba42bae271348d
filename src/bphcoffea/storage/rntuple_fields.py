"""Fields of an RNTuple, found in a time that grows with their number, not with its square.

uproot searches the records of all fields for the children of each field. A NanoAOD file with 1937
fields thus takes 10 s to open, once per chunk.
"""

from __future__ import annotations

import uproot
from uproot.behaviors.RNTuple import HasFields, RNTuple

_CHILDREN = "_bphcoffea_children"


def index_fields() -> None:
    """Make uproot, in this process, look up the children of fields in an index per RNTuple.

    The private property is replaced because uproot offers no other way.
    """
    HasFields.fields = property(_fields)


def _fields(self: HasFields) -> list[uproot.models.RNTuple.RField]:
    """Return the fields directly under an RNTuple or a field, not recursively."""
    if self._fields is None:
        of_ntuple = isinstance(self, RNTuple)
        fields: list[uproot.models.RNTuple.RField] = []
        for field in _children(self.ntuple).get(None if of_ntuple else self._fid, ()):
            # an anonymous field stands for its own children
            fields += field.fields if field.is_anonymous and not of_ntuple else [field]
        self._fields = fields
    return self._fields  # type: ignore[no-any-return]


def _children(ntuple: RNTuple) -> dict[int | None, list[uproot.models.RNTuple.RField]]:
    """Return the children of each field by its number, and those of the RNTuple by None."""
    children: dict[int | None, list[uproot.models.RNTuple.RField]] | None
    children = getattr(ntuple, _CHILDREN, None)
    if children is None:
        children = {}
        for number, record in enumerate(ntuple.field_records):
            top_level = record.parent_field_id == number
            parent = None if top_level else record.parent_field_id
            children.setdefault(parent, []).append(ntuple.all_fields[number])
        setattr(ntuple, _CHILDREN, children)
    return children
