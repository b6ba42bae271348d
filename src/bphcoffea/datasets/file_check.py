"""Opening the files of a fileset: what is in them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import fsspec
import uproot

from bphcoffea.analysis.branch_needs import BranchNeeds
from bphcoffea.datasets.baskets import contradiction, lacks_checksums, oversized
from bphcoffea.datasets.fileset import Fileset
from bphcoffea.size_limits import basket_limit
from bphcoffea.storage.decompression import decompress_within
from bphcoffea.storage.identity import identity
from bphcoffea.storage.open_files import reading
from bphcoffea.storage.servers import (
    TIMEOUT,
    Retries,
    by_silence,
    host,
    note_silence,
    reason,
    shortened,
    silence_of,
)


@dataclass(frozen=True)
class FileToOpen:
    """A file, and what it should hold.

    Attributes
    ----------
    dataset
        The dataset that it belongs to.
    path
        Path or URL.
    tree
        Path of the tree in the file.
    branches
        What the tree must have, unless it has no entries.
    entries, uuid
        Entries of the tree, and identity of the file, according to the fileset; None if it does
        not say.
    replicas
        Other places of the same file, tried in order when it can't be opened.
    looked_for
        Branches that the tree may lack.
    basket_limit
        Bytes that a basket may have once it is decompressed.
    """

    dataset: str
    path: str
    tree: str
    branches: tuple[str, ...] = ()
    entries: int | None = None
    replicas: tuple[str, ...] = ()
    uuid: str | None = None
    looked_for: tuple[str, ...] = ()
    basket_limit: int = field(default_factory=basket_limit)


@dataclass(frozen=True)
class FileReport:
    """What was found in a file.

    Attributes
    ----------
    file
        Which one.
    entries, uuid
        Entries of its tree and its identity; None where the file or its tree can't be read.
    problems
        What makes it unfit, one line each. A file without entries is fit.
    used
        Where it was opened: its path, or a replica; empty where it can't be read at any place.
    faults
        Why it could not be read when that was tried before, one line each.
    held
        Those of the branches looked for that its tree has.
    lacking
        Required branches that its tree lacks; only a tree without entries is fit without them.
    identity
        Size and time stamps of its content, as the storage reports them.
    unprotected
        Whether damage may give other numbers: its compression has no checksums.
    """

    file: FileToOpen
    entries: int | None = None
    uuid: bytes | None = None
    problems: tuple[str, ...] = ()
    used: str = ""
    faults: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    identity: str = ""
    unprotected: bool = False

    @property
    def unreadable(self) -> str | None:
        """Why it can't be read at any place, in one line; None where it can."""
        return None if self.used else "; ".join(dict.fromkeys(self.faults))

    @property
    def wrong(self) -> tuple[str, ...]:
        """All that is wrong with it, one line each; nothing of a file that is fit and readable."""
        return (*dict.fromkeys(() if self.used else self.faults), *self.problems)

    def lines(self) -> list[str]:
        """All that is wrong with it, each line with the dataset and file it is about."""
        return [f"dataset '{self.file.dataset}', {self.file.path}: {text}" for text in self.wrong]


def files_of(fileset: Fileset, needs: Mapping[str, BranchNeeds] | None = None) -> list[FileToOpen]:
    """The files of a fileset, with what is needed of those of each dataset."""
    nothing = BranchNeeds()
    return [
        FileToOpen(
            name,
            path,
            entry.object_path,
            (needs or {}).get(name, nothing).required,
            entry.num_entries,
            entry.replicas,
            entry.uuid,
            (needs or {}).get(name, nothing).looked_for,
        )
        for name, dataset in fileset.root.items()
        for path, entry in dataset.files.items()
    ]


def inspect(retries: Retries, file: FileToOpen) -> list[FileReport]:
    """Open a file and look at its tree; never raises for what is wrong with the file.

    A file that can't be opened, or ends early, is tried at its other places, in order.

    Parameters
    ----------
    retries
        How often to try a file that a server does not give. What a disk says is final.
    file
        Which one.

    Returns
    -------
    One report, in a list, so that executors can add up the reports of many files.
    """
    decompress_within(file.basket_limit)
    faults: list[str] = []
    entries = file.entries
    places = (file.path, *file.replicas)
    remote = any(host(place) for place in places)
    for _ in (retries if remote else replace(retries, attempts=1)).tries():
        for place in by_silence(places):
            try:
                # a dictionary, for a path may hold a colon, and uproot an object's name after it
                with (
                    reading(place, retries.timeout_s),
                    uproot.open({place: None}, timeout=retries.timeout_s) as root,
                ):
                    fault = _truncated(root) or _unclosed(root)
                    report = _inspected(file, root)
                    # a header that can't be true does not tell how many entries there are
                    lie = None if fault else _impossible(file, root, report)
                    report = _with_identity(report, root, place)
                if fault is None and lie is None:
                    skipped = () if faults or place == file.path else (silence_of(file.path),)
                    earlier = (*faults, *(meaning for meaning in skipped if meaning))
                    return [replace(report, used=place, faults=earlier)]
                entries = file.entries if lie else report.entries
                fault = fault or str(lie)
            except Exception as error:  # noqa: BLE001 - damaged bytes raise nearly anything
                fault = explain(error, place, retries.timeout_s)
            note_silence(place, fault)
            faults.append(fault if place == file.path else f"replica {place}: {fault}")
    return [FileReport(file, entries, faults=tuple(faults))]


def with_entries(fileset: Fileset, reports: Iterable[FileReport]) -> Fileset:
    """Return a fileset that says how many entries each file has that was read.

    From these a run knows how much it lacks if a file can't be opened, and whether one was
    replaced.
    """
    known = {(r.file.dataset, r.file.path): r.entries for r in reports if r.used}
    return fileset.updated("num_entries", known)


def _inspected(file: FileToOpen, root: Any) -> FileReport:
    try:
        tree = root[file.tree]
    except uproot.KeyInFileError:
        return FileReport(file, problems=(f"no tree '{file.tree}'; {_trees(root)}",))
    if not isinstance(tree, uproot.TTree | uproot.behaviors.RNTuple.RNTuple):
        kind = type(tree).__name__.removeprefix("Model_")
        if isinstance(tree, uproot.ReadOnlyDirectory):
            kind = "folder"
        problem = f"'{file.tree}' is no tree but a {kind}; {_trees(root)}"
        return FileReport(file, problems=(problem,))
    problems = []
    names = set(tree.keys(recursive=True))
    lacking = tuple(branch for branch in file.branches if branch not in names)
    entries = int(tree.num_entries)
    # production writes trees without entries that lack branches
    if lacking and entries:
        problems.append(f"tree '{file.tree}' lacks the branches {', '.join(lacking)}")
    if file.entries is not None and entries != file.entries:
        problems.append(
            f"tree '{file.tree}' has {entries} entries, but {file.entries} in the fileset; "
            "was the file replaced?"
        )
    if file.uuid is not None and not _is_uuid(file.uuid, root.file.uuid):
        problems.append(
            f"its UUID is {root.file.uuid}, but {file.uuid} in the fileset; was the file replaced?"
        )
    return FileReport(
        file,
        entries,
        root.file.uuid.bytes,
        tuple(problems),
        held=tuple(branch for branch in file.looked_for if branch in names),
        lacking=lacking,
    )


def _is_uuid(text: str, found: UUID) -> bool:
    try:
        return UUID(text) == found
    except ValueError:
        return False


def _impossible(file: FileToOpen, root: Any, report: FileReport) -> str | None:
    """Return why the metadata of a tree are wrong, or its baskets too large; None if neither."""
    if report.entries is None:
        return None  # it has no tree
    tree = root[file.tree]
    wrong = contradiction(tree, file.branches)
    if wrong:
        return f"damaged: {wrong}; copy or make it again"
    return oversized(tree, file.basket_limit, file.branches)


def _with_identity(report: FileReport, root: Any, place: str) -> FileReport:
    file = report.file
    unprotected = report.entries is not None and lacks_checksums(root[file.tree], file.branches)
    return replace(report, identity=identity(place), unprotected=unprotected)


def _truncated(root: Any) -> str | None:
    size, end = root.file.source.num_bytes, root.file.fEND
    if size is None or size >= end:
        return None
    return f"truncated: {size} of {end} bytes; copy or make it again"


def _unclosed(root: Any) -> str | None:
    """Return what is wrong with a file that its writer did not close; None if it was closed.

    The list of free segments is written last, as is that of the names in the file.
    """
    if root.file.fSeekFree > root.file.fBEGIN and root.fSeekKeys > root.file.fBEGIN:
        return None
    return "was not closed: the program that wrote it ended early; make it again"


def explain(error: BaseException, path: str, timeout_s: int = TIMEOUT) -> str:
    """What a fault in opening a file means, in one line."""
    known = reason(error)
    if known:
        return known
    text = shortened(str(error)) or type(error).__name__
    try:
        with fsspec.open(path, "rb", **({"timeout": timeout_s} if host(path) else {})) as file:
            beginning = file.read(4)
    except Exception:  # noqa: BLE001 - clients of remote storage raise errors of their own
        return f"cannot be opened ({text})"
    if not beginning:
        return "not a ROOT file: it is empty (0 bytes)"
    if beginning != b"root":
        return f"not a ROOT file: it begins with {beginning!r}"
    return f"truncated or corrupt; copy or make it again ({text})"


def _trees(root: Any) -> str:
    kinds = root.classnames(recursive=True, cycle=False)
    held = [name for name, kind in kinds.items() if kind in ("TTree", "TNtuple", "ROOT::RNTuple")]
    return f"trees it holds: {', '.join(held) or 'none'}"
