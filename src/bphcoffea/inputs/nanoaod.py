"""NanoAOD, whole or reduced to a few collections."""

import copy
import warnings
from typing import Any, ClassVar

from coffea.nanoevents import NanoAODSchema

from bphcoffea.inputs.columns import Form, counted, is_list


class ReducedNanoAODSchema(NanoAODSchema):  # type: ignore[misc]
    """NanoAOD of which some branches were dropped, such as CMS's reduced open-data files.

    As coffea's own schema, with these differences:

    - A file without event numbers, or with indices to collections that it does not hold, is read
      without complaint.
    - Coffea cuts every branch of a collection into events by the counter (``nMuon``). Here the
      lengths of the branch's own lists are compared with it when the branch is read: skims that
      were written by RDataFrame hold vectors with lengths of their own. An
      :class:`~bphcoffea.errors.InputError` names the branch and the first event.
    - A branch with one number per event that is named like a field of a collection
      (``Muon_ptLeading`` beside ``nMuon`` and ``Muon_pt``) becomes a field of the events.
    """

    warn_missing_crossrefs: ClassVar[bool] = False
    event_ids: ClassVar[list[str]] = []

    def __init__(self, base_form: Form, *args: Any, **kwargs: Any) -> None:
        branches = dict(zip(base_form["fields"], base_form["contents"], strict=True))
        apart: dict[str, Form] = {}
        for name, form in list(branches.items()):
            counter = f"n{name.partition('_')[0]}"
            if counter not in branches or name == counter or is_list(branches[counter]):
                continue
            if is_list(form):
                branches[name] = counted(name, form, counter)
            elif "_" in name:
                apart[name] = branches.pop(name)
        form = copy.copy(base_form) | {
            "fields": list(branches),
            "contents": list(branches.values()),
        }
        with warnings.catch_warnings():
            # photons and missing energy are massless by definition, whatever a file says
            warnings.filterwarnings("ignore", r"Branch \w+ already exists", RuntimeWarning)
            super().__init__(form, *args, **kwargs)
        self._form["fields"] += list(apart)
        self._form["contents"] += list(apart.values())
