"""What chunks cost, and how that adds up over a dataset, a file, a site or a worker."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, get_type_hints

import pyarrow as pa

from bphcoffea.storage.servers import host


class Timing(NamedTuple):
    """What one chunk cost.

    Attributes
    ----------
    dataset, file, start, stop
        Which chunk; the file as the fileset calls it.
    used
        Where it was read: its file, or a replica.
    worker
        Host and process that worked on it.
    attempts
        How often it was tried; the times and the bytes below are those of all attempts.
    began
        When it was begun, s since 1970.
    wall_s
        Time until its result was there, pauses between attempts and checkpoint included, s.
    input_s
        Time in which the input was opened, read, decompressed and made into arrays, s.
    processor_s
        Time in the processor without that, s.
    cpu_s
        Processor time, s.
    bytes_read
        Bytes that were asked of the file.
    peak_rss_mb
        Largest memory of the worker so far, MB.
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
        """Names come back as one object each, however often results were merged and shipped."""
        return _timing, tuple(self)

    @property
    def site(self) -> str:
        """Server that it was read from."""
        return host(self.used) or "local disk"


def _timing(*values: Any) -> Timing:
    return Timing._make(sys.intern(v) if isinstance(v, str) else v for v in values)


@dataclass(frozen=True)
class WorkTotals:
    """The work of some chunks: sums of what their :class:`Timing` says.

    Attributes
    ----------
    chunks, events
        How many.
    bytes_read, wall_s, input_s, processor_s, cpu_s
        As of a chunk, summed.
    peak_rss_mb
        Largest memory of a worker, MB.
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
        """The same with one chunk more."""
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
        """As it stands in ``metrics.json``."""
        return {
            "chunks": self.chunks,
            "events": self.events,
            "bytes_read": self.bytes_read,
            "wall_s": self.wall_s,
            "input_s": self.input_s,
            "processor_s": self.processor_s,
            "cpu_s": self.cpu_s,
            "events_per_s": self.events / self.wall_s if self.wall_s else 0.0,
            "bytes_per_s": self.bytes_read / self.wall_s if self.wall_s else 0.0,
            "cpu_fraction": self.cpu_s / self.wall_s if self.wall_s else 0.0,
            "peak_rss_mb": self.peak_rss_mb,
        }


#: What the metrics are given by.
_KINDS: dict[str, Callable[[Timing], str]] = {
    "dataset": lambda timing: timing.dataset,
    "file": lambda timing: timing.file,
    "site": lambda timing: timing.site,
    "worker": lambda timing: timing.worker,
}


def total(timings: Iterable[Timing]) -> WorkTotals:
    """All of them together."""
    tally = WorkTotals()
    for timing in timings:
        tally = tally.plus(timing)
    return tally


def tallies(timings: Iterable[Timing]) -> dict[str, dict[str, Any]]:
    """``by_dataset``, ``by_file``, ``by_site``, ``by_worker``: each the slowest first."""
    by: dict[str, dict[str, WorkTotals]] = {kind: {} for kind in _KINDS}
    for timing in timings:
        for kind, name_of in _KINDS.items():
            name = name_of(timing)
            by[kind][name] = by[kind].get(name, WorkTotals()).plus(timing)
    return {
        f"by_{kind}": {
            name: tally.as_json()
            for name, tally in sorted(groups.items(), key=lambda item: -item[1].wall_s)
        }
        for kind, groups in by.items()
    }


def table(timings: Iterable[Timing]) -> pa.Table:
    """A row a chunk, in the order of datasets, files and entries, as in ``chunks.parquet``."""
    schema = pa.schema([(name, _ARROW[kind]) for name, kind in get_type_hints(Timing).items()])
    return pa.Table.from_pylist([timing._asdict() for timing in sorted(timings)], schema)


_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64()}
