"""Forms of files: the names and types of all branches, from which schemas make collections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeAlias

import uproot
from coffea.nanoevents import BaseSchema, NanoEventsFactory
from coffea.nanoevents.mapping import SimplePreloadedColumnSource

from bphcoffea.inputs.columns import Form

#: Branches to look at: a pattern of their names, a function of uproot's branch, or None for all.
BranchFilter: TypeAlias = str | Callable[[Any], bool] | None


def form_of(file: uproot.ReadOnlyDirectory, tree: str, looked_at: BranchFilter = None) -> Form:
    """Return the form of a tree, as coffea's schemas take it; no values are read.

    Parameters
    ----------
    file
        The file.
    tree
        Path of the tree.
    looked_at
        Branches to look at, see :func:`branch_filter`.
    """
    factory = NanoEventsFactory.from_root(
        file,
        treepath=tree,
        schemaclass=BaseSchema,
        iteritems_options=iteritems_options(looked_at),
    )
    form: Form = factory.events().attrs["@form"]
    return form


def branch_filter(schema: type[BaseSchema]) -> BranchFilter:
    """Return the branches that a schema looks at.

    The schema has them as its attribute ``filter_name``, a pattern, or ``filter_branch``, a
    function. Looking at all branches of formats with more than 1000 takes seconds per chunk, and
    coffea warns about each one that uproot cannot read.
    """
    found: BranchFilter = getattr(schema, "filter_branch", getattr(schema, "filter_name", None))
    return found


def iteritems_options(looked_at: BranchFilter) -> Mapping[str, BranchFilter]:
    """Return the options of uproot's ``iteritems`` for these branches."""
    return {"filter_branch" if callable(looked_at) else "filter_name": looked_at}


def template_form(schema: type[BaseSchema]) -> Form | None:
    """Return the form of the template of a schema; None if it has no template.

    The template of a schema has a column for every branch that the schema knows.
    """
    return _template_form(schema) if hasattr(schema, "template") else None  # type: ignore[arg-type]


@cache
def _template_form(schema: type[BaseSchema]) -> Form:
    columns = SimplePreloadedColumnSource(schema.template(), "template", 0, "template")
    factory = NanoEventsFactory.from_preloaded(columns, schemaclass=BaseSchema)
    form: Form = factory.events().attrs["@form"]
    return form
