"""Building a fileset from the files that a folder or a pattern holds, here or on a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import fsspec
from pydantic import ValidationError

from bphcoffea.datasets.model import Dataset, Fileset
from bphcoffea.errors import InputError

_SUFFIX = ".root"


def find_files(place: str) -> list[str]:
    """The ROOT files of a folder, or those that a pattern such as ``data/2017*/*.root`` matches.

    Parameters
    ----------
    place
        A file, folder or pattern: local, or a URL such as ``root://host//store/user/me/*.root``.

    Returns
    -------
    Their paths (absolute) or URLs, sorted.

    Raises
    ------
    InputError
        When there is none, or the server does not answer.
    """
    remote = "://" in place
    try:
        system, path = fsspec.core.url_to_fs(place)
        if any(character in path for character in "*?["):
            found = system.glob(path)
        elif system.isdir(path):
            found = [name for name in system.find(path) if name.endswith(_SUFFIX)]
        else:
            found = [path] if system.exists(path) else []
    except (OSError, ValueError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{place}: cannot be listed ({text})") from None
    if not found:
        raise InputError(f"{place}: no {_SUFFIX} files there")
    if remote:
        return sorted(system.unstrip_protocol(name) for name in found)
    return sorted(str(Path(name).absolute()) for name in found)


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
        As in :class:`~bphcoffea.datasets.model.Metadata`.

    Raises
    ------
    InputError
        When files are missing or found twice, or the metadata are wrong.
    """
    paths = [path for place in places for path in find_files(place)]
    doubled = sorted({path for path in paths if paths.count(path) > 1})
    if doubled:
        raise InputError("\n".join(f"{path}: found twice" for path in doubled))
    try:
        dataset = Dataset.model_validate(
            {"files": dict.fromkeys(paths, tree), "metadata": dict(metadata)}
        )
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors()]
        raise InputError("\n".join(f"dataset '{name}', {fault}" for fault in faults)) from None
    return Fileset({name: dataset})
