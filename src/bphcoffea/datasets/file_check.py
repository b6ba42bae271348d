"""Opening the files of a fileset and reporting their content and their faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

import fsspec
import uproot

from bphcoffea import garbage, reading, storage
from bphcoffea.analysis import BranchNeeds
from bphcoffea.datasets.baskets import Tree, contradiction, lacks_checksums, oversized
from bphcoffea.datasets.fileset import Fileset
from bphcoffea.inputs import BranchFilter, Form, form_of
from bphcoffea.size_limits import basket_limit


@dataclass(frozen=True)
class FileToOpen:
    """A file and its expected content.

    Attributes
    ----------
    dataset
        Name of the dataset.
    path
        Path or URL.
    tree
        Path of the tree in the file.
    branches
        Branches that a tree with entries must have.
    entries
        Number of entries of the tree in the fileset; None if the fileset has none.
    replicas
        Other places of the file, tried in order if it cannot be opened.
    uuid
        UUID of the file in the fileset; None if the fileset has none.
    looked_for
        Branches that the tree may lack.
    basket_limit
        Largest allowed size of a decompressed basket, bytes.
    with_form
        Whether to report the form of the tree.
    branch_filter
        Branches in the form.
    known
        Report of an earlier run, which is returned if the file did not change since.
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
    with_form: bool = False
    branch_filter: BranchFilter = None
    known: FileReport | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class FileReport:
    """Content of a file and its faults.

    Attributes
    ----------
    file
        The file.
    entries
        Number of entries of the tree; None if it cannot be read.
    uuid
        UUID of the file; None if the file or its tree cannot be read.
    problems
        Reasons not to process the file, one line each; a tree may have no entries.
    used
        Path or replica that was opened; empty if the file cannot be read at any place.
    faults
        Failed attempts to read the file, one line each.
    held
        Branches of ``file.looked_for`` that the tree has.
    lacking
        Required branches that the tree lacks; a problem only if it has entries.
    identity
        Size and time stamps of the content, as the storage reports them.
    unprotected
        True if damage may change values without an error, see
        :func:`~bphcoffea.datasets.baskets.lacks_checksums`.
    form
        Names and types of the branches, if asked for.
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
    form: Form | None = None

    @property
    def unreadable(self) -> str | None:
        """Why the file cannot be read at any place, in one line; None if it can."""
        return None if self.used else "; ".join(dict.fromkeys(self.faults))

    @property
    def wrong(self) -> tuple[str, ...]:
        """All faults of the file, one line each; empty for a readable file without problems."""
        return (*dict.fromkeys(() if self.used else self.faults), *self.problems)

    def lines(self) -> list[str]:
        """Return all faults, each with its dataset and file."""
        return [f"dataset '{self.file.dataset}', {self.file.path}: {text}" for text in self.wrong]


def files_of(fileset: Fileset, needs: Mapping[str, BranchNeeds] | None = None) -> list[FileToOpen]:
    """Return the files of a fileset with the branches that an analysis needs, by dataset."""
    no_needs = BranchNeeds()
    return [
        FileToOpen(
            name,
            path,
            entry.object_path,
            (needs or {}).get(name, no_needs).required,
            entry.num_entries,
            entry.replicas,
            entry.uuid,
            (needs or {}).get(name, no_needs).looked_for,
        )
        for name, dataset in fileset.root.items()
        for path, entry in dataset.files.items()
    ]


def inspect(retries: storage.Retries, file: FileToOpen) -> list[FileReport]:
    """Open a file and check its tree; faults of the file are reported, never raised.

    A file that cannot be opened, or is truncated, is tried at its other places, in order.

    Parameters
    ----------
    retries
        Number of attempts for files on servers; files on a disk are tried once.
    file
        The file.

    Returns
    -------
    One report, in a list, so that executors can add up the reports of many files.
    """
    if file.known is not None and is_unchanged(file.known, retries.timeout_s):
        return [file.known]
    storage.prepare_uproot(file.basket_limit)
    faults: list[str] = []
    entries = file.entries
    places = (file.path, *file.replicas)
    remote = any(storage.host(place) for place in places)
    for _ in (retries if remote else replace(retries, attempts=1)).tries():
        for place in storage.by_silence(places):
            try:
                if "://" in place:
                    reading.forget(place)  # the file may have been replaced since
                with storage.in_use(place, retries.timeout_s), garbage.unsearched():
                    root = reading.opened(place, retries.timeout_s).root
                    fault = _truncated(root) or _unclosed(root)
                    report = _inspected(file, root)
                    # an inconsistent header does not give the number of entries
                    damage = None if fault else _damage(file, root, report)
                    report = _with_identity(report, root, place)
                if fault is None and damage is None:
                    skipped = (
                        () if faults or place == file.path else (storage.silence_of(file.path),)
                    )
                    earlier = (*faults, *(meaning for meaning in skipped if meaning))
                    return [replace(report, used=place, faults=earlier)]
                entries = file.entries if damage else report.entries
                fault = fault or str(damage)
            except Exception as error:  # noqa: BLE001 - damaged bytes raise nearly anything
                fault = explain(error, place, retries.timeout_s)
            reading.forget(place)
            storage.note_silence(place, fault)
            faults.append(fault if place == file.path else f"replica {place}: {fault}")
    return [FileReport(file, entries, faults=tuple(faults))]


def is_unchanged(report: FileReport, timeout_s: int = storage.TIMEOUT) -> bool:
    """Return whether a file is still that of a report; False if its storage does not answer."""
    try:
        with storage.in_use(report.used, timeout_s):
            return storage.identity(report.used) == report.identity
    except Exception:  # noqa: BLE001 - clients of remote storage raise errors of their own
        return False


def with_entries(fileset: Fileset, reports: Iterable[FileReport]) -> Fileset:
    """Return the fileset with the number of entries of each file that was read.

    With it, a run can count the events of files that it cannot open, and notice replaced files.
    """
    entries = {(r.file.dataset, r.file.path): r.entries for r in reports if r.used}
    return fileset.updated("num_entries", entries)


def _inspected(file: FileToOpen, root: uproot.ReadOnlyDirectory) -> FileReport:
    try:
        tree = root[file.tree]
    except uproot.KeyInFileError:
        return FileReport(file, problems=(f"no tree '{file.tree}'; {_trees(root)}",))
    if not isinstance(tree, Tree):
        kind = type(tree).__name__.removeprefix("Model_").partition("_v")[0]
        if isinstance(tree, uproot.ReadOnlyDirectory):
            kind = "folder"
        problem = f"'{file.tree}' is a {kind}, not a tree; {_trees(root)}"
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
        form=form_of(root, file.tree, file.branch_filter) if file.with_form else None,
    )


def _is_uuid(text: str, found: UUID) -> bool:
    try:
        return UUID(text) == found
    except ValueError:
        return False


def _damage(file: FileToOpen, root: uproot.ReadOnlyDirectory, report: FileReport) -> str | None:
    """Return how a tree is inconsistent, or which basket is too large; None if it is sound."""
    if report.entries is None:
        return None  # the tree is missing
    tree = root[file.tree]
    inconsistency = contradiction(tree, file.branches)
    if inconsistency:
        return f"damaged: {inconsistency}; copy or make it again"
    return oversized(tree, file.basket_limit, file.branches)


def _with_identity(report: FileReport, root: uproot.ReadOnlyDirectory, place: str) -> FileReport:
    file = report.file
    unprotected = report.entries is not None and lacks_checksums(root[file.tree], file.branches)
    return replace(report, identity=storage.identity(place), unprotected=unprotected)


def _truncated(root: uproot.ReadOnlyDirectory) -> str | None:
    size, end = root.file.source.num_bytes, root.file.fEND
    if size is None or size >= end:
        return None
    return f"truncated: {size} of {end} bytes; copy or make it again"


def _unclosed(root: uproot.ReadOnlyDirectory) -> str | None:
    """Return the fault of a file that its writer did not close; None if it was closed.

    ROOT writes the list of free segments and the list of names in the file last.
    """
    if root.file.fSeekFree > root.file.fBEGIN and root.fSeekKeys > root.file.fBEGIN:
        return None
    return "was not closed: the program that wrote it ended early; make it again"


def explain(error: BaseException, path: str, timeout_s: int = storage.TIMEOUT) -> str:
    """Return what an exception in opening a file means, in one line."""
    meaning = storage.reason(error)
    if meaning:
        return meaning
    text = storage.shortened(str(error)) or type(error).__name__
    try:
        options = {"timeout": timeout_s} if storage.host(path) else {}
        with fsspec.open(storage.fsspec_url(path), "rb", **options) as file:
            beginning = file.read(4)
    except Exception as again:  # noqa: BLE001 - clients of storage raise errors of their own
        return storage.reason(again) or f"cannot be opened ({text})"
    if not beginning:
        return "not a ROOT file: it is empty (0 bytes)"
    if beginning != b"root":
        return f"not a ROOT file: it begins with {beginning!r}"
    return f"truncated or corrupt; copy or make it again ({text})"


def _trees(root: uproot.ReadOnlyDirectory) -> str:
    kinds = root.classnames(recursive=True, cycle=False)
    trees = [name for name, kind in kinds.items() if kind in ("TTree", "TNtuple", "ROOT::RNTuple")]
    return f"trees in the file: {', '.join(trees) or 'none'}"
