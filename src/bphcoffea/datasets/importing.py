"""Reading the ad-hoc JSON in which the collaboration keeps its lists of ntuples.

``{"2017B": {"type": "data", "rootpath": "…", "files": "a.root b.root",
"treename": "Tree3Mu/ntuple", "era": "2017B", "lumi": 4.8}}``
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bphcoffea.datasets.model import Dataset, Fileset, faults_of, read_json
from bphcoffea.errors import InputError

_DEFAULT_TREE = "Tree3Mu/ntuple"
_KINDS = ("data", "signal", "background")
#: Keys that are read, and what they are called in a fileset's metadata.
_METADATA = {
    "era": "era",
    "lumi": "luminosity",
    "luminosity": "luminosity",
    "xsec": "cross_section",
    "cross_section": "cross_section",
    "filter_efficiency": "filter_efficiency",
    "process": "process",
    "processed_events": "processed_events",
    "label": "label",
}
_PLACES = ("type", "rootpath", "files", "treename")


def import_fileset(path: str | Path, prefix: str | None = None) -> Fileset:
    """A fileset from the collaboration's JSON.

    Parameters
    ----------
    path
        The JSON. Of each dataset, ``files`` is a list, or names separated by blanks; ``rootpath``
        is their folder; ``type`` is data, signal, background or mc. Keys that are not known
        are kept as metadata.
    prefix
        Where the folders are now, such as ``root://host//store/user/me``; it is put before every
        ``rootpath``. Without it, a ``rootpath`` that is relative is so to the JSON's folder.

    Raises
    ------
    InputError
        When the JSON does not look like that; every problem in a line of its own.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: expected a JSON object with one entry for each dataset")
    datasets: dict[str, Dataset] = {}
    problems: list[str] = []
    for name, entry in content.items():
        faults, converted = _converted(entry, prefix)
        try:
            datasets[name] = Dataset.model_validate(converted)
        except ValidationError as error:
            # what the entry lacks, the dataset that it becomes lacks too
            problems += [
                f"{path}: {fault}"
                for fault in faults_of(error, name)
                if not (faults and fault.endswith(("is missing", "is empty")))
            ]
        problems += [" ".join(f"{path}: dataset '{name}': {fault}".split()) for fault in faults]
    if problems:
        raise InputError("\n".join(problems))
    try:
        return Fileset.model_validate(datasets).resolved(Path(path).absolute().parent)
    except ValidationError as error:
        faults = faults_of(error)
    except InputError as error:
        faults = str(error).splitlines()
    raise InputError("\n".join(f"{path}: {fault}" for fault in faults))


def _converted(entry: Any, prefix: str | None) -> tuple[list[str], dict[str, Any]]:
    """What is wrong with an entry, and the dataset that it becomes."""
    if not isinstance(entry, dict):
        return ["expected an object with 'type', 'files' and 'era'"], {}
    faults = [f"lacks '{key}'" for key in ("type", "files", "era") if not entry.get(key)]
    kind = str(entry.get("type", "")).lower()
    if entry.get("type") and kind not in (*_KINDS, "mc"):
        faults.append(f"type '{entry['type']}' is none of {', '.join(_KINDS)}, mc")
    folder = entry.get("rootpath") or ""
    if not isinstance(folder, str):
        faults.append(f"rootpath is {folder!r}, which is no path")
        folder = ""
    elif prefix and "://" in folder:
        faults.append(f"rootpath '{folder}' is a URL already, so no prefix can stand before it")
    elif prefix:
        folder = _join(prefix, folder)
    names = entry.get("files") or []
    names = names.split() if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        faults.append("files are neither a list of names nor names separated by blanks")
        names = []
    paths = Counter(_join(folder, name) for name in names)
    doubled = [path for path, times in paths.items() if times > 1]
    if doubled:
        faults.append(f"files stand there twice: {', '.join(doubled)}")
    metadata: dict[str, Any] = {}
    for key, value in entry.items():
        known = str(_METADATA.get(key, key))
        if known in metadata:
            faults.append(f"'{key}' says again what {known} is")
        if key not in _PLACES and (value or key != "era"):
            metadata[known] = value
    told: dict[str, Any] = {"is_mc": kind != "data"}
    if kind in _KINDS:
        told["kind"] = kind
    faults += [
        f"{key} {metadata[key]!r} contradicts type '{kind}'"
        for key, value in told.items()
        if metadata.get(key, value) != value
    ]
    metadata |= told
    tree = entry.get("treename", _DEFAULT_TREE)
    if not isinstance(tree, str) or not tree:
        faults.append(f"treename is {tree!r}, which is no path of a tree")
        tree = _DEFAULT_TREE
    return faults, {"files": dict.fromkeys(paths, tree), "metadata": metadata}


def _join(folder: str, name: str) -> str:
    """A name in a folder, with one slash between them, but two after the host of root://host."""
    if "://" in name or not folder:
        return name
    name = name.lstrip("/")
    if not name:
        return folder
    protocol, _, host = folder.partition("://")
    if protocol == "root" and "/" not in host.rstrip("/"):
        # the second slash begins the path on the server
        return f"root://{host.rstrip('/')}//{name}"
    return f"{folder.rstrip('/')}/{name}"
