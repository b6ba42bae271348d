"""Repeat parts of a recorded run: its analysis and corrections, single events of its input."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import awkward as ak
import numpy as np
from coffea.processor.executor import WorkItem

from bphcoffea import storage
from bphcoffea.analysis import Analysis, Hidden, load_classifier
from bphcoffea.arrays import Integers
from bphcoffea.corrections import Corrections, load_corrections
from bphcoffea.datasets import Fileset, KnownFiles
from bphcoffea.errors import InputError, RunError
from bphcoffea.execution.bugs import Bug, BugError
from bphcoffea.execution.chunk_work import events_of, metadata_of
from bphcoffea.execution.chunks import Plan, find_chunks
from bphcoffea.execution.executors.engines import engine
from bphcoffea.execution.faults import input_fault
from bphcoffea.execution.loading import SOURCE_SHA256, load_analysis
from bphcoffea.progress import progress
from bphcoffea.results import REPLICAS, RunFolder, file_of
from bphcoffea.size_limits import basket_limit

#: Number of entries of a chunk: more than any tree has.
_MOST: Final = 2**62
T = TypeVar("T")


class NotRepeatableError(RunError):
    """The code, a correction or the input of a run is not available as it was."""


@contextlib.contextmanager
def recorded_analysis(run: RunFolder) -> Iterator[Analysis]:
    """Load the analysis that was run, with its corrections and its classifier; it hides nothing.

    If the file of the analysis has changed since, its text in the record of the run is loaded.

    Raises
    ------
    NotRepeatableError
        If neither is as it was, or a correction, the classifier or a model has changed.
    """
    provenance = run.read("provenance.json")
    with contextlib.ExitStack() as stack:
        analysis = stack.enter_context(_code(run, provenance["analysis"]))
        if analysis.scores != run.analysis.scores:
            raise NotRepeatableError("the model of a score has changed since")
        analysis = analysis.corrected(recorded_corrections(run), nominal_only=True)
        if (recorded := provenance["classifier"]) is not None:
            with _repeating(run, f"the classifier {recorded['file']}"):
                classifier = load_classifier(recorded["file"])
            if classifier.describe().model_dump(mode="json") != recorded:
                raise NotRepeatableError(f"the classifier {recorded['file']} has changed since")
            analysis = analysis.classified(classifier)
        yield analysis.hiding(Hidden())


def recorded_corrections(run: RunFolder) -> Corrections:
    """Load the corrections of a run.

    Raises
    ------
    NotRepeatableError
        If a file of them is missing or has changed since.
    """
    recorded = run.read("provenance.json")["corrections"]
    with _repeating(run, "the corrections"):
        loaded = load_corrections(era["file"] for era in recorded)
    for before, era in zip(recorded, loaded, strict=True):
        if json.loads(json.dumps(era.describe())) != before:
            raise NotRepeatableError(f"the corrections {before['file']} have changed since")
    return loaded


@contextlib.contextmanager
def _code(run: RunFolder, recorded: Mapping[str, Any]) -> Iterator[Analysis]:
    """Load the code of a run from its file, or from its text in the record."""
    name, sources = Path(recorded["file"] or ""), recorded.get("sources", {})
    with tempfile.TemporaryDirectory(prefix="bphcoffea-") as folder:
        copy = Path(folder, name.name)
        for file, text in sources.items():
            place = Path(folder, file).resolve()
            if place.is_relative_to(Path(folder).resolve()):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text, encoding="utf-8", newline="")
        for path in (name, copy):
            if not path.is_file():
                continue
            with _repeating(run, f"the analysis {name}"):
                analysis = load_analysis(":".join(filter(None, (str(path), recorded.get("class")))))
            module = sys.modules[type(analysis).__module__]
            if getattr(module, SOURCE_SHA256) == recorded["with_imported_sha256"]:
                yield analysis
                return
    raise NotRepeatableError(
        f"the analysis {recorded['file'] or recorded['name']} has changed since"
    )


@contextlib.contextmanager
def _repeating(run: RunFolder, what: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        first = str(error).splitlines()[0]
        raise NotRepeatableError(f"{what} of {run.path} cannot be loaded ({first})") from None


def recorded_fileset(run: RunFolder, datasets: Mapping[str, Mapping[str, object]]) -> Fileset:
    """Return the entry ranges that a run has processed, as a fileset.

    Parameters
    ----------
    run
        The run.
    datasets
        Metadata of each dataset that is wanted.

    Raises
    ------
    NotRepeatableError
        If the run was made by a version that did not record the trees of its files.
    """
    trees = run.read("provenance.json").get("trees")
    if trees is None:
        raise NotRepeatableError(f"{run.path} was made by an older version of bphcoffea")
    content: dict[str, dict[str, Any]] = {
        name: {"files": {}, "metadata": metadata} for name, metadata in datasets.items()
    }
    chunks = run.chunks.select(["dataset", "file", "start", "stop", "used"]).to_pylist()
    for chunk in sorted(chunks, key=lambda chunk: chunk["start"]):
        name, file = chunk["dataset"], chunk["file"]
        if name not in content or chunk["start"] == chunk["stop"]:
            continue
        tree = trees[name] if isinstance(trees[name], str) else trees[name][file]
        entry = content[name]["files"].setdefault(file, {"object_path": tree, "steps": []})
        if chunk["used"] != file:
            entry["replicas"] = [chunk["used"]]
        steps = entry["steps"]
        if steps and steps[-1][1] == chunk["start"]:
            steps[-1][1] = chunk["stop"]
        else:
            steps.append([chunk["start"], chunk["stop"]])
    return Fileset.model_validate({n: each for n, each in content.items() if each["files"]})


#: What is found out about single events of a chunk, from the events and the chunk's metadata.
Evaluate: TypeAlias = Callable[[ak.Array, Mapping[str, Any], "EntriesOfFile"], T]


class EntriesOfFile(NamedTuple):
    """Entries of a tree: dataset, file as the fileset names it, and entries, shape (n,)."""

    dataset: str
    file: str
    entries: Integers


def plan_of(analysis: Analysis, fileset: Fileset) -> Plan:
    """Open all files of a fileset, which decide together what an analysis can select of each.

    Raises
    ------
    NotRepeatableError
        If no file can be opened, or the files lack what the analysis needs.
    """
    with engine("iterative") as running:
        try:
            known = KnownFiles(storage.user_cache("files"))
            return find_chunks(analysis, fileset, running, _MOST, known=known)
        except InputError as error:
            raise NotRepeatableError(str(error).splitlines()[0]) from None
        except BugError as error:
            raise NotRepeatableError(error.bug.error.splitlines()[0]) from None


def read_entries(
    analysis: Analysis,
    plan: Plan,
    wanted: Mapping[tuple[str, str], Integers],
    evaluate: Evaluate[T],
) -> Iterator[tuple[EntriesOfFile, T | str]]:
    """Read single entries of files in this process.

    Parameters
    ----------
    analysis
        Analysis, whose schema makes the events.
    plan
        Chunks of the files, from :func:`plan_of`.
    wanted
        Entries by dataset and file, ascending, shape (n,) each.
    evaluate
        Called with the events, the metadata of their chunk and their places.

    Yields
    ------
    Entries of a file, and what `evaluate` returned; or in one line why they cannot be read.
    """
    storage.prepare_uproot(basket_limit())
    for failure in plan.unopened:
        entries = wanted.get((failure.dataset, failure.file))
        if entries is not None:
            places = EntriesOfFile(failure.dataset, failure.file, entries)
            yield places, f"{failure.file}: {failure.error}"
    chunks = [(chunk, _within(chunk, wanted)) for chunk in plan.chunks]
    chunks = [(chunk, places) for chunk, places in chunks if len(places.entries)]
    with progress(len(chunks), "Reading events again", "file") as bar:
        for chunk, places in chunks:
            yield places, _evaluated(analysis, chunk, places, evaluate)
            bar.advance()


def _within(chunk: WorkItem, wanted: Mapping[tuple[str, str], Integers]) -> EntriesOfFile:
    """Return the wanted entries of a chunk."""
    file = file_of(chunk)
    entries = wanted.get((chunk.dataset, file), np.empty(0, dtype=np.int64))
    inside = (entries >= chunk.entrystart) & (entries < chunk.entrystop)
    return EntriesOfFile(chunk.dataset, file, entries[inside])


def _evaluated(
    analysis: Analysis, chunk: WorkItem, places: EntriesOfFile, evaluate: Evaluate[T]
) -> T | str:
    first, last = int(places.entries[0]), int(places.entries[-1])
    fault = ""
    for place in (chunk.filename, *(chunk.usermeta or {}).get(REPLICAS, ())):
        part = replace(chunk, filename=place, entrystart=first, entrystop=last + 1)
        try:
            with storage.in_use(place, storage.TIMEOUT):
                events = events_of(part, analysis.schema, storage.TIMEOUT)
                return evaluate(events[places.entries - first], metadata_of(part), places)
        except Exception as error:  # noqa: BLE001 - also what another version of a package breaks
            fault = fault or input_fault(error) or Bug.from_exception(error).error.splitlines()[0]
    return f"{places.file}: {fault}"
