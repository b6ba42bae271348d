"""Coffea's Runner, with faults of the input told apart from bugs, on the worker that meets them."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import uproot
from coffea.processor import Runner
from coffea.processor.executor import WorkItem

from bphcoffea.datasets.storage import Retries
from bphcoffea.execution.faults import ShortFileError, input_fault, is_lasting
from bphcoffea.execution.tally import Tally

#: Keys of a chunk's metadata: its file as the fileset calls it, and the other places of that.
FILE, REPLICAS = "file", "replicas"


@dataclass(frozen=True)
class Failure:
    """A chunk that could not be read.

    Attributes
    ----------
    item
        The chunk.
    error
        Why, in one line.
    attempts
        How often it was tried.
    """

    item: WorkItem
    error: str
    attempts: int = 1

    def line(self) -> str:
        """The failure in one line, with its place."""
        item = self.item
        return (
            f"dataset '{item.dataset}', {item.filename}, tree '{item.treename}', "
            f"entries {item.entrystart}-{item.entrystop}: {self.error}"
        )


@dataclass(frozen=True)
class Detour:
    """Entries that were read, but not at the first try.

    Attributes
    ----------
    dataset, file, start, stop
        Which ones.
    used
        Where it was read in the end: its own file or a replica.
    attempts
        How often it was tried.
    error
        What went wrong at first.
    """

    dataset: str
    file: str
    start: int
    stop: int
    used: str
    attempts: int
    error: str


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
    """

    policy: Retries = field(default_factory=Retries)

    @property
    def automatic_retries(self) -> Callable[..., Any]:
        """The function in which coffea wraps every chunk, on the worker, with every executor."""
        return partial(work_on_chunk, self.policy)


def work_on_chunk(
    policy: Retries,
    retries: int,  # noqa: ARG001 - coffea's own, which are the same for bugs
    skipbadfiles: object,  # noqa: ARG001
    function: Callable[..., Any],
    task: Any,
    *,
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

    Returns
    -------
    Coffea's result of the chunk, with ``tally`` and, where it was not read at the first try,
    ``detours``; or one whose only content is ``failed``.
    """
    decompress_quickly()
    chunk, *rest = task if isinstance(task, tuple) else (task,)
    places = (chunk.filename, *(chunk.usermeta or {}).get(REPLICAS, ()))
    faults: list[str] = []
    for _ in policy.tries():
        for place in places:
            read = replace(chunk, filename=place)
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                result = function((read, *rest) if rest else read, **options)
                _check_length(result, chunk)
            except Exception as error:
                fault = input_fault(error)
                if fault is None:
                    raise
                faults.append(fault if place == chunk.filename else f"{place}: {fault}")
                if is_lasting(error):
                    return _failed(chunk, faults)
                continue
            result["processed"] = {chunk}
            if "resumed" not in result:
                result["tally"] = _tallies(chunk, result, wall, cpu)
            if faults:
                entries = (chunk.entrystart, chunk.entrystop)
                result["detours"] = [
                    Detour(
                        chunk.dataset, chunk.filename, *entries, place, len(faults) + 1, faults[0]
                    )
                ]
            return dict(result)
    return _failed(chunk, faults)


def _failed(chunk: WorkItem, faults: list[str]) -> dict[str, Any]:
    error = "; ".join(dict.fromkeys(faults))
    failure = Failure(chunk, error, len(faults))
    return {"out": {}, "processed": set(), "failed": [failure]}


def _check_length(result: dict[str, Any], chunk: WorkItem) -> None:
    """Coffea reads on to the end of a file, wherever that is: a short replica is no fault to it."""
    entries = result["metrics"]["entries"]
    if entries != len(chunk):
        raise ShortFileError(
            f"the file ends early: {entries} of {len(chunk)} entries are there; was it replaced?"
        )


def _tallies(
    chunk: WorkItem, result: dict[str, Any], wall: float, cpu: float
) -> dict[str, dict[str, Tally]]:
    tally = Tally(
        chunks=1,
        events=len(chunk),
        bytes_read=result["metrics"].get("bytesread", 0),
        wall_s=time.perf_counter() - wall,
        cpu_s=time.process_time() - cpu,
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )
    worker = f"{socket.gethostname()}:{os.getpid()}"
    return {
        "datasets": {chunk.dataset: tally},
        "files": {chunk.filename: tally},
        "workers": {worker: tally},
    }


def decompress_quickly() -> None:
    """Let uproot use ISA-L, which decompresses zlib twice as fast as the standard library.

    The documented ``uproot.ZLIB`` is not what uproot 5.7 decompresses with, that object is.
    """
    decompressor = getattr(uproot.compression, "_decompress_ZLIB", uproot.ZLIB)
    decompressor.library = "isal"
