"""Time, memory and bytes of chunks, and their totals by dataset, file, site and worker."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple, get_type_hints

import numpy as np
import pyarrow as pa

from bphcoffea.arrow_columns import of_numbers, of_texts
from bphcoffea.storage import host


class Timing(NamedTuple):
    """Time, memory and bytes of one chunk, or of a piece of it that was processed by itself.

    Attributes
    ----------
    dataset, file, start, stop
        Entry range [start, stop) of a file, which is named as in the fileset.
    used
        Path from which it was read: the file or a replica.
    worker
        Host and process of the worker.
    attempts
        Number of attempts; times and bytes are sums over all attempts.
    began
        Start, seconds since 1970.
    wall_s
        Time until the result was ready, with pauses between attempts, s.
    input_s
        Time to open, read and decompress the input and to make arrays of it, s.
    processor_s
        Time in the processor without `input_s`, s.
    cpu_s
        CPU time, s.
    bytes_read
        Bytes requested from the file.
    peak_rss_mb
        Peak memory of the worker during the chunk, MB; since its start on systems other than Linux.
    """

    dataset: str
    file: str
    start: int
    stop: int
    used: str
    worker: str
    attempts: int
    began: float
    wall_s: float
    input_s: float
    processor_s: float
    cpu_s: float
    bytes_read: int
    peak_rss_mb: float

    def __reduce__(self) -> tuple[Any, ...]:
        """Share equal strings after unpickling, however often results were merged and sent."""
        return _timing, tuple(self)

    @property
    def site(self) -> str:
        """Server from which the chunk was read, or ``local disk``."""
        return host(self.used) or "local disk"


def _timing(*values: Any) -> Timing:
    return Timing._make(sys.intern(v) if isinstance(v, str) else v for v in values)


@dataclass(frozen=True)
class WorkTotals:
    """Sums of the :class:`Timing` of some chunks.

    Attributes
    ----------
    chunks, events
        Number of chunks and of their events.
    bytes_read, wall_s, input_s, processor_s, cpu_s
        Sums over the chunks.
    peak_rss_mb
        Peak memory of any worker, MB.
    """

    chunks: int = 0
    events: int = 0
    bytes_read: int = 0
    wall_s: float = 0.0
    input_s: float = 0.0
    processor_s: float = 0.0
    cpu_s: float = 0.0
    peak_rss_mb: float = 0.0

    def plus(self, timing: Timing) -> WorkTotals:
        """Return the totals with one more chunk."""
        return WorkTotals(
            self.chunks + 1,
            self.events + timing.stop - timing.start,
            self.bytes_read + timing.bytes_read,
            self.wall_s + timing.wall_s,
            self.input_s + timing.input_s,
            self.processor_s + timing.processor_s,
            self.cpu_s + timing.cpu_s,
            max(self.peak_rss_mb, timing.peak_rss_mb),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the totals as in ``metrics.json``."""
        per_wall_s = {
            "events_per_s": self.events,
            "bytes_per_s": self.bytes_read,
            "cpu_fraction": self.cpu_s,
        }
        wall_s = self.wall_s or math.inf
        rates = {name: number / wall_s for name, number in per_wall_s.items()}
        totals = asdict(self)
        peak = totals.pop("peak_rss_mb")
        return totals | rates | {"peak_rss_mb": peak}


#: Groupings of the metrics.
_KINDS: Final = ("dataset", "file", "site", "worker")


def total(timings: Iterable[Timing]) -> WorkTotals:
    """Return the totals of all chunks."""
    totals = WorkTotals()
    for timing in timings:
        totals = totals.plus(timing)
    return totals


def tallies(timings: Iterable[Timing]) -> dict[str, dict[str, Any]]:
    """Return ``by_dataset``, ``by_file``, ``by_site`` and ``by_worker``, each the slowest first."""
    by: dict[str, dict[str, WorkTotals]] = {kind: {} for kind in _KINDS}
    for timing in timings:
        for kind in _KINDS:
            name = getattr(timing, kind)
            by[kind][name] = by[kind].get(name, WorkTotals()).plus(timing)
    return {
        f"by_{kind}": {
            name: totals.as_json()
            for name, totals in sorted(groups.items(), key=lambda item: -item[1].wall_s)
        }
        for kind, groups in by.items()
    }


def table(timings: Iterable[Timing]) -> pa.Table:
    """Return the table of ``chunks.parquet``: a row per chunk, by dataset, file and entry."""
    rows = sorted(timings)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for name, kind in get_type_hints(Timing).items():
        values = [getattr(timing, name) for timing in rows]
        columns[name] = of_texts(values) if kind is str else of_numbers(np.array(values, kind))
    return pa.table(columns)
