"""Running an analysis over a fileset, into a run's folder."""

from __future__ import annotations

import datetime
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bphcoffea.analysis import Analysis
from bphcoffea.analysis.models import MissingExtraError
from bphcoffea.datasets.fileset import Fileset
from bphcoffea.errors import InputError
from bphcoffea.execution.blinding import blinded
from bphcoffea.execution.checkpoint_folders import folder_for
from bphcoffea.execution.checkpoints import Checkpoints, fingerprint
from bphcoffea.execution.chunks import Plan, find_chunks
from bphcoffea.execution.executors.engine import Engine, ExecutorName, engine, reporting
from bphcoffea.execution.outcome import Outcome, write
from bphcoffea.execution.provenance import provenance
from bphcoffea.execution.runner import FaultTolerantRunner
from bphcoffea.execution.skim import Skim, SkimOf
from bphcoffea.facilities.facility import Facility
from bphcoffea.processing.processor import Processor, empty_result
from bphcoffea.processing.result import DatasetResult
from bphcoffea.results.folder import RUN, RunFolder, claim
from bphcoffea.results.ledger import Ledger
from bphcoffea.results.work_totals import tallies, total
from bphcoffea.storage.manifest import mark
from bphcoffea.storage.servers import Retries
from bphcoffea.storage.stageout import check_target, stage_out_folder


@dataclass(frozen=True)
class Options:
    """How to run.

    Attributes
    ----------
    executor
        ``iterative``, ``futures`` or ``dask``.
    workers
        Number of processes; None for one a core.
    scheduler
        Address of a Dask scheduler that runs already.
    chunksize
        Events of a chunk, about.
    max_chunks
        At most so many chunks of each dataset; None for all.
    retries
        How often a file that can't be opened, or a chunk that can't be read, is tried, and how
        patiently.
    checkpoints
        Folder, or URL, below which the results of finished chunks are kept until the run is
        complete, in a folder of their own; None: nowhere.
    resume
        Whether to go on from the checkpoints that are there, and replace results that are there.
    overwrite
        Whether to replace results that are there.
    facility
        Where the workers are, and what they need.
    proxy_hours
        How long the grid proxy must be valid when the run begins, h.
    stage_out
        URL where a copy of the run's folder goes; None: nowhere.
    skim, skim_of
        URL where the workers write what was selected; None: nowhere.
    """

    executor: ExecutorName = "futures"
    workers: int | None = None
    scheduler: str | None = None
    chunksize: int = 100_000
    max_chunks: int | None = None
    retries: Retries = field(default_factory=Retries)
    checkpoints: str | None = None
    resume: bool = False
    overwrite: bool = False
    facility: Facility | None = None
    proxy_hours: float = 0
    stage_out: str | None = None
    skim: str | None = None
    skim_of: SkimOf = "events"

    def as_json(self) -> dict[str, Any]:
        """As they stand in ``provenance.json``."""
        known = asdict(replace(self, facility=None))
        return known | {
            "facility": self.facility.model_dump(mode="json") if self.facility else None
        }


def run(
    analysis: Analysis, fileset: Fileset, folder: str | Path, options: Options | None = None
) -> RunFolder:
    """Run an analysis over all files of a fileset and write the results.

    Parameters
    ----------
    analysis
        What to run, as :func:`bphcoffea.execution.load_analysis` gives it. Data in the windows of
        simulated signal are hidden if it declares what is blind, unless
        :func:`bphcoffea.execution.blinded` decided otherwise.
    fileset
        What to run over.
    folder
        Where the results go: a new or empty folder. With ``overwrite`` they replace those of an
        earlier run there and what was derived from them, all at once, at the end; other files stay.
    options
        How to run.

    Raises
    ------
    InputError
        When the folder can't be written, holds other files, or results that are not to be replaced
        (OccupiedError), or another run writes there. When the metadata lack what the analysis
        needs, files lack branches or are otherwise unfit (all of them are named), nothing could be
        read, or the grid proxy or the cluster are not as they must be. Nothing is written then.
        When the disk is full (UnwritableError); checkpoints are kept then. When the results
        can't be staged out; they are written then.

    Notes
    -----
    Files that can't be opened, and chunks that can't be read, are recorded in the ledger, with the
    reason; the rest is complete.
    """
    options = options or Options()
    with claim(folder, overwrite=options.overwrite or options.resume) as claimed:
        return _run(analysis, fileset, claimed, options)


def _run(analysis: Analysis, fileset: Fileset, folder: Path, options: Options) -> RunFolder:
    if analysis.hidden is None:
        analysis = blinded(analysis, fileset)
    for target in (options.stage_out, options.skim):
        if target:
            check_target(target)
    sink = None
    if options.skim:
        mark(folder, RUN)  # the skim may go into it
        sink = Skim(options.skim, options.skim_of, options.retries, tuple(fileset.names))
    _check_metadata(analysis, fileset)
    _check_corrections(analysis, fileset)
    if options.facility:
        fileset = fileset.served_by(options.facility.storage.redirectors)
    processor = Processor(analysis, sink)
    checkpoints = _checkpoints(processor, folder, options)
    started = datetime.datetime.now(datetime.UTC)
    with tempfile.TemporaryDirectory(prefix="bphcoffea-") as scratch:
        report = Path(scratch, "dask-report.html")
        with (
            engine(
                options.executor,
                options.workers,
                options.scheduler,
                options.facility,
                options.proxy_hours,
                options.retries.timeout_s,
            ) as running,
            reporting(running, report),
        ):
            if running.dashboard:
                print(f"Dask dashboard: {running.dashboard}")
            plan = find_chunks(
                analysis,
                fileset,
                running,
                options.chunksize,
                options.max_chunks,
                options.retries,
            )
            outcome = process(processor, plan, running, options.retries, checkpoints)
        if plan.chunks and not outcome.results:
            raise InputError("\n".join(failure.line() for failure in outcome.ledger.missing))
        outcome = _with_empty(outcome, analysis, fileset, plan)
        made = {
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **provenance(analysis, fileset, options.as_json()),
        }
        pages = [report] if report.exists() else []
        written = write(folder, analysis, fileset, outcome, made, pages)
    if checkpoints and outcome.ledger.complete:
        checkpoints.clear()
    if options.stage_out:
        stage_out_folder(written.path, options.stage_out, options.retries)
    return written


def process(
    processor: Processor,
    plan: Plan,
    running: Engine,
    retries: Retries | None = None,
    checkpoints: Checkpoints | None = None,
) -> Outcome:
    """Process the chunks of a plan and add up their results."""
    runner = FaultTolerantRunner(
        executor=running.executor,
        schema=processor.analysis.schema,
        savemetrics=True,
        processor_compression=None if running.name == "iterative" else 1,
        policy=retries or Retries(),
        checkpointer=checkpoints,
    )
    clock = time.perf_counter()
    try:
        # coffea can't run over nothing: files without entries may need no chunk
        out = runner.run(plan.chunks, processor) if plan.chunks else {"out": {}}
    except MissingExtraError as error:  # of a worker
        raise InputError(str(error)) from None
    wall = time.perf_counter() - clock
    timings = out.get("timings", [])
    work = total(timings)
    # more than there were at first, where a cluster grew or replaced some
    workers = max(running.workers, len({timing.worker for timing in timings}), 1)
    columns = out.get("metrics", {}).get("columns", ())
    return Outcome(
        results=dict(sorted(out["out"].items())),
        ledger=Ledger(
            expected=tuple(plan.chunks),
            processed={name: result.entries for name, result in out["out"].items()},
            failed=tuple(out.get("failed", ())),
            unopened=tuple(plan.unopened),
            detours=(*plan.detours, *out.get("detours", ())),
            dataset_events=plan.dataset_events,
            notes=(*plan.notes, *_notes(out["out"])),
        ),
        metrics={
            **work.as_json(),
            "wall_s": wall,
            "events_per_s": work.events / wall,
            "bytes_per_s": work.bytes_read / wall,
            "cpu_fraction": work.cpu_s / (wall * workers),
            "columns": sorted({column.rpartition("-")[0] for column in columns}),
            "clamped": {name: dict(result.clamped) for name, result in out["out"].items()},
            "chunks_resumed": out.get("resumed", 0),
            "chunks_not_kept": out.get("not_kept", 0),
            "executor": running.name,
            "workers": workers,
            **tallies(timings),
        },
        timings=tuple(timings),
    )


def _notes(results: Mapping[str, DatasetResult]) -> Iterator[str]:
    for name, result in sorted(results.items()):
        for note, count in sorted(result.notes.items()):
            yield f"dataset '{name}': {note} ({count:,} candidates)"


def _with_empty(outcome: Outcome, analysis: Analysis, fileset: Fileset, plan: Plan) -> Outcome:
    """Add an empty result for each dataset of which nothing is to be read."""
    asked = {chunk.dataset for chunk in plan.chunks} | {lost.dataset for lost in plan.unopened}
    results = {
        name: empty_result(analysis, fileset[name].metadata.model_dump())
        for name in fileset.names
        if name not in asked
    }
    return replace(outcome, results=dict(sorted((outcome.results | results).items())))


def _checkpoints(processor: Processor, folder: Path, options: Options) -> Checkpoints | None:
    if options.checkpoints is None:
        if options.resume:
            raise InputError("to resume a run, say where its checkpoints are")
        return None
    code = fingerprint(processor.analysis, processor.sink)
    place = folder_for(options.checkpoints, folder)
    checkpoints = Checkpoints(place, code, resume=options.resume)
    checkpoints.prepare(folder, processor.analysis.name())
    return checkpoints


def _check_metadata(analysis: Analysis, fileset: Fileset) -> None:
    problems = [
        f"dataset '{name}': the analysis needs '{key}' in its metadata"
        for name, dataset in fileset.root.items()
        for key in analysis.metadata
        if getattr(dataset.metadata, key, None) is None
    ]
    if problems:
        raise InputError("\n".join(problems))


def _check_corrections(analysis: Analysis, fileset: Fileset) -> None:
    """Fail for datasets of eras that have no corrections; tell what is not applied."""
    problems, notes = [], {}
    for name, dataset in fileset.root.items():
        metadata = dataset.metadata.model_dump()
        try:
            corrections = analysis.era_corrections.for_era(metadata["era"])
        except InputError as error:
            problems.append(f"dataset '{name}': {error}")
            continue
        if corrections is None or not metadata["is_mc"]:
            continue
        applied = [weight.name for weight in analysis.weights_of(metadata)]
        unused = [section for section in corrections.declared() if section not in applied]
        notes[corrections.name] = ", ".join(applied) or "nothing"
        if unused:
            notes[corrections.name] += f"; declared, but not used here: {', '.join(unused)}"
    if problems:
        raise InputError("\n".join(problems))
    for corrections_name, applied_there in notes.items():
        print(f"corrections '{corrections_name}': {applied_there}")
