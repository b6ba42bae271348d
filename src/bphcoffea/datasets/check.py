"""Opening the files of a fileset: what is in them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
import uproot

from bphcoffea.datasets.model import Fileset

#: How long a server may take to answer, s.
TIMEOUT = 60


@dataclass(frozen=True)
class FileToOpen:
    """A file, and what it should hold."""

    dataset: str
    path: str
    tree: str
    branches: tuple[str, ...] = ()


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
        One line each; none for a sound file. A file without entries is sound.
    """

    file: FileToOpen
    entries: int | None = None
    uuid: bytes | None = None
    problems: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The problems, each with the dataset and file it is about."""
        return [
            f"dataset '{self.file.dataset}', {self.file.path}: {text}" for text in self.problems
        ]


def files_of(
    fileset: Fileset, branches: dict[str, tuple[str, ...]] | None = None
) -> list[FileToOpen]:
    """All files of a fileset, with the branches that each dataset needs."""
    return [
        FileToOpen(name, path, entry.object_path, (branches or {}).get(name, ()))
        for name, dataset in fileset.root.items()
        for path, entry in dataset.files.items()
    ]


def inspect(file: FileToOpen) -> list[FileReport]:
    """Open a file and look at its tree; never raises for what is wrong with the file.

    Returns
    -------
    One report, in a list, so that executors can add up the reports of many files.
    """
    try:
        opened = uproot.open(file.path, timeout=TIMEOUT)
    except Exception as error:  # noqa: BLE001 - damaged bytes raise nearly anything
        return [FileReport(file, problems=(explain(error, file.path),))]
    with opened as root:
        try:
            tree = root[file.tree]
        except uproot.KeyInFileError:
            held = ", ".join(_trees(root)) or "none"
            return [FileReport(file, problems=(f"no tree '{file.tree}'; trees it holds: {held}",))]
        except Exception as error:  # noqa: BLE001
            return [FileReport(file, problems=(explain(error, file.path),))]
        if not hasattr(tree, "num_entries"):
            kind = type(tree).__name__.removeprefix("Model_")
            return [FileReport(file, problems=(f"'{file.tree}' is no tree but a {kind}",))]
        problems = []
        size, end = root.file.source.num_bytes, root.file.fEND
        if size is not None and size < end:
            problems.append(f"truncated: {size} of {end} bytes; copy or make it again")
        held_branches = set(tree.keys(recursive=True))
        missing = [branch for branch in file.branches if branch not in held_branches]
        if missing:
            problems.append(f"tree '{file.tree}' lacks the branches {', '.join(missing)}")
        return [FileReport(file, int(tree.num_entries), root.file.uuid.bytes, tuple(problems))]


def explain(error: BaseException, path: str) -> str:
    """What a fault in opening a file means, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "is a folder, not a file"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    try:
        with fsspec.open(path, "rb") as file:
            beginning = file.read(4)
    except Exception:  # noqa: BLE001 - clients of remote storage raise errors of their own
        return f"cannot be opened ({_shortened(text)})"
    if not beginning:
        return "not a ROOT file: it is empty (0 bytes)"
    if beginning != b"root":
        return f"not a ROOT file: it begins with {beginning!r}"
    return f"truncated or corrupt; copy or make it again ({_shortened(text)})"


def _shortened(text: str, longest: int = 160) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _trees(root: Any) -> Sequence[str]:
    kinds = root.classnames(recursive=True, cycle=False)
    return [name for name, kind in kinds.items() if kind in ("TTree", "ROOT::RNTuple")]
