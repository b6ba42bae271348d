"""Branches that an analysis reads, found by running it on typed events without data.

The types are those of a file of the dataset, or of the template of a schema, which has all branches
that the schema knows.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import awkward as ak
from coffea.nanoevents.schemas.base import BaseSchema
from coffea.nanoevents.trace import trace_with_length_one_array

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
from bphcoffea.errors import FilesetError, InputError, causes
from bphcoffea.inputs import Form, template_form
from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.preparation import Preparation
from bphcoffea.processing.processor import Processor

#: Text of awkward's exceptions about a field that does not exist.
_NO_FIELD: Final = re.compile(r"no field (named )?'")

_log = logging.getLogger(__name__)


class TracingError(Exception):
    """An analysis cannot read the files of a dataset; see its cause.

    It reads a field that the events do not have, or the files have another format.

    Parameters
    ----------
    dataset
        Name of the dataset.
    """

    def __init__(self, dataset: str) -> None:
        super().__init__(dataset)
        self.dataset = dataset


def branch_needs(
    analysis: Analysis,
    datasets: Mapping[str, DatasetMetadata],
    forms: Mapping[str, Form] | None = None,
) -> dict[str, BranchNeeds]:
    """Return the branches that an analysis needs in the files of each dataset.

    The analysis is traced once for all datasets with the same cuts, columns and weights that agree
    in the metadata on which an analysis may depend, and in the types of the branches that it reads.

    Parameters
    ----------
    analysis
        The analysis.
    datasets
        Metadata of each dataset.
    forms
        Form of a file of each dataset, see :func:`.form_of`; of datasets that lack one, no branches
        are required. A schema with a template needs none.

    Raises
    ------
    DeclarationError
        If declarations for a dataset are wrong.
    TracingError
        If the analysis reads a field that the events of a dataset do not have, or the schema does
        not know the format.
    """
    template = template_form(analysis.schema)
    traced: dict[str, list[tuple[Form, frozenset[str]]]] = {}
    needs = {}
    for name, metadata in datasets.items():
        check_for_dataset(analysis, metadata)
        resolved = analysis.for_dataset(metadata)
        form = template or (forms or {}).get(name)
        needs[name] = may_lack = _may_lack(analysis, resolved)
        if form is None:
            continue
        alike = traced.setdefault(_key(analysis, resolved), [])
        for other, branches in alike:
            if _agree(form, other, branches):
                read = branches
                break
        else:
            paths = {HELD: may_lack.in_some_file, **metadata}
            reduced = _without(form, may_lack.optional)
            read = _branches_of_process(analysis, name, reduced, paths)
            alike.append((form, read))
        # a template has event numbers only if the format always has them
        always = read.intersection(EVENT_NUMBERS) if template else frozenset()
        needs[name] = replace(
            may_lack,
            required=tuple(sorted(read - {*may_lack.looked_for} | always)),
            in_all_or_none=tuple(b for b in may_lack.in_all_or_none if b not in always),
        )
    return needs


def _key(analysis: Analysis, resolved: ResolvedAnalysis) -> str:
    """Return a text that is the same for all datasets that an analysis treats alike."""
    metadata = resolved.metadata
    looked_at = (metadata.get(key) for key in ("is_mc", "era", "hlt", *analysis.metadata))
    parts = (resolved.cuts, resolved.columns, resolved.weights)
    sections = [calibration.sections for calibration in resolved.calibrations]
    return repr([*looked_at, *([part.name for part in kind] for kind in parts), sections])


def _agree(form: Form, other: Form, branches: frozenset[str]) -> bool:
    """Return whether two files have the same types of some branches."""
    if form is other:
        return True
    types, others = (dict(zip(f["fields"], f["contents"], strict=True)) for f in (form, other))
    return all(branch in types and types[branch] == others[branch] for branch in branches)


def _without(form: Form, branches: Collection[str]) -> Form:
    pairs = zip(form["fields"], form["contents"], strict=True)
    kept = {name: content for name, content in pairs if name not in branches}
    return {**form, "fields": list(kept), "contents": list(kept.values())}


def _may_lack(analysis: Analysis, resolved: ResolvedAnalysis) -> BranchNeeds:
    """Return the branches that an analysis looks for, but does not require of every file."""
    requirements = [r for cut in resolved.cuts for r in cut.requirements]
    requirements += [r for region in analysis.regions for r in region.requirements]
    paths = [branch for r in requirements for branch in r.in_some_file(resolved.metadata)]
    weights = [weight.field for weight in resolved.weights if weight.field is not None]
    alike = [*EVENT_NUMBERS]
    cuts = (*analysis.selection, *analysis.cuts_on_best)
    alike += [branch for part in (*cuts, *resolved.columns) for branch in part.branches]
    if resolved.metadata["is_mc"]:
        alike.append(GENERATOR_WEIGHT)
    return BranchNeeds(
        in_some_file=tuple(dict.fromkeys(paths)),
        in_all_or_none=tuple(dict.fromkeys(alike)),
        optional=tuple(dict.fromkeys(weights)),
    )


def branches_of_cuts(analysis: Analysis, metadata: DatasetMetadata) -> dict[str, tuple[str, ...]]:
    """Return the branches that each declared cut reads, sorted, by the name of the cut.

    Empty if the schema of the analysis has no template.
    """
    form = template_form(analysis.schema)
    if form is None:
        return {}

    def evaluate(cut: Cut, events: ak.Array) -> None:
        candidates = Candidates(Preparation(analysis)(events), analysis.collection)
        for requirement in cut.requirements:
            requirement.mask(candidates.values)

    declared = (*analysis.selection, *analysis.cuts_on_best)
    events = _typed_events(analysis.schema, form, metadata)
    return {
        cut.name: tuple(sorted(_branches_read(events, partial(evaluate, cut))))
        for cut in declared
        if cut.exists_for(metadata)
    }


def _branches_of_process(
    analysis: Analysis, dataset: str, form: Form, metadata: DatasetMetadata
) -> frozenset[str]:
    """Return the branches that an analysis reads of a dataset with files of a form."""
    try:
        events = _typed_events(analysis.schema, form, metadata)
        return _branches_read(events, Processor(analysis).process)
    except Exception as error:
        if isinstance(error, InputError) and not isinstance(error, FilesetError):
            raise  # about the analysis or its corrections
        raise TracingError(dataset) from error


def _typed_events(schema: type[BaseSchema], form: Form, metadata: DatasetMetadata) -> ak.Array:
    """Return an array without events whose fields have the types of a form."""
    # cuts, columns and weights on branches that files may lack are left out
    held = {"dataset": "typed", HELD: (), **metadata}
    typed = schema({**copy.deepcopy(form), "parameters": {**form["parameters"], "metadata": held}})
    attributes = {"@form": typed.form, "@buffer_key": _buffer_key}
    return ak.Array([], behavior=typed.behavior(), attrs=attributes)


def _branches_read(events: ak.Array, function: Callable[[ak.Array], object]) -> frozenset[str]:
    """Return the branches that a function reads of typed events.

    An exception of the function is raised if it is about the declarations or about a field that the
    events do not have. After any other one, which may be due to the empty lists of the events, the
    branches are returned that were read until then.
    """

    def guarded(events: ak.Array) -> None:
        try:
            function(events)
        except Exception as error:
            reasons = list(causes(error))
            missing = any(_NO_FIELD.search(str(reason)) for reason in reasons)
            if missing or any(isinstance(reason, InputError) for reason in reasons):
                raise
            _log.debug("the analysis cannot be traced on events without data: %r", error)

    branches: frozenset[str] = trace_with_length_one_array(guarded, events, throw=True)
    return branches


def _buffer_key(form_key: str, attribute: str, form: ak.forms.Form) -> str:  # noqa: ARG001
    return f"{attribute}/{form_key}"
