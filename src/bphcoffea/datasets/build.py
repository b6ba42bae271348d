"""Building a fileset from folders or patterns, on a disk or on a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from bphcoffea.datasets.fileset import Fileset, path_fault, write_fileset
from bphcoffea.datasets.loading import dataset_faults, load_fileset
from bphcoffea.documents import read_json
from bphcoffea.errors import FilesetError
from bphcoffea.local_files import regular
from bphcoffea.storage import Storage, lock_of, locked, reason, shortened

_SUFFIX = ".root"


def find_files(place: str) -> list[str]:
    """Return the ROOT files of a folder or pattern, as absolute paths or URLs, sorted.

    Parameters
    ----------
    place
        A file, folder or pattern: local, or a URL such as ``root://host//store/user/me/*.root``.
        ``**`` in a pattern stands for any number of folders. A folder, also one that a pattern
        matches, stands for all ROOT files below it.

    Raises
    ------
    FilesetError
        If there are no files, a folder may not be read, the server does not answer, or a path
        cannot be opened by its name.
    """
    fault = path_fault(place)
    if fault:
        raise FilesetError(fault)
    try:
        storage = Storage(place)
        found = {
            storage.name(file)
            for match in storage.find(storage.path)
            for file in storage.files(match)
            if file.path.endswith(_SUFFIX) or file.path == storage.path
        }
    except (OSError, ValueError) as error:
        why = reason(error) or shortened(str(error))
        raise FilesetError(f"{place}: cannot be listed: {why}") from None
    if not found:
        raise FilesetError(f"{place}: no {_SUFFIX} files there")
    FilesetError.raise_for(
        fault for path in sorted(found) if (fault := path_fault(path) or _irregularity(path))
    )
    return sorted(found)


def _irregularity(path: str) -> str | None:
    try:
        regular(path)
    except OSError as error:
        return f"{path}: {reason(error) or error.strerror}"
    return None


def build_fileset(
    name: str, places: Iterable[str], tree: str, metadata: Mapping[str, object]
) -> Fileset:
    """Return a fileset of one dataset.

    Parameters
    ----------
    name
        Name of the dataset.
    places
        Files, folders and patterns, see :func:`find_files`.
    tree
        Path of the tree in the files.
    metadata
        Values of :class:`~bphcoffea.datasets.Metadata`, and further ones.

    Raises
    ------
    FilesetError
        If files are missing or found twice, or the metadata are wrong.
    """
    paths: list[str] = []
    faults: list[str] = []
    for place in places:
        try:
            paths += find_files(place)
        except FilesetError as error:
            faults.append(str(error))
    FilesetError.raise_for(faults)
    repeated = sorted(path for path, times in Counter(paths).items() if times > 1)
    FilesetError.raise_for(f"{path}: found twice" for path in repeated)
    try:
        return Fileset.model_validate(
            {name: {"files": dict.fromkeys(paths, tree), "metadata": dict(metadata)}}
        )
    except ValidationError as error:
        raise FilesetError("\n".join(dataset_faults(error))) from None


def add_to_fileset(path: Path, build: Callable[[], Fileset], name: str) -> Path:
    """Add a dataset to the JSON file of a fileset, or write a new file.

    Parameters
    ----------
    path
        The file.
    build
        Function that makes the fileset of the one dataset; called only if the file can take it.
    name
        Name of the dataset.

    Raises
    ------
    FilesetError
        If the file exists and is not a fileset, has a dataset of that name, or cannot be written.

    Notes
    -----
    Several processes may add to one file: each waits while another one writes.
    """
    _content(path, name)  # before files are looked for, which may take long
    added = build().as_json()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock_of(path.parent, path.name), f"{path} is written", wait=True):
            return write_fileset(path, {**_content(path, name), **added})
    except OSError as error:
        raise FilesetError(f"{path}: cannot write the fileset ({error.strerror})") from None


def _content(path: Path, name: str) -> Mapping[str, object]:
    """Return the content of a fileset to which a dataset is added; empty if there is no file."""
    if not path.exists():
        return {}
    if name in load_fileset(path).names:
        raise FilesetError(
            f"{path}: already has a dataset '{name}'; choose another name or another file"
        )
    content: Mapping[str, object] = read_json(path)
    return content
