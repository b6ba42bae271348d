"""Coffea's Runner with fault tolerance: workers record faults of the input, and report bugs."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from coffea.processor import Runner
from coffea.processor.executor import WorkItem

from bphcoffea import storage
from bphcoffea.analysis import MissingExtraError
from bphcoffea.execution import memory
from bphcoffea.execution.bugs import Bug, BugError, guard_worker
from bphcoffea.execution.checkpoints import Checkpoints
from bphcoffea.execution.chunk_records import ChunkOutput
from bphcoffea.execution.chunk_work import process_chunk
from bphcoffea.execution.faults import (
    input_fault,
    is_lasting,
    missing_package,
    ran_out_of_memory,
)
from bphcoffea.execution.pieces import MemoryPlan, TooLargeError, halves, work_in_pieces
from bphcoffea.reading import Keeping
from bphcoffea.redaction import redacted
from bphcoffea.results import REPLICAS, Failure, Recovery, Timing, file_of, place_of
from bphcoffea.size_limits import basket_limit


@dataclass
class FaultTolerantRunner(Runner):  # type: ignore[misc]
    """Runner that records faults of the input in the result.

    With every executor, including Dask, a chunk that cannot be read is tried again, with each
    replica of its file. If all attempts fail, its result is a :class:`Failure`, and the run goes
    on. Any other exception is a bug and ends the run.

    Attributes
    ----------
    policy
        Number of attempts per chunk, and pauses between them.
    basket_limit
        Maximum size of a decompressed basket, bytes.
    memory
        Memory of the workers, into which they cut chunks.
    checkpoints
        Checkpoints of the run; None for none.
    keeping
        Folder in which columns are kept for later runs; None to keep none.
    """

    policy: storage.Retries = field(default_factory=storage.Retries)
    basket_limit: int = field(default_factory=basket_limit)
    memory: MemoryPlan = field(default_factory=lambda: MemoryPlan(measured=False))
    threads: int = 1
    checkpoints: Checkpoints | None = None
    keeping: Keeping | None = None

    #: The function that coffea lets a worker call with a chunk.
    _work_function = staticmethod(process_chunk)

    def __post_init__(self) -> None:
        """Give coffea the timeout of the policy."""
        self.xrootdtimeout = self.policy.timeout_s
        super().__post_init__()

    @property
    def automatic_retries(self) -> Callable[..., ChunkOutput]:
        """Function that coffea calls on the worker for every chunk, with every executor."""
        work = partial(
            work_on_chunk,
            self.policy,
            basket_limit=self.basket_limit,
            threads=self.threads,
            keeping=self.keeping,
        )
        return partial(work_in_pieces, work, self.memory, self.checkpoints)


def work_on_chunk(
    policy: storage.Retries,
    retries: int,  # noqa: ARG001 - coffea's, which also retries bugs
    skipbadfiles: object,  # noqa: ARG001
    function: Callable[..., ChunkOutput],
    task: WorkItem | tuple[WorkItem, object],
    *,
    basket_limit: int,
    use_result_type: bool = False,  # noqa: ARG001
    **options: object,
) -> ChunkOutput:
    """Process a chunk, or a piece of it, on the worker.

    Parameters
    ----------
    policy
        Number of attempts, and pauses between them.
    function
        Coffea's function from a task to the output of its chunk.
    task
        A chunk; with Dask, a chunk and the processor.
    basket_limit
        Maximum size of a decompressed basket, bytes.

    Returns
    -------
    Coffea's output with ``timings``, and ``recoveries`` if the first attempt failed; only
    ``failed`` if all attempts failed.

    Raises
    ------
    TooLargeError
        If the chunk ran out of memory, and can be halved.
    BugError
        If the exception of the processor is not a fault of the input.
    """
    storage.prepare_uproot(basket_limit)
    guard_worker()
    chunk, *rest = task if isinstance(task, tuple) else (task,)
    places = (chunk.filename, *(chunk.usermeta or {}).get(REPLICAS, ()))
    faults: list[str] = []
    stopwatch = Stopwatch()
    for _ in policy.tries():
        for place in storage.by_silence(places):
            read = replace(chunk, filename=place)
            stopwatch.begin_attempt()
            bug, too_large = None, False
            try:
                with storage.in_use(place, policy.timeout_s):
                    task = (read, *rest) if rest else read
                    result = function(task, max_basket=basket_limit, **options)
            except Exception as error:  # noqa: BLE001 - raised as a BugError if it is not a fault
                fault = input_fault(error)
                if fault is None:
                    if missing := missing_package(error):
                        raise MissingExtraError(missing) from None
                    bug = Bug.from_exception(error, place_of(chunk))
                elif ran_out_of_memory(error) and halves(chunk):
                    too_large = True
                else:
                    stopwatch.end_failed_attempt()
                    storage.note_silence(place, fault)
                    shown = redacted(fault)
                    if place != chunk.filename:
                        shown = f"{redacted(place)}: {shown}"
                    faults.append(shown)
                    if is_lasting(error):
                        return _given_up(chunk, faults)
                    continue
            if bug is not None:  # outside the handler: some exceptions cannot be pickled
                raise BugError(bug)
            if too_large:
                raise TooLargeError
            result["timings"] = [stopwatch.timing(chunk, place, len(faults) + 1, result["metrics"])]
            skipped = storage.silence_of(chunk.filename) if place != chunk.filename else None
            if faults or skipped:
                where = (chunk.dataset, file_of(chunk), chunk.entrystart, chunk.entrystop)
                why = faults[0] if faults else str(skipped)
                result["recoveries"] = [Recovery(*where, redacted(place), len(faults) + 1, why)]
            return result
    return _given_up(chunk, faults)


class Stopwatch:
    """Stopwatch of one chunk, which separates the time for its input from that for processing."""

    def __init__(self) -> None:
        self._began = time.time()
        self._wall = time.perf_counter()
        self._cpu = time.process_time()
        self._lost_s = 0.0
        memory.forget_peak()

    def begin_attempt(self) -> None:
        """Begin an attempt to open and process the file."""
        self._attempt = time.perf_counter()

    def end_failed_attempt(self) -> None:
        """Count the time of a failed attempt as input, because reading failed."""
        self._lost_s += time.perf_counter() - self._attempt

    def timing(self, chunk: WorkItem, used: str, attempts: int, metrics: dict[str, Any]) -> Timing:
        """Return time and resources of the chunk, once coffea has its result and metrics."""
        done = time.perf_counter()
        reading_s = metrics["reading_s"]
        processing = metrics["processtime"]
        opening = done - self._attempt - processing
        return Timing(
            dataset=chunk.dataset,
            file=file_of(chunk),
            start=chunk.entrystart,
            stop=chunk.entrystop,
            used=redacted(used),
            worker=f"{socket.gethostname()}:{os.getpid()}",
            attempts=attempts,
            began=self._began,
            wall_s=done - self._wall,
            input_s=self._lost_s + opening + reading_s,
            processor_s=processing - reading_s,
            cpu_s=time.process_time() - self._cpu,
            bytes_read=metrics.get("bytesread", 0),
            peak_rss_mb=memory.peak() / 2**20,
        )


def _given_up(chunk: WorkItem, faults: list[str]) -> ChunkOutput:
    return failed(chunk, "; ".join(dict.fromkeys(faults)), len(faults))


def failed(chunk: WorkItem, reason: str, attempts: int) -> ChunkOutput:
    """Return the output of a chunk that could not be processed."""
    failure = Failure.of_chunk(chunk, reason, attempts)
    return {"out": {}, "failed": [failure]}
