"""Importing the ad-hoc JSON in which the collaboration keeps its lists of ntuples.

The JSON of Tree3Mu ntuples:
``{"2017B": {"type": "data", "rootpath": "…", "files": "a.root b.root",
"treename": "Tree3Mu/ntuple", "era": "2017B", "lumi": 4.8}}``

The JSON of wztree ntuples:
``{"signal_mN1p5_ctau100p0mm": {"dataset_category": "signal", "cross_section": null,
"filter_efficiency": 0.03, "processed_events": 100000, "das_string": "/…/USER",
"file_name_list": ["/…/a.root"]}}``
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from bphcoffea.datasets.dataset import Dataset
from bphcoffea.datasets.fileset import Fileset
from bphcoffea.datasets.loading import dataset_faults, fileset_of
from bphcoffea.documents import read_json
from bphcoffea.errors import FilesetError
from bphcoffea.inputs import SIGNAL_PARAMETERS, SIGNAL_PROCESS, SIGNAL_SAMPLE, WZTreeSchema

_KINDS: Final = ("data", "signal", "background")
#: Keys of the JSON that are renamed in the metadata of a fileset.
_RENAMED: Final = {"lumi": "luminosity", "xsec": "cross_section"}


@dataclass(frozen=True)
class _Format:
    """Keys and defaults of one kind of JSON.

    Attributes
    ----------
    kind, files
        Keys of the role of a dataset and of its list of files.
    kinds
        Possible roles.
    tree
        Path of the tree if ``treename`` is missing.
    renamed
        Names in the metadata of a fileset, for keys that have another one there.
    """

    kind: str
    files: str
    kinds: tuple[str, ...]
    tree: str
    renamed: Mapping[str, str]

    def has_era(self, entry: Mapping[str, object]) -> bool:
        return any(entry.get(key) for key in ("era", *self.renamed) if self.name(key) == "era")

    def name(self, key: str) -> str:
        return self.renamed.get(key, key)


_TREE3MU = _Format("type", "files", (*_KINDS, "mc"), "Tree3Mu/ntuple", _RENAMED)
_WZTREE = _Format(
    "dataset_category", "file_name_list", _KINDS, WZTreeSchema.tree, _RENAMED | {"year": "era"}
)
#: Numbers that only simulation has.
_OF_SIMULATION = ("cross_section", "filter_efficiency")
_NUMBERS = (*_OF_SIMULATION, "processed_events", "luminosity", "mass", "ctau")


@dataclass
class _Imported:
    """One dataset of the JSON, converted, and the faults that were found."""

    files: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, object] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def import_fileset(path: str | Path, prefix: str | None = None, era: str | None = None) -> Fileset:
    """Return the fileset of one of the two JSON formats of the collaboration.

    Parameters
    ----------
    path
        The JSON file. With ``type`` and ``files`` it describes Tree3Mu ntuples: ``files`` is a list
        or a text of names separated by blanks, ``rootpath`` their folder, ``type`` one of data,
        signal, background, mc. With ``dataset_category`` and ``file_name_list`` it describes wztree
        ntuples: the names of signal samples state ``mass`` (GeV) and ``ctau`` (mm), and null means
        unknown. Unknown keys become metadata.
    prefix
        Present place of the folders, such as ``root://host//store/user/me``; it precedes every
        ``rootpath``, or the path of every file. Without it, relative paths are relative to the
        folder of the JSON.
    era
        Era of the datasets without ``era`` (or ``year``, in the JSON of wztree ntuples).

    Raises
    ------
    FilesetError
        If the JSON has another structure, or an era is neither stated nor given: one line per
        fault.
    """
    content = read_json(path, error=FilesetError)
    if not isinstance(content, dict) or not content:
        raise FilesetError(f"{path}: expected a JSON object with one entry for each dataset")
    form = _WZTREE if any(map(_is_wztree, content.values())) else _TREE3MU
    datasets: dict[str, Dataset] = {}
    problems: list[str] = []
    if form is _WZTREE and not era:
        lacking = [n for n, e in content.items() if isinstance(e, dict) and not form.has_era(e)]
        if lacking:
            missing = " ".join(f"{path}: no era is known of {', '.join(lacking)}".split())
            problems.append(f"{missing}: give 'era', such as 2018D")
            era = "unknown"  # so that other faults are reported as well
    for name, entry in content.items():
        imported = _imported(form, name, entry, prefix, era)
        try:
            datasets[name] = Dataset.model_validate(
                {"files": imported.files, "metadata": imported.metadata}
            )
        except ValidationError as error:
            # missing keys of the entry are reported under the name that they have there
            problems += [
                f"{path}: {fault}"
                for fault in dataset_faults(error, name)
                if not (imported.faults and fault.endswith(("is missing", "is empty")))
            ]
        problems += [
            " ".join(f"{path}: dataset '{name}': {fault}".split()) for fault in imported.faults
        ]
    FilesetError.raise_for(problems)
    return fileset_of(datasets, path)


def _is_wztree(entry: object) -> bool:
    """Return whether an entry has keys that only the JSON of wztree ntuples has."""
    if not isinstance(entry, dict):
        return False
    is_tree3mu = _TREE3MU.kind in entry or _TREE3MU.files in entry
    return _WZTREE.files in entry or (_WZTREE.kind in entry and not is_tree3mu)


def _imported(
    form: _Format, name: str, entry: object, prefix: str | None, era: str | None
) -> _Imported:
    """Convert one entry of the JSON."""
    if not isinstance(entry, dict):
        return _Imported(
            faults=[f"expected an object with '{form.kind}', '{form.files}' and 'era'"]
        )
    if form is not _WZTREE:
        return _converted(form, entry, prefix, era)
    stated = {key: value for key, value in entry.items() if value is not None}
    imported = _converted(form, stated, prefix, era)
    imported.faults += _complete_wztree(name, imported.metadata)
    return imported


def _complete_wztree(name: str, metadata: dict[str, object]) -> list[str]:
    """Complete the metadata of a wztree dataset from its kind and name; return the faults."""
    if type(metadata.get("era")) is int:  # a year
        metadata["era"] = str(metadata["era"])
    faults = [
        f"{key} is {str(metadata.pop(key)).lower()}, which is not a number"
        for key in _NUMBERS
        if isinstance(metadata.get(key), bool)
    ]
    kind = metadata.get("kind")
    if kind == "data":
        # the JSON has placeholders there
        for key in _OF_SIMULATION:
            metadata.pop(key, None)
    if kind == "signal":
        metadata.setdefault("process", SIGNAL_PROCESS)
        for key in SIGNAL_PARAMETERS:
            faults += _read_from_name(name, key, metadata)
    return faults


def _read_from_name(name: str, key: str, metadata: dict[str, object]) -> list[str]:
    """Add a parameter that the name of a signal sample states to the metadata; return faults."""
    pattern, unit = SIGNAL_PARAMETERS[key]
    stated = sorted({float(number.replace("p", ".")) for number in pattern.findall(name)})
    if len(stated) > 1:
        return [f"its name states more than one {key}: {stated[0]:g} and {stated[1]:g} {unit}"]
    if not stated and key not in metadata:
        return [
            f"its name does not state the {key}: name signal like {SIGNAL_SAMPLE}, "
            f"or give it as '{key}', in {unit}"
        ]
    if stated and metadata.setdefault(key, stated[0]) != stated[0]:
        return [f"{key} {metadata[key]!r} contradicts its name, which states {stated[0]:g} {unit}"]
    return []


def _converted(
    form: _Format, entry: Mapping[str, object], prefix: str | None, era: str | None
) -> _Imported:
    """Convert an entry by the keys of its format."""
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
        faults.append(f"rootpath is {folder!r}, which is not a path")
        folder = ""
    elif prefix and "://" in folder:
        faults.append(f"rootpath '{folder}' is already a URL; a prefix cannot precede it")
    elif prefix:
        folder = _join(prefix, folder)
    names = entry.get(form.files) or []
    names = names.split() if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        faults.append(f"'{form.files}' is neither a list of names nor names separated by blanks")
        names = []
    paths = Counter(_join(folder, name) for name in names)
    repeated = [path for path, times in paths.items() if times > 1]
    if repeated:
        faults.append(f"'{form.files}' lists files twice: {', '.join(repeated)}")
    metadata: dict[str, object] = {}
    for key, value in entry.items():
        name = form.name(key)
        if name in metadata:
            faults.append(f"'{key}' states {name} again")
        if key not in (form.kind, form.files, "rootpath", "treename") and (value or name != "era"):
            metadata[name] = value
    implied: dict[str, object] = {"is_mc": kind != "data"}
    if kind in _KINDS:
        implied["kind"] = kind
    faults += [
        f"{key} {metadata[key]!r} contradicts {form.kind} '{kind}'"
        for key, value in implied.items()
        if metadata.get(key, value) != value
    ]
    tree = entry.get("treename", form.tree)
    if not isinstance(tree, str) or not tree:
        faults.append(f"treename is {tree!r}, which is not the path of a tree")
        tree = form.tree
    return _Imported(dict.fromkeys(paths, tree), metadata | implied, faults)


def _join(folder: str, name: str) -> str:
    """Join a folder and a name by one slash, but by two after the host of root://host."""
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
