"""Ledger of a run: expected, processed and unreadable entries, with reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from coffea.processor.executor import WorkItem

from bphcoffea.redaction import redacted

#: Path of a file in the fileset, without passwords, and path of the tree in the file.
Tree = tuple[str, str]


class OverlapError(ValueError):
    """Two results contain the same entries, which their sum would count twice."""


class Entries:
    """Set of entry ranges of trees.

    Parameters
    ----------
    ranges
        Ranges [start, stop) by tree, ascending and without overlap.
    """

    def __init__(self, ranges: Mapping[Tree, tuple[tuple[int, int], ...]] | None = None) -> None:
        self.ranges = dict(ranges or {})

    @classmethod
    def of_chunk(cls, metadata: Mapping[str, Any]) -> Entries:
        """Entry range of one chunk, from its metadata; empty if the metadata has none."""
        if "entrystart" not in metadata:
            return cls()
        tree = (source_of(metadata), metadata["treename"])
        start, stop = metadata["entrystart"], metadata["entrystop"]
        return cls({tree: ((start, stop),)} if stop > start else {})

    def __add__(self, other: Entries) -> Entries:
        total = dict(self.ranges)
        for tree, ranges in other.ranges.items():
            total[tree] = _joined(tree, (*total.get(tree, ()), *ranges))
        return Entries(total)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entries) and self.ranges == other.ranges

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return sum(stop - start for ranges in self.ranges.values() for start, stop in ranges)


def _joined(tree: Tree, ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if joined and start < joined[-1][1]:
            raise OverlapError(
                f"{tree[0]}, tree '{tree[1]}': entries {start}-{min(stop, joined[-1][1])} "
                "are in both results"
            )
        if joined and start == joined[-1][1]:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return tuple(joined)


#: Keys of a chunk's metadata: path of the file in the fileset without passwords and tokens, which
#: identifies the file in all results; its replicas; and what identifies its content beside the
#: UUID.
FILE, REPLICAS, IDENTITY = "file", "replicas", "file_identity"


@dataclass(frozen=True)
class Failure:
    """Entries that could not be read.

    Attributes
    ----------
    dataset, file, start, stop
        Entry range [start, stop) of a file, which is named as by :func:`file_of`. `stop` is None
        if the number of entries in the file is unknown.
    error
        Reason, in one line.
    attempts
        Number of attempts.
    """

    dataset: str
    file: str
    start: int
    stop: int | None
    error: str
    attempts: int

    @classmethod
    def of_chunk(cls, chunk: WorkItem, error: str, attempts: int) -> Failure:
        """Return the failure of a chunk."""
        return cls(*_place(chunk), error, attempts)

    def line(self) -> str:
        """Return the place and the reason in one line."""
        return f"{_in_words(self.dataset, self.file, self.start, self.stop)}: {self.error}"


@dataclass(frozen=True)
class Recovery:
    """Entries that were read after a first attempt had failed.

    Attributes
    ----------
    dataset, file, start, stop
        Entry range [start, stop) of a file.
    used
        Path from which it was finally read: the file or a replica.
    attempts
        Number of attempts.
    error
        Error of the first attempt.
    """

    dataset: str
    file: str
    start: int
    stop: int
    used: str
    attempts: int
    error: str


@dataclass(frozen=True)
class Ledger:
    """Account of all entries of a run: missing chunks are the expected minus the processed ones.

    Attributes
    ----------
    expected
        Requested chunks.
    processed
        Entries in the result of each dataset.
    failed
        Chunks that could not be read.
    unopened
        Requested entries of files that could not be opened, for which there are no chunks.
    detours
        Entries that were read after a first attempt had failed.
    dataset_events
        Events in all files of each dataset, requested or not; None if unknown.
    notes
        Remarks on the input for the user, one line each.
    """

    expected: tuple[WorkItem, ...]
    processed: Mapping[str, Entries]
    failed: tuple[Failure, ...] = ()
    unopened: tuple[Failure, ...] = ()
    detours: tuple[Recovery, ...] = ()
    dataset_events: Mapping[str, int | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the results contain everything that was requested."""
        return not self.missing

    @cached_property
    def missing(self) -> list[Failure]:
        """Requested entries that the results lack, with reasons, in order.

        A chunk that was cut into pieces may have lost only some of its entries.
        """
        failed = tuple(dict.fromkeys(self.failed))
        with_reason: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for failure in failed:
            if failure.stop is not None:
                ranges = with_reason.setdefault((failure.dataset, failure.file), [])
                ranges.append((failure.start, failure.stop))
        lost = [
            Failure(chunk.dataset, file_of(chunk), start, stop, "lost without a reason", 0)
            for chunk in self.expected
            for start, stop in self._lost(
                chunk, with_reason.get((chunk.dataset, file_of(chunk)), [])
            )
        ]
        return sorted((*lost, *failed, *self.unopened), key=_order)

    def _lost(
        self, chunk: WorkItem, with_reason: list[tuple[int, int]]
    ) -> Iterable[tuple[int, int]]:
        """Return the entries of a chunk that are neither processed nor lost with a reason."""
        processed = self.processed.get(chunk.dataset)
        whole = (chunk.entrystart, chunk.entrystop)
        if processed is None and not with_reason:
            return [whole]  # also if it has no entries
        ranges = processed.ranges.get((file_of(chunk), chunk.treename), ()) if processed else ()
        return _gaps(whole, (*ranges, *with_reason))

    def as_json(self) -> dict[str, Any]:
        """Return the content of ``ledger.json``.

        ``expected_events`` leaves out files of unknown length, which ``uncounted_files`` counts. A
        run is partial if only a part of the events of some dataset was requested.
        """
        datasets = {chunk.dataset for chunk in self.expected} | {f.dataset for f in self.unopened}
        datasets |= set(self.dataset_events)
        by_dataset = {name: self._counts(name) for name in sorted(datasets)}
        totals = {
            key: sum(counts[key] or 0 for counts in by_dataset.values())
            for key in ("expected_events", "processed_events", "uncounted_files")
        }
        return {
            **totals,
            "complete": self.complete,
            "partial": any(
                counts["dataset_events"] != counts["expected_events"]
                and not counts["uncounted_files"]
                for counts in by_dataset.values()
            ),
            "chunks": len(self.expected) + len(self.unopened),
            "datasets": by_dataset,
            "failed": [asdict(failure) for failure in self.missing],
            "detours": [asdict(detour) for detour in sorted(self.detours, key=_order)],
            "notes": list(self.notes),
        }

    def _counts(self, dataset: str) -> dict[str, Any]:
        unopened = [failure for failure in self.unopened if failure.dataset == dataset]
        counted = sum(
            failure.stop - failure.start for failure in unopened if failure.stop is not None
        )
        expected = sum(len(chunk) for chunk in self.expected if chunk.dataset == dataset)
        return {
            "dataset_events": self.dataset_events.get(dataset, expected + counted),
            "expected_events": expected + counted,
            "processed_events": len(self.processed.get(dataset, ())),
            "uncounted_files": sum(failure.stop is None for failure in unopened),
        }


def source_of(metadata: Mapping[str, Any]) -> str:
    """Return the file that the fileset gives for a chunk, without passwords and tokens.

    Parameters
    ----------
    metadata
        Metadata of the chunk's events.
    """
    return redacted(metadata.get(FILE, metadata["filename"]))


def file_of(chunk: WorkItem) -> str:
    """Return the path of a chunk's file in the fileset, without passwords and tokens."""
    return redacted((chunk.usermeta or {}).get(FILE, chunk.filename))


def place_of(chunk: WorkItem) -> str:
    """Return dataset, file and entries of a chunk as text."""
    return _in_words(*_place(chunk))


def _in_words(dataset: str, file: str, start: int, stop: int | None) -> str:
    where = f"dataset '{dataset}', {file}"
    return where if stop is None else f"{where}, entries {start}-{stop}"


def _place(chunk: WorkItem) -> tuple[str, str, int, int]:
    return chunk.dataset, file_of(chunk), chunk.entrystart, chunk.entrystop


def _gaps(whole: tuple[int, int], ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the parts of a range [start, stop) that are in none of some others."""
    start, stop = whole
    for first, last in sorted(ranges):
        if start < min(first, stop):
            yield start, min(first, stop)
        start = max(start, last)
    if start < stop:
        yield start, stop


def _order(entry: Failure | Recovery) -> tuple[str, str, int]:
    return entry.dataset, entry.file, entry.start
