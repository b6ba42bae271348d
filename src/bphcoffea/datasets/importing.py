"""Reading the ad-hoc JSON in which the collaboration keeps its lists of ntuples.

``{"2017B": {"type": "data", "rootpath": "…", "files": "a.root b.root",
"treename": "Tree3Mu/ntuple", "era": "2017B", "lumi": 4.8}}``
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bphcoffea.datasets.model import Dataset, Fileset, read_json
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
        ``rootpath``.

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
        try:
            datasets[name] = _dataset(entry, prefix)
        except ValidationError as error:
            problems += [
                f"{path}: dataset '{name}', {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
                for fault in error.errors()
            ]
        except ValueError as error:
            problems.append(f"{path}: dataset '{name}': {error}")
    if problems:
        raise InputError("\n".join(problems))
    return Fileset(datasets)


def _dataset(entry: Any, prefix: str | None) -> Dataset:
    if not isinstance(entry, dict):
        raise ValueError("expected an object with 'type', 'files' and 'era'")
    missing = [key for key in ("type", "files", "era") if not entry.get(key)]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    kind = str(entry["type"]).lower()
    if kind not in (*_KINDS, "mc"):
        raise ValueError(f"type '{entry['type']}' is none of {', '.join(_KINDS)}, mc")
    names = entry["files"].split() if isinstance(entry["files"], str) else entry["files"]
    folder = _folder(str(entry.get("rootpath", "")), prefix)
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ValueError(f"files stand there twice: {', '.join(doubled)}")
    metadata = {_METADATA.get(k, k): v for k, v in entry.items() if k not in _PLACES}
    metadata["is_mc"] = kind != "data"
    if kind in _KINDS:
        metadata["kind"] = kind
    tree = entry.get("treename", _DEFAULT_TREE)
    files = {_join(folder, name): tree for name in names}
    return Dataset.model_validate({"files": files, "metadata": metadata})


def _folder(rootpath: str, prefix: str | None) -> str:
    if not prefix:
        return rootpath
    if "://" in rootpath:
        raise ValueError(
            f"rootpath '{rootpath}' is a URL already, so no prefix can stand before it"
        )
    return _join(prefix, rootpath)


def _join(folder: str, name: str) -> str:
    if "://" in name or not folder:
        return name
    # root://host//path keeps its double slash: only the seam is made single
    return f"{folder.rstrip('/')}/{name.lstrip('/')}" if name not in ("", ".") else folder
