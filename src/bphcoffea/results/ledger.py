"""What a run expected, what it processed, and what it could not read, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from coffea.processor.executor import WorkItem

from bphcoffea.redaction import redacted
from bphcoffea.results.entries import Entries

#: Keys of a chunk's metadata: its file as the fileset calls it, but without passwords and tokens,
#: which makes it the file's identity in all results; the other places of the file; and what
#: identifies its content beside the UUID.
FILE, REPLICAS, IDENTITY = "file", "replicas", "file_identity"


@dataclass(frozen=True)
class Failure:
    """Entries that could not be read.

    Attributes
    ----------
    dataset, file, start, stop
        Which ones; the file as :func:`file_of` calls it. ``stop`` is None where nobody knows how
        many entries the file has.
    error
        Why, in one line.
    attempts
        How often it was tried.
    """

    dataset: str
    file: str
    start: int
    stop: int | None
    error: str
    attempts: int

    @classmethod
    def of_chunk(cls, chunk: WorkItem, error: str, attempts: int) -> Failure:
        """That of a chunk."""
        return cls(*_place(chunk), error, attempts)

    def line(self) -> str:
        """The failure in one line, with its place."""
        return f"{_in_words(self.dataset, self.file, self.start, self.stop)}: {self.error}"


@dataclass(frozen=True)
class Recovery:
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


@dataclass(frozen=True)
class Ledger:
    """The books of a run.

    Attributes
    ----------
    expected
        The chunks that were asked for.
    processed
        For each dataset, the entries that its result was made of.
    failed
        The chunks that could not be read.
    unopened
        What was asked for of files that could not be opened, so that no chunk was made of it.
    detours
        What was read, but not at the first try.
    dataset_events
        Events of all files of each dataset, whether they were asked for or not; None if it is not
        known how many there are.
    notes
        What a user must know of the input, one line each.
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
        """Whether everything that was asked for is in the results."""
        return not self.missing

    @cached_property
    def missing(self) -> list[Failure]:
        """What is not in the results, each with its reason, in order."""
        reasons = {(f.dataset, f.file, f.start, f.stop): f for f in self.failed}
        lost = [
            reasons.get(_place(chunk), Failure.of_chunk(chunk, "lost without a reason", 0))
            for chunk in self.expected
            if _place(chunk) in reasons or not self._holds(chunk)
        ]
        return sorted((*lost, *self.unopened), key=_order)

    def _holds(self, chunk: WorkItem) -> bool:
        processed = self.processed.get(chunk.dataset)
        tree = (file_of(chunk), chunk.treename)
        return processed is not None and processed.holds(tree, chunk.entrystart, chunk.entrystop)

    def as_json(self) -> dict[str, Any]:
        """As it stands in ``ledger.json``.

        ``expected_events`` can't count the events of files that nobody knows the length of: there
        are ``uncounted_files`` of them. A run is partial if it was asked for a part of the events
        of some dataset.
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
        known = sum(
            failure.stop - failure.start for failure in unopened if failure.stop is not None
        )
        expected = sum(len(chunk) for chunk in self.expected if chunk.dataset == dataset)
        return {
            "dataset_events": self.dataset_events.get(dataset, expected + known),
            "expected_events": expected + known,
            "processed_events": len(self.processed.get(dataset, ())),
            "uncounted_files": sum(failure.stop is None for failure in unopened),
        }


def file_of(chunk: WorkItem) -> str:
    """The file of a chunk as the fileset calls it, without passwords and tokens."""
    return redacted((chunk.usermeta or {}).get(FILE, chunk.filename))


def place_of(chunk: WorkItem) -> str:
    """Dataset, file and entries of a chunk, in words."""
    return _in_words(*_place(chunk))


def _in_words(dataset: str, file: str, start: int, stop: int | None) -> str:
    where = f"dataset '{dataset}', {file}"
    return where if stop is None else f"{where}, entries {start}-{stop}"


def _place(chunk: WorkItem) -> tuple[str, str, int, int]:
    return chunk.dataset, file_of(chunk), chunk.entrystart, chunk.entrystop


def _order(entry: Failure | Recovery) -> tuple[str, str, int]:
    return entry.dataset, entry.file, entry.start
