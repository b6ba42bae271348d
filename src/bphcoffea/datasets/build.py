"""Building a fileset from the files that a folder or a pattern holds, here or on a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bphcoffea.datasets.fileset import (
    Dataset,
    Fileset,
    fault_of_path,
    faults_of,
    load_fileset,
    read_json,
    write_json,
)
from bphcoffea.errors import InputError
from bphcoffea.storage.servers import Storage, reason, shortened

_SUFFIX = ".root"


def find_files(place: str) -> list[str]:
    """The ROOT files of a folder, or those that a pattern such as ``data/2017*/*.root`` matches.

    Parameters
    ----------
    place
        A file, folder or pattern: local, or a URL such as ``root://host//store/user/me/*.root``.
        ``**`` in a pattern stands for any number of folders. Of a folder, also of one that a
        pattern matches, all ROOT files below it are taken.

    Returns
    -------
    Their paths (absolute) or URLs, sorted.

    Raises
    ------
    InputError
        When there is none, or a folder may not be read, or the server does not answer, or a path
        can't be opened by its name.
    """
    fault = fault_of_path(place)
    if fault:
        raise InputError(fault)
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
        raise InputError(f"{place}: cannot be listed: {why}") from None
    if not found:
        raise InputError(f"{place}: no {_SUFFIX} files there")
    faults = [fault for path in sorted(found) if (fault := fault_of_path(path))]
    if faults:
        raise InputError("\n".join(faults))
    return sorted(found)


def build_fileset(
    name: str, places: Iterable[str], tree: str, metadata: Mapping[str, Any]
) -> Fileset:
    """A fileset of one dataset.

    Parameters
    ----------
    name
        The dataset's name.
    places
        Folders, patterns or files, as in :func:`find_files`.
    tree
        Path of the tree in the files.
    metadata
        As in :class:`~bphcoffea.datasets.fileset.Metadata`.

    Raises
    ------
    InputError
        When files are missing or found twice, or the metadata are wrong.
    """
    paths: list[str] = []
    faults: list[str] = []
    for place in places:
        try:
            paths += find_files(place)
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("\n".join(faults))
    doubled = sorted(path for path, times in Counter(paths).items() if times > 1)
    if doubled:
        raise InputError("\n".join(f"{path}: found twice" for path in doubled))
    try:
        dataset = Dataset.model_validate(
            {"files": dict.fromkeys(paths, tree), "metadata": dict(metadata)}
        )
    except ValidationError as error:
        raise InputError("\n".join(faults_of(error, name))) from None
    return Fileset({name: dataset})


def add_to_fileset(path: Path, build: Callable[[], Fileset], name: str) -> Path:
    """Add a dataset to a fileset's file, which is made if there is none.

    Parameters
    ----------
    path
        The file.
    build
        Makes the fileset with the dataset; not called if the file can't take it.
    name
        The dataset's name.

    Raises
    ------
    InputError
        When there is a file that is no fileset, or has a dataset of that name.
    """
    if not path.exists():
        return build().save(path)
    if name in load_fileset(path).names:
        raise InputError(
            f"{path}: has a dataset '{name}' already; choose another name or another file"
        )
    return write_json(path, {**read_json(path), **build().as_json()})
