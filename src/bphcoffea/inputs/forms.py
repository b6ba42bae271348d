"""Forms of files: the names and types of all branches, from which schemas make collections."""

from __future__ import annotations

from functools import cache

import uproot
from coffea.nanoevents import BaseSchema, NanoEventsFactory

from bphcoffea.inputs.columns import Form


def form_of(file: uproot.ReadOnlyDirectory, tree: str) -> Form:
    """Return the form of a tree, as coffea's schemas take it; no values are read."""
    factory = NanoEventsFactory.from_root(file, treepath=tree, schemaclass=BaseSchema)
    form: Form = factory.events().attrs["@form"]
    return form


def template_form(schema: type[BaseSchema]) -> Form | None:
    """Return the form of the template of a schema; None if it has no template.

    The template of a schema is a file in memory that has every branch that the schema knows.
    """
    return _template_form(schema) if hasattr(schema, "template") else None  # type: ignore[arg-type]


@cache
def _template_form(schema: type[BaseSchema]) -> Form:
    buffer, tree = schema.template()
    with uproot.open(buffer) as file:
        return form_of(file, tree)
