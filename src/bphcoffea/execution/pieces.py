"""Pieces of chunks: a worker processes at once only what fits into its memory.

The result of a chunk is the sum over its pieces. Only the worker knows how it was cut, so that
chunks, checkpoints and the ledger do not depend on the memory of workers.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from coffea.processor import accumulate
from coffea.processor.executor import WorkItem

from bphcoffea import garbage
from bphcoffea.execution import memory
from bphcoffea.execution.checkpoints import Checkpoints
from bphcoffea.execution.chunk_records import ChunkOutput

#: Chunks are not cut into pieces of fewer events.
SMALLEST: Final = 1000
#: Memory per event of a dataset that was not measured yet, bytes; another one may need more.
_GUESS: Final = 50_000
#: A piece may have this many times the events of those that are known to fit.
_GROWTH: Final = 4
#: Part of a worker's memory up to which chunks may fill it. The rest is for results that it holds,
#: and for what one piece takes more than another. Dask's workers spill at 60% and die at 95%.
_FILLED: Final = 0.5

#: Dask's tasks are pairs of a chunk and the processor.
Task: TypeAlias = WorkItem | tuple[WorkItem, object]


class TooLargeError(Exception):
    """A chunk ran out of memory, and can be cut."""


def halves(chunk: WorkItem) -> tuple[WorkItem, ...]:
    """Return the two halves of a chunk; empty if they would have too few events."""
    if len(chunk) < 2 * SMALLEST:
        return ()
    return cut_at(chunk, chunk.entrystart + len(chunk) // 2)


def cut_at(chunk: WorkItem, entry: int) -> tuple[WorkItem, WorkItem]:
    """Return the parts of a chunk before and after an entry."""
    return replace(chunk, entrystop=entry), replace(chunk, entrystart=entry)


class PieceSizes:
    """Number of events of each dataset that fit into the memory of this process.

    The memory per event is that of the largest piece that was measured, because small pieces are
    dominated by what does not depend on the number of events.

    Parameters
    ----------
    limit
        Resident memory that the process should not exceed, bytes.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._idle = _resident()
        # by dataset: events of the largest piece, and memory per event, bytes
        self._largest: dict[str, tuple[int, float]] = {}

    def cut(self, chunk: WorkItem) -> tuple[WorkItem, ...]:
        """Return the piece of a chunk to process next, and what remains of the chunk, if anything.

        What the last piece left behind is given back first, if the memory is short.
        """
        if self.fitting(chunk, _resident()) < len(chunk):
            memory.release()
            self._idle = _resident()
            events = self.fitting(chunk, self._idle)
            if events < len(chunk):
                return cut_at(chunk, chunk.entrystart + events)
        return (chunk,)

    def fitting(self, chunk: WorkItem, resident: float) -> int:
        """Return how many events of a chunk to process at once, beside the resident memory."""
        events = len(chunk)
        guess = max(_GUESS, *(per_event for _, per_event in self._largest.values()), 0.0)
        largest, per_event = self._largest.get(chunk.dataset, (events, guess))
        fitting = (self._limit - resident) / per_event if per_event > 0 else events
        most = max(int(min(fitting, _GROWTH * largest)), SMALLEST)
        # equal pieces: what remains of a chunk is not much smaller than the others
        return -(-events // -(-events // most)) if events else 0

    def measured(self, piece: WorkItem, peak: float) -> None:
        """Record the peak of the resident memory while a piece was processed, bytes."""
        if not len(piece):
            return
        events, per_event = len(piece), max(peak - self._idle, 0.0) / len(piece)
        largest, known = self._largest.get(piece.dataset, (0, 0.0))
        if events > 2 * largest:
            self._largest[piece.dataset] = events, per_event
        elif events > largest / 2:
            self._largest[piece.dataset] = max(events, largest), max(per_event, known)

    def too_large(self, piece: WorkItem) -> None:
        """Record that a piece ran out of memory, so that no more than half of it is tried next."""
        events = len(piece) // 2
        self._largest[piece.dataset] = events, max(self._limit - self._idle, 0.0) / events


def _resident() -> int:
    return memory.resident() or 0


#: Sizes of pieces in the run that this process works for.
_sizes: dict[str, PieceSizes] = {}


@dataclass(frozen=True)
class MemoryPlan:
    """How much memory the workers of a run may fill.

    Attributes
    ----------
    of_worker
        Memory of each worker, bytes; None for the limit of the Dask worker.
    measured
        Whether pieces are sized by measured memory. Otherwise chunks are only halved when they run
        out of memory.
    run
        Unique name of the run: a worker may process the same datasets differently in another one.
    """

    of_worker: int | None = None
    measured: bool = True
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    def sizes(self) -> PieceSizes | None:
        """Return the sizes of pieces in this process; None if nothing limits or measures them."""
        if self.run not in _sizes and self.measured and memory.forget_peak():
            limit = self.of_worker or memory.worker_memory()
            if limit:
                _sizes[self.run] = PieceSizes(_FILLED * limit)
        return _sizes.get(self.run)


def work_in_pieces(
    work: Callable[..., ChunkOutput],
    plan: MemoryPlan,
    checkpoints: Checkpoints | None,
    retries: int,
    skipbadfiles: object,
    function: Callable[..., ChunkOutput],
    task: Task,
    **options: object,
) -> ChunkOutput:
    """Process a chunk on the worker in pieces that fit into its memory.

    Parameters
    ----------
    work
        Function that processes a piece, with the following arguments; it raises
        :class:`TooLargeError` if a piece ran out of memory.
    plan
        Memory of the workers.
    checkpoints
        Checkpoints of whole chunks.
    retries, skipbadfiles, function, task, options
        Arguments of coffea's ``automatic_retries``.

    Returns
    -------
    Sum of the outputs of the pieces, or of an earlier run.
    """
    garbage.search_as_usual()
    memory.keep_freed()
    chunk, *rest = task if isinstance(task, tuple) else (task,)
    if checkpoints is not None and (kept := checkpoints.load(chunk)) is not None:
        return kept
    sizes = plan.sizes()
    outputs: list[ChunkOutput] = []
    todo = deque([chunk])
    while todo:
        piece, *remainder = (todo.popleft(),) if sizes is None else sizes.cut(todo.popleft())
        todo.extendleft(remainder)
        try:
            output = work(
                retries, skipbadfiles, function, (piece, *rest) if rest else piece, **options
            )
        except TooLargeError:
            output = None
        if output is None:  # outside the handler, which keeps the arrays of the piece
            memory.release()
            if sizes is not None:
                sizes.too_large(piece)
            todo.extendleft(reversed(halves(piece)))
            continue
        if sizes is not None and "failed" not in output:
            sizes.measured(piece, memory.peak())
        outputs.append(output)
    total: ChunkOutput = accumulate(outputs)
    if checkpoints is not None and "failed" not in total:
        checkpoints.save(total, chunk)
    return total
