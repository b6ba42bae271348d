"""Forms of files: the names and types of all branches, from which schemas make collections."""

from __future__ import annotations

from functools import cache

import uproot
from coffea.nanoevents import BaseSchema, NanoEventsFactory

from bphcoffea.inputs.columns import Form


def form_of(file: uproot.ReadOnlyDirectory, tree: str, filter_name: str | None = None) -> Form:
    """Return the form of a tree, as coffea's schemas take it; no values are read.

    Parameters
    ----------
    file
        The file.
    tree
        Path of the tree.
    filter_name
        Pattern of the branches to look at, see :func:`branch_filter`; all if None.
    """
    factory = NanoEventsFactory.from_root(
        file,
        treepath=tree,
        schemaclass=BaseSchema,
        iteritems_options={"filter_name": filter_name},
    )
    form: Form = factory.events().attrs["@form"]
    return form


def branch_filter(schema: type[BaseSchema]) -> str | None:
    """Return the pattern of the branches that a schema looks at, for uproot; None for all.

    The schema has it as its attribute ``filter_name``. Looking at all branches of formats with more
    than 1000 takes seconds per chunk, and coffea warns about each one that uproot cannot read.
    """
    pattern: str | None = getattr(schema, "filter_name", None)
    return pattern


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
