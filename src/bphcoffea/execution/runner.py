"""Coffea's Runner, with faults of the input told apart from bugs, on the worker that meets them."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from coffea.processor import Runner
from coffea.processor.executor import WorkItem

from bphcoffea.analysis.models import MissingExtraError
from bphcoffea.execution.bugs import Bug, BugError, guard_worker
from bphcoffea.execution.faults import (
    ReplacedFileError,
    ShortFileError,
    input_fault,
    is_lasting,
    missing_package,
)
from bphcoffea.redaction import redacted
from bphcoffea.results.ledger import REPLICAS, Failure, Recovery, file_of, place_of
from bphcoffea.results.work_totals import Timing
from bphcoffea.size_limits import basket_limit
from bphcoffea.storage.decompression import decompress_within
from bphcoffea.storage.open_files import reading
from bphcoffea.storage.servers import Retries, by_silence, note_silence, silence_of


@dataclass
class FaultTolerantRunner(Runner):  # type: ignore[misc]
    """A Runner in which a fault of the input is a part of the result.

    Under every executor, Dask included, a chunk that can't be read is tried again, at each place
    of its file; in the end it gives a :class:`Failure`, and the rest of the run goes on. Any other
    exception is a bug and ends the run.

    Attributes
    ----------
    policy
        How often a chunk is tried.
    basket_limit
        Bytes that a basket may have once it is decompressed.
    """

    policy: Retries = field(default_factory=Retries)
    basket_limit: int = field(default_factory=basket_limit)

    def __post_init__(self) -> None:
        """Let coffea keep the buffers of a chunk in one that knows how long reading took."""
        self.cachestrategy = new_buffers
        self.xrootdtimeout = self.policy.timeout_s
        super().__post_init__()

    @property
    def automatic_retries(self) -> Callable[..., Any]:
        """The function in which coffea wraps every chunk, on the worker, with every executor."""
        return partial(work_on_chunk, self.policy, basket_limit=self.basket_limit)


class Buffers(dict[str, Any]):
    """The buffers of a chunk, and how long it took to read them.

    Coffea asks for a buffer before it reads it, and sets it once it is read. Its key begins with
    the UUID of the file that was opened, which is compared with that of the file that was checked
    before the run.

    Parameters
    ----------
    file_uuid
        UUID of the file that was checked; None if it is not known.

    Attributes
    ----------
    reading_s
        Time from the one to the other, summed, s.
    """

    def __init__(self, file_uuid: bytes | None = None) -> None:
        super().__init__()
        self.reading_s = 0.0
        self._asked = 0.0
        self._file_uuid = str(uuid.UUID(bytes=file_uuid)) if file_uuid else ""

    def get(self, key: str, default: Any = None) -> Any:
        """A buffer, or the default where it is not read yet.

        Raises
        ------
        ReplacedFileError
            If the file that was opened is not the one that was checked.
        """
        if not str(key).startswith(self._file_uuid):
            raise ReplacedFileError(
                "it is another file than was checked before (its UUID differs); "
                "was it replaced during the run?"
            )
        self._asked = time.perf_counter()
        return super().get(key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        self.reading_s += time.perf_counter() - self._asked
        super().__setitem__(key, value)


#: The chunk that this thread works on, and its buffers.
_working = threading.local()


def new_buffers() -> Buffers:
    """Buffers for the chunk that is begun in this thread; coffea asks for them."""
    buffers = _working.buffers = Buffers(_working.chunk.fileuuid)
    return buffers


def work_on_chunk(
    policy: Retries,
    retries: int,  # noqa: ARG001 - coffea's own, which are the same for bugs
    skipbadfiles: object,  # noqa: ARG001
    function: Callable[..., Any],
    task: Any,
    *,
    basket_limit: int,
    use_result_type: bool = False,  # noqa: ARG001
    **options: Any,
) -> dict[str, Any]:
    """Process a chunk, on the worker.

    Parameters
    ----------
    policy
        How often to try.
    function
        Coffea's: from a task to the result of its chunk.
    task
        A chunk; under Dask, a chunk and the processor.
    basket_limit
        Bytes that a basket may have once it is decompressed.

    Returns
    -------
    Coffea's result of the chunk, with ``timings`` and, where it was not read at the first try,
    ``detours``; or one whose only content is ``failed``.

    Raises
    ------
    BugError
        If the processor raised something that is no fault of the input.
    """
    decompress_within(basket_limit)
    guard_worker()
    chunk, *rest = task if isinstance(task, tuple) else (task,)
    places = (chunk.filename, *(chunk.usermeta or {}).get(REPLICAS, ()))
    faults: list[str] = []
    watch = Stopwatch()
    _working.chunk = chunk
    for _ in policy.tries():
        for place in by_silence(places):
            read = replace(chunk, filename=place)
            watch.begin_attempt()
            bug = None
            try:
                with reading(place, policy.timeout_s):
                    result = function((read, *rest) if rest else read, **options)
                    _check_length(result, chunk)
            except Exception as error:  # noqa: BLE001 - what is no fault is raised as a BugError
                fault = input_fault(error)
                if fault is None:
                    if lacking := missing_package(error):
                        raise MissingExtraError(lacking) from None
                    bug = Bug.of(error, place_of(chunk))
                else:
                    watch.end_failed_attempt()
                    note_silence(place, fault)
                    shown = redacted(fault)
                    if place != chunk.filename:
                        shown = f"{redacted(place)}: {shown}"
                    faults.append(shown)
                    if is_lasting(error):
                        return _given_up(chunk, faults)
                    continue
            if bug is not None:  # not in the handler: not every exception that it met can travel
                raise BugError(bug)
            result.pop("processed", None)  # its entries are in the result itself
            if "resumed" not in result:
                result["timings"] = [watch.timing(chunk, place, len(faults) + 1, result["metrics"])]
            skipped = silence_of(chunk.filename) if place != chunk.filename else None
            if faults or skipped:
                where = (chunk.dataset, file_of(chunk), chunk.entrystart, chunk.entrystop)
                why = faults[0] if faults else str(skipped)
                result["detours"] = [Recovery(*where, redacted(place), len(faults) + 1, why)]
            return dict(result)
    return _given_up(chunk, faults)


class Stopwatch:
    """How long a chunk takes, and how much of that is input."""

    def __init__(self) -> None:
        self._began = time.time()
        self._wall = time.perf_counter()
        self._cpu = time.process_time()
        self._lost_s = 0.0

    def begin_attempt(self) -> None:
        """Begin to open its file."""
        self._attempt = time.perf_counter()

    def end_failed_attempt(self) -> None:
        """Count all of an attempt that failed as input, for that was what failed."""
        self._lost_s += time.perf_counter() - self._attempt

    def timing(self, chunk: WorkItem, used: str, attempts: int, metrics: dict[str, Any]) -> Timing:
        """What the chunk cost, now that its result is there; coffea's metrics say more."""
        done = time.perf_counter()
        reading = _working.buffers.reading_s
        processing = metrics["processtime"]
        opening = done - self._attempt - processing - metrics.get("keeping_s", 0.0)
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
            input_s=self._lost_s + opening + reading,
            processor_s=processing - reading,
            cpu_s=time.process_time() - self._cpu,
            bytes_read=metrics.get("bytesread", 0),
            peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )


def _given_up(chunk: WorkItem, faults: list[str]) -> dict[str, Any]:
    return failed(chunk, "; ".join(dict.fromkeys(faults)), len(faults))


def failed(chunk: WorkItem, reason: str, attempts: int) -> dict[str, Any]:
    """The result of a chunk that could not be processed."""
    failure = Failure.of_chunk(chunk, reason, attempts)
    return {"out": {}, "failed": [failure]}


def _check_length(result: dict[str, Any], chunk: WorkItem) -> None:
    """Coffea reads on to the end of a file, wherever that is: a short replica is no fault to it."""
    entries = result["metrics"]["entries"]
    if entries != len(chunk):
        raise ShortFileError(
            f"the file ends early: {entries} of {len(chunk)} entries are there; was it replaced?"
        )
