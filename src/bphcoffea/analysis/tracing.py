"""Which branches an analysis reads, found by running it on a schema's template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import uproot
from coffea.nanoevents import NanoEventsFactory

from bphcoffea.analysis.processor import Analysis
from bphcoffea.analysis.selection import Candidates, Cut


def required_branches(analysis: Analysis, metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The branches that an analysis needs of each file of a dataset, sorted.

    Parameters
    ----------
    analysis
        Where its schema has no template, its own ``branches`` are taken.
    metadata
        The dataset's metadata, on which the branches may depend.
    """
    if not hasattr(analysis.schema, "template"):
        return tuple(sorted(analysis.branches))
    return _branches_read(analysis, metadata, analysis.process)


def branches_of_cut(analysis: Analysis, cut: Cut, metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The branches that one cut reads, sorted; none where the schema has no template."""
    if not hasattr(analysis.schema, "template"):
        return ()

    def evaluate(events: Any) -> None:
        candidates = Candidates(analysis.prepare(events), analysis.selection.collection)
        for requirement in cut.requirements:
            requirement.mask(candidates.values)

    return _branches_read(analysis, metadata, evaluate)


def _branches_read(
    analysis: Analysis, metadata: Mapping[str, Any], function: Callable[[Any], Any]
) -> tuple[str, ...]:
    buffer, tree = analysis.schema.template()
    accessed: list[Any] = []
    with uproot.open(buffer) as file:
        events = NanoEventsFactory.from_root(
            file,
            treepath=tree,
            schemaclass=analysis.schema,
            metadata={"dataset": "template", **metadata},
            mode="virtual",
            access_log=accessed,
        ).events()
        function(events)
    return tuple(sorted({column.branch for column in accessed}))
