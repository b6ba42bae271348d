"""Reading the ad-hoc JSON in which the collaboration keeps its lists of ntuples.

That of Ds → φπ and τ → 3μ:
``{"2017B": {"type": "data", "rootpath": "…", "files": "a.root b.root",
"treename": "Tree3Mu/ntuple", "era": "2017B", "lumi": 4.8}}``

That of the search for the heavy neutral lepton:
``{"DsToNMu_NToMuPi_mN1p5_ctau100p0mm": {"dataset_category": "signal", "cross_section": null,
"filter_efficiency": 0.03, "processed_events": 100000, "das_string": "/…/USER",
"file_name_list": ["/…/a.root"]}}``
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bphcoffea.datasets.fileset import Dataset, Fileset, faults_of, read_json
from bphcoffea.errors import InputError

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


@dataclass(frozen=True)
class _Format:
    """What a kind of JSON calls the parts of a dataset.

    Attributes
    ----------
    kind, files
        The keys of what the dataset is, and of its files.
    kinds
        What it can be.
    tree
        The tree's path, where ``treename`` does not tell another.
    metadata
        Keys that are read, and what they are called in a fileset.
    """

    kind: str
    files: str
    kinds: tuple[str, ...]
    tree: str
    metadata: Mapping[str, str]

    def has_era(self, entry: Mapping[str, Any]) -> bool:
        return any(entry.get(key) for key, known in self.metadata.items() if known == "era")


_TREE3MU = _Format("type", "files", (*_KINDS, "mc"), "Tree3Mu/ntuple", _METADATA)
_HNL = _Format("dataset_category", "file_name_list", _KINDS, "wztree", _METADATA | {"year": "era"})

#: How the names of signal samples tell what was generated, with p for the point; and the unit.
_IN_NAMES = {
    "mass": (re.compile(r"(?<![A-Za-z0-9])mN(\d+(?:[p.]\d+)?)(?:GeV)?(?![A-Za-z0-9])"), "GeV"),
    "ctau": (re.compile(r"(?<![A-Za-z0-9])ctau(\d+(?:[p.]\d+)?)mm(?![A-Za-z0-9])"), "mm"),
}
_NAME_OF_SIGNAL = "DsToNMu_NToMuPi_mN1p5_ctau100p0mm"
#: Numbers that data don't have.
_OF_SIMULATION = ("cross_section", "filter_efficiency")
_NUMBERS = (*_OF_SIMULATION, "processed_events", "luminosity", "mass", "ctau")


def import_fileset(path: str | Path, prefix: str | None = None, era: str | None = None) -> Fileset:
    """A fileset from the collaboration's JSON, of which there are two formats.

    Parameters
    ----------
    path
        The JSON. With ``type`` and ``files``, it is that of the Tree3Mu ntuples: of each dataset,
        ``files`` is a list, or names separated by blanks; ``rootpath`` is their folder; ``type``
        is data, signal, background or mc. With ``dataset_category`` and ``file_name_list``, it is
        that of the search for the heavy neutral lepton: the tree is ``wztree``, the process of
        signal is hnl, its ``mass`` (GeV) and ``ctau`` (mm) stand in its name, and what is null is
        not known. Keys that are not known are kept as metadata.
    prefix
        Where the folders are now, such as ``root://host//store/user/me``; it is put before every
        ``rootpath``, or before the path of every file. Without it, a path that is relative is so
        to the JSON's folder.
    era
        Of the datasets that don't tell it themselves, as ``era`` or, in the second format, as
        ``year``.

    Raises
    ------
    InputError
        When the JSON does not look like that, or does not tell an era and none is given; every
        problem in a line of its own.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: expected a JSON object with one entry for each dataset")
    form = _HNL if any(map(_is_hnl, content.values())) else _TREE3MU
    datasets: dict[str, Dataset] = {}
    problems: list[str] = []
    if form is _HNL and not era:
        lacking = [n for n, e in content.items() if isinstance(e, dict) and not form.has_era(e)]
        if lacking:
            told = " ".join(f"{path}: no era is known of {', '.join(lacking)}".split())
            problems.append(f"{told}: give it with --era, such as --era 2018D")
            era = "unknown"  # so that what else is wrong is told, too
    for name, entry in content.items():
        faults, converted = _dataset_of(form, name, entry, prefix, era)
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


def _is_hnl(entry: Any) -> bool:
    """Whether an entry has keys that only the HNL search's JSON has."""
    if not isinstance(entry, dict):
        return False
    others = _TREE3MU.kind in entry or _TREE3MU.files in entry
    return _HNL.files in entry or (_HNL.kind in entry and not others)


def _dataset_of(
    form: _Format, name: str, entry: Any, prefix: str | None, era: str | None
) -> tuple[list[str], dict[str, Any]]:
    """What is wrong with an entry, and the dataset that it becomes."""
    if not isinstance(entry, dict):
        return [f"expected an object with '{form.kind}', '{form.files}' and 'era'"], {}
    if form is not _HNL:
        return _converted(form, entry, prefix, era)
    known = {key: value for key, value in entry.items() if value is not None}
    faults, dataset = _converted(form, known, prefix, era)
    return faults + _complete_hnl(name, dataset["metadata"]), dataset


def _complete_hnl(name: str, metadata: dict[str, Any]) -> list[str]:
    """Add to an HNL dataset's metadata what its kind and name tell; what is wrong with them."""
    if type(metadata.get("era")) is int:  # a year
        metadata["era"] = str(metadata["era"])
    faults = [
        f"{key} is {str(metadata.pop(key)).lower()}, which is no number"
        for key in _NUMBERS
        if isinstance(metadata.get(key), bool)
    ]
    kind = metadata.get("kind")
    if kind == "data":
        # the search's JSON fills in numbers that mean nothing
        for key in _OF_SIMULATION:
            metadata.pop(key, None)
    if kind == "signal":
        metadata.setdefault("process", "hnl")
        for key in _IN_NAMES:
            faults += _read_from_name(name, key, metadata)
    return faults


def _read_from_name(name: str, key: str, metadata: dict[str, Any]) -> list[str]:
    """Add to the metadata what a signal sample's name tells; what is wrong with that."""
    pattern, unit = _IN_NAMES[key]
    told = sorted({float(number.replace("p", ".")) for number in pattern.findall(name)})
    if len(told) > 1:
        return [f"its name tells more than one {key}: {told[0]:g} and {told[1]:g} {unit}"]
    if not told and key not in metadata:
        return [
            f"its name tells no {key}: name signal like {_NAME_OF_SIGNAL}, "
            f"or give it as '{key}', in {unit}"
        ]
    if told and metadata.setdefault(key, told[0]) != told[0]:
        return [f"{key} {metadata[key]!r} contradicts its name, which tells {told[0]:g} {unit}"]
    return []


def _converted(
    form: _Format, entry: Mapping[str, Any], prefix: str | None, era: str | None
) -> tuple[list[str], dict[str, Any]]:
    """What is wrong with an entry, and the dataset that it becomes."""
    if era and not form.has_era(entry):
        entry = {**entry, "era": era}
    faults = [f"lacks '{key}'" for key in (form.kind, form.files) if not entry.get(key)]
    if not form.has_era(entry):
        faults.append("lacks 'era'")
    kind = str(entry.get(form.kind, "")).lower()
    if entry.get(form.kind) and kind not in form.kinds:
        faults.append(f"{form.kind} '{entry[form.kind]}' is none of {', '.join(form.kinds)}")
    folder = entry.get("rootpath") or ""
    if not isinstance(folder, str):
        faults.append(f"rootpath is {folder!r}, which is no path")
        folder = ""
    elif prefix and "://" in folder:
        faults.append(f"rootpath '{folder}' is a URL already, so no prefix can stand before it")
    elif prefix:
        folder = _join(prefix, folder)
    names = entry.get(form.files) or []
    names = names.split() if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        faults.append(f"'{form.files}' is neither a list of names nor names separated by blanks")
        names = []
    paths = Counter(_join(folder, name) for name in names)
    doubled = [path for path, times in paths.items() if times > 1]
    if doubled:
        faults.append(f"'{form.files}' has files twice: {', '.join(doubled)}")
    metadata: dict[str, Any] = {}
    for key, value in entry.items():
        known = str(form.metadata.get(key, key))
        if known in metadata:
            faults.append(f"'{key}' says again what {known} is")
        if key not in (form.kind, form.files, "rootpath", "treename") and (value or known != "era"):
            metadata[known] = value
    told: dict[str, Any] = {"is_mc": kind != "data"}
    if kind in _KINDS:
        told["kind"] = kind
    faults += [
        f"{key} {metadata[key]!r} contradicts {form.kind} '{kind}'"
        for key, value in told.items()
        if metadata.get(key, value) != value
    ]
    metadata |= told
    tree = entry.get("treename", form.tree)
    if not isinstance(tree, str) or not tree:
        faults.append(f"treename is {tree!r}, which is no path of a tree")
        tree = form.tree
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
