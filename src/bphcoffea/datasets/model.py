"""The fileset: coffea's JSON format, with metadata that is checked.

``{dataset: {"files": {path: tree}, "metadata": {...}}}``. Instead of the tree's name a file may
have ``{"object_path": tree, "num_entries": …, "uuid": …, "replicas": [path, …]}``; coffea's older
``{"treename": tree, "files": [path, …]}`` is read too.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    ValidationError,
    model_validator,
)

from bphcoffea.errors import InputError

#: Names that coffea gives to the place of a chunk, among the metadata that a processor sees.
_RESERVED = {
    *("dataset", "filename", "treename", "metadata", "entrystart", "entrystop", "fileuuid"),
    *("numentries", "uuid", "clusters", "preload"),
}

Positive = Annotated[float, Field(gt=0)]


class Metadata(BaseModel):
    """What is known of a dataset. Only ``is_mc`` and ``era`` are always needed.

    Attributes
    ----------
    is_mc
        Whether it is simulation.
    era
        Data-taking era that it belongs to or simulates, such as 2017B, 2018D, 2022.
    kind
        What the analysis takes it for.
    process
        The simulated process, by a name of the analysis.
    luminosity
        Integrated luminosity, fb⁻¹.
    cross_section
        pb.
    filter_efficiency
        Of the generator's filter.
    processed_events
        Events generated, for the normalisation.
    mass
        Of the signal particle, GeV.
    ctau
        Proper decay length of the signal particle, mm.
    label
        What figures call it.
    hlt
        Trigger paths of a NanoAOD dataset, one of which must have fired.

    Further keys are kept as they are.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    is_mc: bool
    era: Annotated[str, Field(min_length=1)]
    kind: Literal["data", "signal", "background"] | None = None
    process: str | None = None
    luminosity: Positive | None = None
    cross_section: Positive | None = None
    filter_efficiency: Annotated[float, Field(gt=0, le=1)] | None = None
    processed_events: Annotated[int, Field(gt=0)] | None = None
    mass: Positive | None = None
    ctau: Positive | None = None
    label: str | None = None
    hlt: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Metadata:
        reserved = sorted(_RESERVED & set(self.model_extra or {}))
        if reserved:
            raise ValueError(f"coffea reserves the names {', '.join(reserved)}: choose others")
        if self.kind is not None and (self.kind == "data") == self.is_mc:
            raise ValueError(f"kind '{self.kind}' contradicts is_mc {self.is_mc}".lower())
        return self


class FileEntry(BaseModel):
    """A file of a dataset.

    Attributes
    ----------
    object_path
        Path of the tree in the file.
    num_entries, uuid
        Entries of the tree and identity of the file, where they are known.
    replicas
        Other places of the same file.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    object_path: Annotated[str, Field(min_length=1)]
    num_entries: Annotated[int, Field(ge=0)] | None = None
    uuid: str | None = None
    replicas: tuple[str, ...] = ()


def _file_entry(value: Any) -> Any:
    return {"object_path": value} if isinstance(value, str) else value


class Dataset(BaseModel):
    """Files and metadata of a dataset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: Annotated[
        dict[str, Annotated[FileEntry, BeforeValidator(_file_entry)]], Field(min_length=1)
    ]
    metadata: Metadata

    @model_validator(mode="before")
    @classmethod
    def _tree_for_all_files(cls, content: Any) -> Any:
        if isinstance(content, Mapping) and isinstance(content.get("files"), list):
            content = dict(content)
            tree = content.pop("treename", None)
            if tree is None:
                raise ValueError("files are a list, so 'treename' must name their tree")
            content["files"] = _no_doubles((path, tree) for path in content["files"])
        return content


class Fileset(RootModel[dict[str, Dataset]]):
    """Datasets by name."""

    model_config = ConfigDict(frozen=True)

    def __getitem__(self, name: str) -> Dataset:
        return self.root[name]

    def __len__(self) -> int:
        return len(self.root)

    @property
    def names(self) -> list[str]:
        """Names of the datasets, in order."""
        return list(self.root)

    def select(self, patterns: Iterable[str]) -> Fileset:
        """The datasets whose name matches some glob pattern; all when there is no pattern.

        Raises
        ------
        InputError
            When a pattern matches nothing.
        """
        patterns = list(patterns)
        for pattern in patterns:
            if not fnmatch.filter(self.names, pattern):
                raise InputError(
                    f"no dataset matches '{pattern}'; the fileset has: {', '.join(self.names)}"
                )
        return Fileset(
            {
                name: dataset
                for name, dataset in self.root.items()
                if not patterns or any(fnmatch.fnmatchcase(name, p) for p in patterns)
            }
        )

    def resolved(self, folder: Path) -> Fileset:
        """The same with relative paths of files taken from a folder."""
        return Fileset(
            {
                name: dataset.model_copy(
                    update={
                        "files": _no_doubles(
                            (
                                _resolve(path, folder),
                                entry.model_copy(
                                    update={
                                        "replicas": tuple(
                                            _resolve(r, folder) for r in entry.replicas
                                        )
                                    }
                                ),
                            )
                            for path, entry in dataset.files.items()
                        )
                    }
                )
                for name, dataset in self.root.items()
            }
        )

    def sha256(self) -> str:
        """Hash of its content, the same in every interpreter."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def save(self, path: str | Path) -> Path:
        """Write it as JSON, leaving out what is not known."""
        content = self.model_dump(mode="json", exclude_defaults=True)
        for dataset in content.values():
            dataset["files"] = {
                name: entry["object_path"] if set(entry) == {"object_path"} else entry
                for name, entry in dataset["files"].items()
            }
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.part")
            temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
            return temporary.replace(target)
        except OSError as error:
            raise InputError(f"{target}: cannot write the fileset ({error.strerror})") from None


def load(path: str | Path) -> Fileset:
    """Read a fileset; paths of files that are relative are relative to its folder.

    Raises
    ------
    InputError
        When it can't be read, is no JSON, or is no fileset: every fault in a line of its own.
    """
    content = read_json(path)
    try:
        fileset = Fileset.model_validate(content)
    except ValidationError as error:
        raise InputError("\n".join(f"{path}: {fault}" for fault in _faults(error))) from None
    if not fileset.names:
        raise InputError(f"{path}: the fileset is empty; it needs at least one dataset")
    return fileset.resolved(Path(path).absolute().parent)


def read_json(path: str | Path) -> Any:
    """Read a JSON file in which no key stands twice.

    Raises
    ------
    InputError
        When it can't be read, is no JSON, or repeats a key, of which Python would drop one.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=_no_doubles)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # JSON and UTF-8 faults among them
        raise InputError(f"{path}: not a JSON file ({error})") from None


def _no_doubles(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"'{key}' stands there twice")
        content[key] = value
    return content


def _resolve(path: str, folder: Path) -> str:
    return path if "://" in path else os.path.normpath(folder / path)


def _faults(error: ValidationError) -> list[str]:
    faults = []
    for fault in error.errors():
        dataset, *place = [str(part) for part in fault["loc"]] or [""]
        where = f"dataset '{dataset}'" if dataset else "the fileset"
        if place:
            where += f", {'.'.join(place)}"
        faults.append(f"{where}: {fault['msg'].removeprefix('Value error, ')}")
    return faults
