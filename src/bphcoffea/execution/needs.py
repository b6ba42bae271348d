"""Branches that an analysis needs in the files of a fileset, found before all files are opened."""

from __future__ import annotations

from dataclasses import replace

from bphcoffea.analysis import Analysis, BranchNeeds
from bphcoffea.datasets import FileReport, Fileset, KnownFiles, files_of
from bphcoffea.errors import FilesetError, RunError
from bphcoffea.execution.bugs import Bug, BugError
from bphcoffea.execution.executors.engines import Engine
from bphcoffea.execution.file_opening import open_files
from bphcoffea.inputs import BranchFilter, branch_filter, template_form
from bphcoffea.processing import TracingError, branch_needs
from bphcoffea.storage import ONCE, Retries


def needs_of(
    analysis: Analysis,
    fileset: Fileset,
    running: Engine,
    retries: Retries = ONCE,
    known: KnownFiles | None = None,
) -> dict[str, BranchNeeds]:
    """Return the branches that an analysis needs in the files of each dataset.

    Unless the schema of the analysis has a template, one file of each dataset is opened to know the
    types of its branches. If none of its files can be read, no branches are required.

    Raises
    ------
    DeclarationError
        If declarations for a dataset are wrong.
    RunError
        If the analysis reads a field that the events of a dataset do not have, or its files have
        another format.
    BugError
        If the analysis reads a field that the schema of an ntuple does not have.
    """
    has_template = template_form(analysis.schema) is not None
    models: dict[str, FileReport] = {}
    if not has_template:
        looked_at = branch_filter(analysis.schema)
        models = _models(fileset, looked_at, running, replace(retries, attempts=1), known)
    metadata = {name: dataset.metadata.model_dump() for name, dataset in fileset.root.items()}
    forms = {name: report.form for name, report in models.items() if report.form is not None}
    try:
        return branch_needs(analysis, metadata, forms)
    except TracingError as error:
        cause = error.__cause__ or error
        bug = Bug.from_exception(cause)
        if error.dataset not in models:  # a template has all fields
            raise BugError(bug) from None
        file = f"dataset '{error.dataset}', {models[error.dataset].file.path}"
        if isinstance(cause, FilesetError):
            raise RunError(f"{file}: {cause}") from None
        place = f" ({bug.file}, line {bug.line}: {bug.source})" if bug.in_analysis else ""
        raise RunError(
            f"{file}: the analysis reads a field that the events do not have: "
            f"{bug.error.splitlines()[0]}{place}"
        ) from None


def _models(
    fileset: Fileset,
    looked_at: BranchFilter,
    running: Engine,
    retries: Retries,
    known: KnownFiles | None,
) -> dict[str, FileReport]:
    """Return the report on one readable file of each dataset, with its form.

    If the first file of a dataset has no entries or cannot be read, all files are tried.
    """
    files = [replace(file, with_form=True, branch_filter=looked_at) for file in files_of(fileset)]
    first = list({file.dataset: file for file in reversed(files)}.values())[::-1]
    models: dict[str, FileReport] = {}
    for attempt in (first, files):
        to_open = [file for file in attempt if file.dataset not in models]
        reports = open_files(to_open, running, retries, "Reading types of branches", known)
        readable = [report for report in reports if report.form is not None]
        # trees without entries may lack branches
        models |= {r.file.dataset: r for r in reversed(readable) if r.entries}
    return models
