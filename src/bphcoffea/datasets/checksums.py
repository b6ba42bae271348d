"""Comparing the checksums of files: in the fileset, and at each place of a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bphcoffea.datasets.fileset import Fileset
from bphcoffea.errors import FacilityError
from bphcoffea.storage import Retries, TransferError, adler32_at, reason


@dataclass(frozen=True)
class FileToCompare:
    """A file, its replicas, and its checksum in the fileset; None if the fileset has none."""

    dataset: str
    path: str
    replicas: tuple[str, ...]
    checksum: str | None


@dataclass(frozen=True)
class ChecksumReport:
    """Result of comparing the checksums of one file.

    Attributes
    ----------
    file
        The file.
    checksum
        Checksum at all places, such as ``adler32:0123abcd``; None if they differ or are unknown.
    problems
        One line per problem.
    """

    file: FileToCompare
    checksum: str | None
    problems: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the problems, each with its dataset and file."""
        return [
            f"dataset '{self.file.dataset}', {self.file.path}: {text}" for text in self.problems
        ]


def files_to_compare(fileset: Fileset) -> list[FileToCompare]:
    """Return the files of a fileset with their replicas and checksums."""
    return [
        FileToCompare(name, path, entry.replicas, entry.checksum)
        for name, dataset in fileset.root.items()
        for path, entry in dataset.files.items()
    ]


def compare(retries: Retries, file: FileToCompare) -> list[ChecksumReport]:
    """Compare the checksums of a file at all its places; faults are reported, never raised.

    Storage without checksums, such as a disk, is read.

    Returns
    -------
    One report, in a list, so that executors can add up the reports of many files.
    """
    problems = []
    found: dict[str, str] = {}
    for place in (file.path, *file.replicas):
        where = "" if place == file.path else f"replica {place}: "
        try:
            found[place] = f"adler32:{adler32_at(place, retries):08x}"
        except FacilityError as error:
            problems.append(f"{where}no checksum ({error})")
        except TransferError as error:
            cause = error.__cause__
            problems.append(f"{where}no checksum ({(cause and reason(cause)) or error})")
        else:
            if file.checksum and found[place] != file.checksum:
                problems.append(
                    f"{where}its checksum is {found[place]}, but {file.checksum} in the fileset; "
                    "the file is damaged or another one: copy it again"
                )
    values = set(found.values())
    if len(values) > 1 and not file.checksum:
        listed = ", ".join(f"{value} at {place}" for place, value in found.items())
        problems.append(f"its checksums differ: {listed}; one copy is damaged or another file")
    return [ChecksumReport(file, values.pop() if len(values) == 1 else None, tuple(problems))]


def with_checksums(fileset: Fileset, reports: Iterable[ChecksumReport]) -> Fileset:
    """Return the fileset with checksums for files that had none."""
    checksums = {
        (report.file.dataset, report.file.path): report.checksum
        for report in reports
        if report.file.checksum is None
    }
    return fileset.updated("checksum", checksums)
