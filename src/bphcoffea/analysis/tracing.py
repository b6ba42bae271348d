"""Which branches an analysis reads, found by running it on a schema's template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import uproot
from coffea.nanoevents import NanoEventsFactory

from bphcoffea.analysis.declaration import check_for_dataset
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

    Raises
    ------
    DeclarationError
        If the analysis declares something wrong for the dataset.
    """
    check_for_dataset(analysis, metadata)
    if not hasattr(analysis.schema, "template"):
        own = [branch for weight in analysis.weights_of(metadata) for branch in weight.branches]
        return tuple(sorted({*analysis.branches, *own}))
    (branches,) = _branches_read(analysis, metadata, [analysis.process])
    return branches


def branches_of_cuts(analysis: Analysis, metadata: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The branches that each cut reads, sorted, by the cut's name.

    None for an analysis whose schema has no template.
    """
    if not hasattr(analysis.schema, "template"):
        return {}

    def evaluation(cut: Cut) -> Callable[[Any], None]:
        def evaluate(events: Any) -> None:
            candidates = Candidates(analysis.prepare(events), analysis.selection.collection)
            for requirement in cut.requirements:
                requirement.mask(candidates.values)

        return evaluate

    of_best = [cut for cut in analysis.of_best if cut.when is None or cut.when(metadata)]
    cuts = [*analysis.selection.of(metadata), *of_best]
    branches = _branches_read(analysis, metadata, [evaluation(cut) for cut in cuts])
    return {cut.name: read for cut, read in zip(cuts, branches, strict=True)}


def _branches_read(
    analysis: Analysis, metadata: Mapping[str, Any], functions: Sequence[Callable[[Any], Any]]
) -> list[tuple[str, ...]]:
    buffer, tree = analysis.schema.template()
    accessed: list[Any] = []
    branches = []
    with uproot.open(buffer) as file:
        factory = NanoEventsFactory.from_root(
            file,
            treepath=tree,
            schemaclass=analysis.schema,
            metadata={"dataset": "template", **metadata},
            mode="virtual",
            access_log=accessed,
        )
        for function in functions:
            accessed.clear()
            function(factory.events())
            branches.append(tuple(sorted({column.branch for column in accessed})))
    return branches
