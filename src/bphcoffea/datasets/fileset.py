"""The fileset: coffea's JSON format, with metadata that is checked.

``{dataset: {"files": {path: tree}, "metadata": {...}}}``. Instead of the tree's name a file may
have ``{"object_path": tree, "num_entries": …, "uuid": …, "replicas": [path, …]}``; coffea's older
``{"treename": tree, "files": [path, …]}`` is read too, and so is JSON compressed with gzip.
"""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
from bphcoffea.redaction import has_secrets, redacted, redacted_data
from bphcoffea.size_limits import decompressed, read_json_bytes
from bphcoffea.storage.disks import write_whole

#: Names that coffea gives to the place of a chunk, among the metadata that a processor sees.
_RESERVED = {
    *("dataset", "filename", "treename", "metadata", "entrystart", "entrystop", "fileuuid"),
    *("numentries", "uuid", "clusters", "preload", "file", "replicas", "held", "file_identity"),
}


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Efficiency = Annotated[float, Field(gt=0, le=1)]
Prescale = Annotated[float, Field(ge=1, allow_inf_nan=False)]
NonNegative = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]


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
        Integrated luminosity, fb⁻¹, before the prescale.
    prescale
        Prescale of the trigger of the data, 1 if not given: the luminosity, of the fileset or of a
        table, is divided by it. Leave it out if the table was made with ``brilcalc --hltpath``,
        whose luminosity is that of the trigger already.
    cross_section, cross_section_uncertainty
        pb, and relative.
    filter_efficiency
        Of the generator's filter.
    skim_efficiency
        Part of the generated events (of their weights) that the files hold, where they were
        skimmed; simulation is normalised to the sum of weights of what was read, over this.
    processed_events
        Events generated; compared with what the files hold.
    mass
        Of the signal particle, GeV.
    ctau
        Proper decay length of the signal particle, mm.
    neutrino
        Nature of a simulated heavy neutral lepton; a Majorana particle if not given.
    label
        What figures call it.
    energy
        Collision energy, TeV; that of the era's year if not given.
    hlt
        Trigger paths of a NanoAOD dataset, one of which must have fired.

    Further keys are kept as they are.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    is_mc: bool
    era: Name
    kind: Literal["data", "signal", "background"] | None = None
    process: str | None = None
    luminosity: Positive | None = None
    prescale: Prescale | None = None
    cross_section: Positive | None = None
    cross_section_uncertainty: Annotated[float, Field(ge=0, lt=1)] | None = None
    filter_efficiency: Efficiency | None = None
    skim_efficiency: Efficiency | None = None
    processed_events: Annotated[int, Field(gt=0)] | None = None
    mass: Positive | None = None
    ctau: Positive | None = None
    neutrino: Literal["majorana", "dirac"] | None = None
    label: str | None = None
    energy: Positive | None = None
    hlt: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Metadata:
        for key, value in (self.model_extra or {}).items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                raise ValueError(f"'{key}' is {value!r}, which JSON cannot hold") from None
        reserved = sorted(_RESERVED & set(self.model_extra or {}))
        if reserved:
            raise ValueError(f"coffea reserves the names {', '.join(reserved)}: choose others")
        if self.kind is not None and (self.kind == "data") == self.is_mc:
            raise ValueError(f"kind '{self.kind}' contradicts is_mc {self.is_mc}".lower())
        if self.is_mc and self.prescale is not None:
            raise ValueError("a prescale belongs to data, whose luminosity it divides")
        return self


class FileEntry(BaseModel):
    """A file of a dataset.

    Attributes
    ----------
    object_path
        Path of the tree in the file.
    num_entries, uuid
        Entries of the tree and identity of the file, where they are known.
    checksum
        Of its content, such as ``adler32:0123abcd``, where it is known.
    replicas
        Other places of the same file.
    steps
        The ranges of entries, [start, stop), to which the dataset is limited; None for all.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    object_path: Name
    num_entries: NonNegative | None = None
    uuid: str | None = None
    checksum: Annotated[str, Field(pattern="^adler32:[0-9a-f]{8}$")] | None = None
    replicas: tuple[str, ...] = ()
    steps: tuple[tuple[NonNegative, NonNegative], ...] | None = None

    @model_validator(mode="after")
    def _steps_ascend(self) -> FileEntry:
        edges = [edge for step in self.steps or () for edge in step]
        if edges != sorted(edges):
            raise ValueError("steps must ascend and not overlap")
        return self


#: What coffea's preprocessing says of a dataset beside files and metadata; not needed here.
_COFFEAS = {"format", "form", "compressed_form", "did"}


def _file_entry(value: Any) -> Any:
    return {"object_path": value} if isinstance(value, str) else value


class Dataset(BaseModel):
    """Files and metadata of a dataset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: Annotated[
        dict[Name, Annotated[FileEntry, BeforeValidator(_file_entry)]], Field(min_length=1)
    ]
    metadata: Metadata

    @model_validator(mode="before")
    @classmethod
    def _tree_for_all_files(cls, content: Any) -> Any:
        if not isinstance(content, Mapping):
            return content
        content = {key: value for key, value in content.items() if key not in _COFFEAS}
        if isinstance(content.get("files"), list):
            tree = content.pop("treename", None)
            if tree is None:
                raise ValueError("files are a list, so 'treename' must name their tree")
            odd = [path for path in content["files"] if not isinstance(path, str)]
            if odd:
                raise ValueError(f"files hold {odd[0]!r}, which is no path")
            content["files"] = no_doubles((path, tree) for path in content["files"])
        return content


class Fileset(RootModel[dict[Name, Dataset]]):
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
        """The datasets of that name, or whose name matches some glob pattern; all without one.

        Raises
        ------
        InputError
            When a pattern matches nothing.
        """
        patterns = list(patterns)
        for pattern in patterns:
            if not any(_matches(name, pattern) for name in self.names):
                raise InputError(
                    f"no dataset matches '{pattern}'; the fileset has: {', '.join(self.names)}"
                )
        return Fileset(
            {
                name: dataset
                for name, dataset in self.root.items()
                if not patterns or any(_matches(name, p) for p in patterns)
            }
        )

    def resolved(self, folder: Path) -> Fileset:
        """The same with relative paths of files taken from a folder.

        Raises
        ------
        InputError
            When two paths of a dataset lead to one file, or a path can't be opened by its name.
        """
        faults = [
            f"dataset '{name}': {fault}"
            for name, dataset in self.root.items()
            for path, entry in dataset.files.items()
            for place in (path, *entry.replicas)
            if (fault := fault_of_path(_resolve(place, folder)))
        ]
        faults += [
            f"dataset '{name}': '{path}' stands there twice"
            for name, dataset in self.root.items()
            # one file with two tokens is one file
            for path, times in Counter(redacted(_resolve(p, folder)) for p in dataset.files).items()
            if times > 1
        ]
        if faults:
            raise InputError("\n".join(faults))
        return Fileset(
            {
                name: dataset.model_copy(
                    update={
                        "files": {
                            _resolve(path, folder): entry.model_copy(
                                update={
                                    "replicas": tuple(_resolve(r, folder) for r in entry.replicas)
                                }
                            )
                            for path, entry in dataset.files.items()
                        }
                    }
                )
                for name, dataset in self.root.items()
            }
        )

    def served_by(self, redirectors: Sequence[str]) -> Fileset:
        """The same with the redirectors as further places of what lies below ``/store``.

        Parameters
        ----------
        redirectors
            Such as ``root://xrootd-cms.infn.it//``, in the order in which they are tried. A file
            that has a place already is tried there first; one that is only a logical name,
            ``/store/…``, is at the first of them.
        """

        def placed(path: str, entry: FileEntry) -> tuple[str, FileEntry]:
            logical = path.find("/store/")
            if not redirectors or logical < 0 or (logical > 0 and "://" not in path):
                return path, entry
            # a token is meant for the server that it was given for
            name = path[logical + 1 :].partition("?")[0] if logical else path[1:]
            there = [f"{redirector}{name}" for redirector in redirectors]
            places = list(dict.fromkeys([path] * (logical > 0) + [*entry.replicas, *there]))
            return places[0], entry.model_copy(update={"replicas": tuple(places[1:])})

        return Fileset(
            {
                name: dataset.model_copy(
                    update={"files": dict(placed(p, e) for p, e in dataset.files.items())}
                )
                for name, dataset in self.root.items()
            }
        )

    def updated(self, key: str, values: Mapping[tuple[str, str], Any]) -> Fileset:
        """Return the fileset with other values of one field of its files.

        Parameters
        ----------
        key
            Name of the field of :class:`FileEntry`.
        values
            New values by dataset and path; other files stay as they are.
        """

        def entry_of(name: str, path: str, entry: FileEntry) -> FileEntry:
            value = values.get((name, path), getattr(entry, key))
            return entry.model_copy(update={key: value})

        return Fileset(
            {
                name: dataset.model_copy(
                    update={
                        "files": {
                            path: entry_of(name, path, entry)
                            for path, entry in dataset.files.items()
                        }
                    }
                )
                for name, dataset in self.root.items()
            }
        )

    def sha256(self) -> str:
        """Hash of its content but passwords and tokens, the same in every interpreter."""
        content = json.dumps(redacted_data(self.model_dump(mode="json")), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def save(self, path: str | Path) -> Path:
        """Write it as JSON, leaving out what is not known; compressed if the name ends in .gz.

        Only its owner may read it if it holds passwords or tokens.
        """
        return write_json(Path(path), self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Return the content of its JSON file, without what is not known."""
        content: dict[str, Any] = self.model_dump(mode="json", exclude_defaults=True)
        for dataset in content.values():
            dataset["files"] = {
                name: entry["object_path"] if set(entry) == {"object_path"} else entry
                for name, entry in dataset["files"].items()
            }
        return content


def load_fileset(path: str | Path) -> Fileset:
    """Read a fileset; paths of files that are relative are relative to its folder.

    Raises
    ------
    InputError
        When it can't be read, is no JSON, or is no fileset: every fault in a line of its own.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object, {{dataset: {{files, metadata}}}}")
    if not content:
        raise InputError(f"{path}: the fileset is empty; it needs at least one dataset")
    try:
        return Fileset.model_validate(content).resolved(Path(path).absolute().parent)
    except ValidationError as error:
        faults = faults_of(error)
    except InputError as error:
        faults = str(error).splitlines()
    raise InputError("\n".join(f"{path}: {fault}" for fault in faults))


def load_filesets(paths: Iterable[str | Path]) -> Fileset:
    """Read several filesets into one.

    Raises
    ------
    InputError
        When one can't be read, see :func:`load_fileset`, or two have a dataset of the same name.
    """
    datasets: dict[str, Dataset] = {}
    sources: dict[str, str | Path] = {}
    for path in paths:
        fileset = load_fileset(path)
        doubled = [name for name in fileset.names if name in datasets]
        if doubled:
            raise InputError(
                "\n".join(f"dataset '{name}': is in {sources[name]} and {path}" for name in doubled)
            )
        datasets |= fileset.root
        sources |= dict.fromkeys(fileset.names, path)
    return Fileset(datasets)


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write the content of a fileset, whole or not at all; compressed if the name ends in .gz.

    Only its owner may read it if it holds passwords or tokens.

    Raises
    ------
    InputError
        When it can't be written.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    written = f"{text}\n".encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # without a time: the same fileset gives the same file
        compress = path.suffix == ".gz"
        mode = 0o600 if has_secrets(content) else 0o666
        return write_whole(path, gzip.compress(written, mtime=0) if compress else written, mode)
    except OSError as error:
        raise InputError(f"{path}: cannot write the fileset ({error.strerror})") from None


def read_json(path: str | Path) -> Any:
    """Read a JSON file, which may be compressed with gzip, in which no key stands twice.

    Raises
    ------
    InputError
        When it can't be read, is no JSON, is larger than the limit
        (:mod:`bphcoffea.size_limits`), or repeats a key, of which Python would drop one.
    """
    try:
        text = decompressed(read_json_bytes(path), path).decode("utf-8-sig")
        content = json.loads(text, object_pairs_hook=no_doubles)
        # Python also reads NaN, numbers that overflow, and halves of surrogate pairs
        json.dumps(content, allow_nan=False, ensure_ascii=False).encode()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: truncated or corrupt gzip ({error}); copy or make it again"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeError as error:
        raise InputError(f"{path}: not a JSON file (not UTF-8: {error})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from None
    return content


def no_doubles(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A dictionary of pairs.

    Raises
    ------
    ValueError
        When a key stands there twice.
    """
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"'{key}' stands there twice")
        content[key] = value
    return content


def faults_of(error: ValidationError, dataset: str | None = None) -> list[str]:
    """What is wrong with a fileset, or with the one dataset of that name: a line each."""
    faults = []
    for fault in error.errors():
        place = [str(part) for part in fault["loc"] if part != "[key]"]
        name = place.pop(0) if dataset is None and place else dataset
        where = f"dataset '{name}'" + (f", {'.'.join(place)}" if place else "")
        text = _MEANING.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")
        # names may hold line breaks
        faults.append(" ".join(f"{where}: {text}".split()))
    return faults


#: What pydantic's faults are called here; the others are clear in its words.
_MEANING = {
    "missing": "is missing",
    "too_short": "is empty",
    "string_too_short": "is empty",
    "extra_forbidden": "is not known here",
    "dict_type": "expected an object",
    "model_type": "expected an object",
    "tuple_type": "expected a list",
    "string_pattern_mismatch": "expected a checksum such as adler32:0123abcd",
}


def fault_of_path(path: str) -> str | None:
    """Return in one line why no file can be opened by a path or URL; None if one can."""
    if "\0" in path:
        return f"{path!r} holds a NUL character, which no path can"
    if "::" not in path or "://" in path.rpartition("::")[2]:
        return None
    return (
        f"'{path}' cannot be opened, because '::' separates the parts of a chain of URLs "
        "(simplecache::file:///data/a.root); rename the file or folder, or use a link to it"
    )


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatch.fnmatchcase(name, pattern)


def _resolve(path: str, folder: Path) -> str:
    return path if "://" in path else os.path.normpath(folder / path)
