"""Which branches an analysis reads, found by running it on a schema's template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import uproot
from coffea.nanoevents import NanoEventsFactory

from bphcoffea.analysis.analysis import GENERATOR_WEIGHT, Analysis
from bphcoffea.analysis.branch_needs import HELD, BranchNeeds
from bphcoffea.analysis.declaration import check_for_dataset
from bphcoffea.analysis.event_numbers import EVENT_NUMBERS
from bphcoffea.analysis.selection import Cut
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.processor import Processor


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
    (branches,) = _branches_read(analysis, metadata, [Processor(analysis).process])
    return branches


def branch_needs(analysis: Analysis, metadata: Mapping[str, Any]) -> BranchNeeds:
    """All that an analysis needs of the files of a dataset.

    Parameters
    ----------
    analysis, metadata
        As above.
    """
    existing = (*analysis.selection_of(metadata), *analysis.cuts_on_best_for(metadata))
    paths = [
        branch
        for cut in existing
        for requirement in cut.requirements
        for branch in requirement.in_some_file(metadata)
    ]
    weights = [w.field for w in analysis.weights_of(metadata) if w.field is not None]
    required = required_branches(analysis, metadata)
    alike = [name for name in EVENT_NUMBERS if name not in required]
    cuts = (*analysis.selection, *analysis.cuts_on_best)
    alike += [
        branch for part in (*cuts, *analysis.columns_of(metadata)) for branch in part.branches
    ]
    if metadata["is_mc"]:
        alike.append(GENERATOR_WEIGHT)
    return BranchNeeds(
        required=required,
        in_some_file=tuple(dict.fromkeys(paths)),
        in_all_or_none=tuple(dict.fromkeys(alike)),
        optional=tuple(dict.fromkeys(weights)),
    )


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

    cuts = [*analysis.selection.for_dataset(metadata), *analysis.cuts_on_best_for(metadata)]
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
            # what depends on branches that a file may lack is not needed of it
            metadata={"dataset": "template", HELD: (), **metadata},
            mode="virtual",
            access_log=accessed,
        )
        for function in functions:
            accessed.clear()
            function(factory.events())
            branches.append(tuple(sorted({column.branch for column in accessed})))
    return branches
