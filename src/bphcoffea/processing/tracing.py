"""Branches that an analysis reads, found by running it on the template of its schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import awkward as ak
import uproot
from coffea.nanoevents import NanoEventsFactory
from coffea.nanoevents.schemas.base import BaseSchema

from bphcoffea.analysis import (
    EVENT_NUMBERS,
    GENERATOR_WEIGHT,
    HELD,
    Analysis,
    BranchNeeds,
    Cut,
    DatasetMetadata,
    ResolvedAnalysis,
    check_for_dataset,
)
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.preparation import Preparation
from bphcoffea.processing.processor import Processor


def required_branches(analysis: Analysis, metadata: DatasetMetadata) -> tuple[str, ...]:
    """Return the branches that every file of a dataset must have, sorted.

    Parameters
    ----------
    analysis
        The analysis. If its schema has no template, it declares the branches.
    metadata
        Metadata of the dataset, on which the branches may depend.

    Raises
    ------
    DeclarationError
        If declarations for the dataset are wrong.
    """
    check_for_dataset(analysis, metadata)
    if not hasattr(analysis.schema, "template"):
        resolved = analysis.for_dataset(metadata)
        read = {*analysis.branches}
        read.update(*(weight.branches for weight in resolved.weights))
        read.update(*(calibration.branches for calibration in resolved.calibrations))
        return tuple(sorted(read))
    (branches,) = _branches_read(analysis, metadata, [Processor(analysis).process])
    return branches


def branch_needs(
    analysis: Analysis, datasets: Mapping[str, DatasetMetadata]
) -> dict[str, BranchNeeds]:
    """Return the branches that an analysis needs in the files of each dataset.

    The analysis is traced once for all datasets with the same cuts, columns and weights that agree
    in the metadata on which an analysis may depend.

    Parameters
    ----------
    analysis
        The analysis.
    datasets
        Metadata of each dataset.

    Raises
    ------
    DeclarationError
        If declarations for a dataset are wrong.
    """
    traced: dict[object, tuple[str, ...]] = {}
    needs = {}
    for name, metadata in datasets.items():
        check_for_dataset(analysis, metadata)
        resolved = analysis.for_dataset(metadata)
        looked_at = (metadata.get(key) for key in ("is_mc", "era", "hlt", *analysis.metadata))
        parts = (resolved.cuts, resolved.columns, resolved.weights)
        calibrated = [calibration.branches for calibration in resolved.calibrations]
        key = repr([*looked_at, *([part.name for part in kind] for kind in parts), calibrated])
        if key not in traced:
            traced[key] = required_branches(analysis, metadata)
        needs[name] = _needs(analysis, resolved, traced[key])
    return needs


def _needs(
    analysis: Analysis, resolved: ResolvedAnalysis, required: tuple[str, ...]
) -> BranchNeeds:
    requirements = [r for cut in resolved.cuts for r in cut.requirements]
    requirements += [r for region in analysis.regions for r in region.requirements]
    paths = [branch for r in requirements for branch in r.in_some_file(resolved.metadata)]
    weights = [weight.field for weight in resolved.weights if weight.field is not None]
    alike = [name for name in EVENT_NUMBERS if name not in required]
    cuts = (*analysis.selection, *analysis.cuts_on_best)
    alike += [branch for part in (*cuts, *resolved.columns) for branch in part.branches]
    if resolved.metadata["is_mc"]:
        alike.append(GENERATOR_WEIGHT)
    return BranchNeeds(
        required=required,
        in_some_file=tuple(dict.fromkeys(paths)),
        in_all_or_none=tuple(dict.fromkeys(alike)),
        optional=tuple(dict.fromkeys(weights)),
    )


def branches_of_cuts(analysis: Analysis, metadata: DatasetMetadata) -> dict[str, tuple[str, ...]]:
    """Return the branches that each declared cut reads, sorted, by the name of the cut.

    Empty if the schema of the analysis has no template.
    """
    if not hasattr(analysis.schema, "template"):
        return {}

    def evaluation(cut: Cut) -> Callable[[ak.Array], None]:
        def evaluate(events: ak.Array) -> None:
            candidates = Candidates(Preparation(analysis)(events), analysis.selection.collection)
            for requirement in cut.requirements:
                requirement.mask(candidates.values)

        return evaluate

    declared = (*analysis.selection, *analysis.cuts_on_best)
    cuts = [cut for cut in declared if cut.exists_for(metadata)]
    branches = _branches_read(analysis, metadata, [evaluation(cut) for cut in cuts])
    return {cut.name: read for cut, read in zip(cuts, branches, strict=True)}


def _branches_read(
    analysis: Analysis,
    metadata: DatasetMetadata,
    functions: Sequence[Callable[[ak.Array], object]],
) -> list[tuple[str, ...]]:
    """Return the branches that each function reads of the events of the template."""
    factory, accessed = _template(analysis.schema)  # type: ignore[arg-type] # classes are hashable
    # cuts and columns on branches that files may lack are left out
    held = {"dataset": "template", HELD: (), **metadata}
    branches = []
    for function in functions:
        events = ak.with_parameter(factory.events(), "metadata", held)
        accessed.clear()
        function(events)
        branches.append(tuple(sorted({column.branch for column in accessed})))
    return branches


@cache
def _template(schema: type[BaseSchema]) -> tuple[NanoEventsFactory, list[Any]]:
    """Open the template of a schema; the list receives the columns that are read of its events."""
    buffer, tree = schema.template()
    accessed: list[Any] = []
    factory = NanoEventsFactory.from_root(
        uproot.open(buffer),
        treepath=tree,
        schemaclass=schema,
        mode="virtual",
        access_log=accessed,
    )
    return factory, accessed
