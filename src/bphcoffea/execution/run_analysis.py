"""Run an analysis over a fileset and write the run folder."""

from __future__ import annotations

import datetime
import logging
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bphcoffea.analysis import SUBSAMPLE, Analysis, MissingExtraError
from bphcoffea.datasets import Fileset, KnownFiles
from bphcoffea.errors import InputError, RunError, alternatives
from bphcoffea.execution.blinding import blinded
from bphcoffea.execution.candidate_tables import CandidateTables
from bphcoffea.execution.checkpoint_folders import folder_for
from bphcoffea.execution.checkpoints import Checkpoints, fingerprint
from bphcoffea.execution.chunk_records import ChunkOutput
from bphcoffea.execution.chunks import Plan, find_chunks
from bphcoffea.execution.executors.engines import Engine, ExecutorName, engine, reporting
from bphcoffea.execution.outcome import Outcome, write
from bphcoffea.execution.pieces import MemoryPlan
from bphcoffea.execution.provenance import provenance
from bphcoffea.execution.runner import FaultTolerantRunner
from bphcoffea.execution.skim import Skim, SkimOf
from bphcoffea.facilities import Facility
from bphcoffea.processing import DatasetResult, Processor, empty_result
from bphcoffea.progress import progress
from bphcoffea.reading import Keeping
from bphcoffea.results import RUN, Ledger, RunFolder, claim, tallies, total
from bphcoffea.storage import Retries, check_target, mark, stage_out_folder, user_cache

if TYPE_CHECKING:
    from distributed import Client

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Options of a run.

    Attributes
    ----------
    executor
        ``iterative``, ``futures`` or ``dask``.
    workers
        Number of workers; None for one per core.
    scheduler
        Address of a running Dask scheduler, or a client of it, which several runs may share.
    chunksize
        Approximate number of events per chunk.
    memory
        Memory of each worker, bytes, half of which chunks may fill: a worker processes larger ones
        in pieces. By default the limit of the Dask worker, or the worker's part of the machine.
    max_chunks
        Maximum number of chunks per dataset; None for all.
    retries
        Number of attempts to open a file or read a chunk, and pauses between them.
    checkpoints
        Path or URL below which results of finished chunks are kept until the run is complete.
    keep
        Folder on a local disk in which the columns that are read are kept: a later run reads them
        there, so that a changed cut is answered soon. None to keep none.
    resume, overwrite
        Whether to resume from checkpoints, and to replace results; `resume` implies the latter.
    facility
        Facility that starts the workers.
    proxy_hours
        Time for which the grid proxy must be valid when the run begins, h.
    stage_out
        URL that the run folder is copied to.
    skim, skim_of
        URL that the workers write a skim to, and what the skim contains.
    """

    executor: ExecutorName = "futures"
    workers: int | None = None
    scheduler: str | Client | None = None
    chunksize: int = 200_000
    memory: int | None = None
    max_chunks: int | None = None
    retries: Retries = field(default_factory=Retries)
    checkpoints: str | None = None
    keep: str | Path | None = None
    resume: bool = False
    overwrite: bool = False
    facility: Facility | None = None
    proxy_hours: float = 0
    stage_out: str | None = None
    skim: str | None = None
    skim_of: SkimOf = "events"

    def as_json(self) -> dict[str, object]:
        """Return the options as in ``provenance.json``."""
        facility = self.facility.model_dump(mode="json") if self.facility else None
        address = self.scheduler
        if address is not None and not isinstance(address, str):
            address = address.scheduler.address
        plain = replace(self, facility=None, scheduler=address, keep=self.keep and str(self.keep))
        return asdict(plain) | {"facility": facility}


def run(
    analysis: Analysis,
    fileset: Fileset,
    folder: str | Path,
    options: Options | None = None,
    *,
    began: float | None = None,
) -> RunFolder:
    """Run an analysis over all files of a fileset and write the results.

    Files that cannot be opened, and chunks that cannot be read, are listed in the ledger with the
    reason; all others are in the results.

    Parameters
    ----------
    analysis
        Analysis. If it declares something blind, data around the masses of simulated signal are
        hidden, unless :func:`bphcoffea.execution.blinded` was called before.
    fileset
        Fileset to run over.
    folder
        New or empty folder for the results. With ``overwrite`` they replace the results of an
        earlier run, and everything derived from them, at the end; other files stay.
    options
        Options; by default those of :class:`Options`.
    began
        Value of :func:`time.perf_counter` from which the recorded time of the run counts; by
        default, it counts from now.

    Raises
    ------
    OccupiedError
        If the folder contains other files or results, or another run writes to it.
    RunError, FacilityError
        If metadata, files, cluster or grid proxy are unfit, or nothing could be read.
    UnwritableError
        If the disk is full; checkpoints are kept.
    InputError
        If the results cannot be staged out; only after this error are they in the folder.
    """
    options = options or Options()
    began = time.perf_counter() if began is None else began
    with claim(folder, overwrite=options.overwrite or options.resume) as claimed:
        return _run(analysis, fileset, claimed, options, began)


def _run(
    analysis: Analysis, fileset: Fileset, folder: Path, options: Options, began: float
) -> RunFolder:
    if analysis.hidden is None:
        analysis = blinded(analysis, fileset)
    for target in filter(None, (options.stage_out, options.skim)):
        check_target(target)
    sink = None
    if options.skim:
        mark(folder, RUN)  # the skim may be written into it
        sink = Skim(options.skim, options.skim_of, options.retries, tuple(fileset.names))
    _check_metadata(analysis, fileset)
    _check_corrections(analysis, fileset)
    if options.facility:
        fileset = fileset.served_by(options.facility.storage.redirectors)
    processor = Processor(analysis, sink)
    checkpoints = _checkpoints(processor, folder, options)
    keeping = None if options.keep is None else Keeping.prepared(options.keep)
    started = _now()
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
                _log.info("Dask dashboard: %s", running.dashboard)
            plan = find_chunks(
                analysis,
                fileset,
                running,
                options.chunksize,
                options.max_chunks,
                options.retries,
                KnownFiles(user_cache("files")),
            )
            count = len(plan.chunks)
            _log.debug("%d chunks for %s (%d workers)", count, running.name, running.workers)
            # files of a skim and kept columns are those of pieces, which must then be the same in
            # the next run
            measured = sink is None and keeping is None
            memory = MemoryPlan(options.memory or running.memory, measured=measured)
            outcome = process(
                processor, plan, running, options.retries, checkpoints, memory, keeping
            )
        if plan.chunks and not outcome.results:
            raise RunError("\n".join(failure.line() for failure in outcome.ledger.missing))
        outcome = _with_empty(outcome, analysis, fileset)
        times = {"started": started, "finished": _now()}
        made = times | provenance(analysis, fileset, options.as_json())
        pages = [report] if report.exists() else []
        with progress(None, "Writing results", "histogram") as bar:
            written = write(
                folder, analysis, fileset, outcome, made, pages, began=began, progress=bar.update
            )
    if checkpoints and outcome.ledger.complete:
        checkpoints.clear()
    if options.stage_out:
        stage_out_folder(written.path, options.stage_out, options.retries)
    return written


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def process(
    processor: Processor,
    plan: Plan,
    running: Engine,
    retries: Retries | None = None,
    checkpoints: Checkpoints | None = None,
    memory: MemoryPlan | None = None,
    keeping: Keeping | None = None,
) -> Outcome:
    """Process the chunks of a plan with a started executor, and add up their results."""
    candidates = CandidateTables()
    runner = FaultTolerantRunner(
        executor=running.executor.copy(take=candidates.take),
        schema=processor.analysis.schema,
        savemetrics=True,
        processor_compression=None if running.name == "iterative" else 1,
        policy=retries or Retries(),
        checkpoints=checkpoints,
        memory=memory or MemoryPlan(running.memory),
        threads=running.threads,
        keeping=keeping,
    )
    clock = time.perf_counter()
    try:
        # coffea cannot run without chunks, but files without entries may need none
        out: ChunkOutput = {"out": {}}
        if plan.chunks:
            out = runner.run(plan.chunks, processor)
    except MissingExtraError as error:  # raised by a worker
        raise RunError(str(error)) from None
    wall = time.perf_counter() - clock
    _log.debug("chunks were processed in %.1f s", wall)
    if keeping is not None and (unkept := out.get("unkept")):
        _log.warning(
            "%s: the columns of %d chunks were not kept there (%s); the next run reads them again",
            *(keeping.folder, len(unkept), unkept[0]),
        )
    timings = out.get("timings", [])
    work = total(timings)
    # a cluster may have grown or replaced workers since the start
    workers = max(running.workers, len({timing.worker for timing in timings}), 1)
    columns = out.get("metrics", {}).get("columns", ())
    return Outcome(
        results=dict(sorted(out["out"].items())),
        ledger=Ledger(
            expected=tuple(plan.chunks),
            processed={name: result.entries for name, result in out["out"].items()},
            failed=tuple(out.get("failed", ())),
            unopened=tuple(plan.unopened),
            detours=(*plan.recoveries, *out.get("recoveries", ())),
            dataset_events=plan.dataset_events,
            notes=(*plan.notes, *_notes(out["out"])),
        ),
        metrics={
            **work.as_json(),
            "wall_s": wall,
            "events_per_s": work.events / wall,
            "bytes_per_s": work.bytes_read / wall,
            "cpu_fraction": work.cpu_s / (wall * workers),
            "columns": sorted(columns),
            "clamped": {name: dict(result.clamped) for name, result in out["out"].items()},
            "chunks_resumed": out.get("resumed", 0),
            "chunks_not_kept": out.get("not_kept", 0),
            "executor": running.name,
            "workers": workers,
            **tallies(timings),
        },
        timings=tuple(timings),
        candidates=candidates,
    )


def _notes(results: Mapping[str, DatasetResult]) -> Iterator[str]:
    for name, result in sorted(results.items()):
        for note, count in sorted(result.notes.items()):
            yield f"dataset '{name}': {note} ({count:,} candidates)"


def _with_empty(outcome: Outcome, analysis: Analysis, fileset: Fileset) -> Outcome:
    """Add an empty result for each dataset of which nothing was requested, or nothing was read."""
    results = {
        name: empty_result(analysis, fileset[name].metadata.model_dump())
        for name in fileset.names
        if name not in outcome.results
    }
    return replace(outcome, results=dict(sorted((outcome.results | results).items())))


def _checkpoints(processor: Processor, folder: Path, options: Options) -> Checkpoints | None:
    if options.checkpoints is None:
        if options.resume:
            raise RunError("a run can only be resumed with its checkpoints; give their place")
        return None
    code = fingerprint(processor.analysis, processor.sink)
    place = folder_for(options.checkpoints, folder)
    checkpoints = Checkpoints(place, code, resume=options.resume)
    checkpoints.prepare(folder, processor.analysis.name())
    _log.debug("checkpoints: %s, key %s", place, code[:16])
    return checkpoints


def _check_metadata(analysis: Analysis, fileset: Fileset) -> None:
    problems = [
        f"dataset '{name}': the analysis needs '{key}' in its metadata"
        for name, dataset in fileset.root.items()
        for key in analysis.metadata
        if getattr(dataset.metadata, key, None) is None
    ]
    names = (cut.name for cut in analysis.selection if cut.name.startswith(SUBSAMPLE))
    declared = [name.removeprefix(SUBSAMPLE) for name in names]
    problems += [
        f"dataset '{name}': its subsample '{dataset.metadata.subsample}' is not one of the "
        f"analysis{alternatives(str(dataset.metadata.subsample), declared)}"
        for name, dataset in fileset.root.items()
        if dataset.metadata.subsample not in (None, *declared)
    ]
    RunError.raise_for(problems)


def _check_corrections(analysis: Analysis, fileset: Fileset) -> None:
    """Raise an error if an era has no corrections, and log which corrections are applied."""
    problems, notes = [], {}
    for name, dataset in fileset.root.items():
        metadata = dataset.metadata
        try:
            resolved = analysis.for_dataset(metadata.model_dump())
        except InputError as error:
            problems.append(f"dataset '{name}': {error}")
            continue
        corrections = resolved.corrections
        if corrections is None or not metadata.is_mc:
            continue
        used = [section for part in resolved.calibrations for section in part.sections]
        applied = [*(weight.name for weight in resolved.weights), *used]
        declared = [*corrections.declared(), *(f"jet_energy.{n}" for n in corrections.jet_energy)]
        declared += corrections.energies.sections()
        needed = [section for weight in analysis.weights if (section := weight.needs())]
        needed += [section for part in analysis.calibrations for section in part.needs()]
        unused = [section for section in declared if section not in (*needed, *used)]
        lacking = [section for section in needed if section not in declared]
        notes[corrections.name] = ", ".join(applied) or "nothing"
        if unused:
            notes[corrections.name] += f"; declared, but not used: {', '.join(unused)}"
        if lacking:
            notes[corrections.name] += f"; not declared: {', '.join(lacking)}"
    RunError.raise_for(problems)
    for corrections_name, note in notes.items():
        _log.info("corrections '%s': %s", corrections_name, note)
